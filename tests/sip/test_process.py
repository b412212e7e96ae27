"""The server as a user runs it: a process, its signals, its sockets, its control socket."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from remusnet.cli.main import main
from remusnet.sip.message import Request, Response
from tests.lib.sip_agent import Agent
from tests.lib.sip_process import ServerProcess, exchange_udp, message, serving

OPEN = ("--no-auth", "--domain", "example.org", "--min-expires", "1s")


def test_it_answers_over_udp_tcp_and_tls_and_ends_with_sigterm(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(str(tmp_path / "cert.pem"), append=number > 0)
    tls = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with serving(tmp_path, *OPEN, *tls, listen=("udp", "tcp", "tls")) as server:
        assert "SIP/2.0 200" in exchange_udp(server.ports["udp"], "OPTIONS", "sip:example.org")
        for kind in ("tcp", "tls"):
            plain = socket.create_connection(("127.0.0.1", server.ports[kind]), timeout=30)
            agent: socket.socket = plain
            if kind == "tls":
                context = ssl.create_default_context()
                authority.configure_trust(context)
                agent = context.wrap_socket(plain, server_hostname="127.0.0.1")
            with agent:
                data = message("OPTIONS", "sip:example.org", f"{kind.upper()} 127.0.0.1:5060")
                for part in (data[:50], data[50:]):
                    agent.sendall(part)
                assert b"SIP/2.0 200" in agent.recv(65536)
                agent.sendall(b"\r\n\r\n")
                assert agent.recv(10) == b"\r\n", "a keep-alive is answered (RFC 5626, 4.4.1)"
        assert server.end() == 0


def test_a_tls_certificate_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    tls = ("--tls-cert", str(tmp_path / "both.pem"), "--tls-key", str(tmp_path / "both.pem"))
    with serving(tmp_path, *OPEN, *tls, listen=("tls",)) as server:
        context = ssl.create_default_context()
        with (
            socket.create_connection(("127.0.0.1", server.ports["tls"]), timeout=30) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_who_connects_over_tls_needs_a_certificate_where_the_file_says_so(tmp_path: Path) -> None:
    """RFC 3261, 26.3.1: one-way and mutual authentication."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pem = tmp_path / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    (tmp_path / "sip.toml").write_text(
        'listen = ["tls:127.0.0.1:0"]\ndomains = ["example.org"]\nauthenticate = false\n'
        '[tls]\ncertificate = "both.pem"\nkey = "both.pem"\nca = "ca.pem"\nverify-clients = true\n'
    )
    with serving(tmp_path, str(tmp_path / "sip.toml"), listen=()) as server:
        for proof in (False, True):
            context = ssl.create_default_context()
            authority.configure_trust(context)
            if proof:
                authority.issue_cert("trunk.example").configure_cert(context)
            plain = socket.create_connection(("127.0.0.1", server.ports["tls"]), timeout=30)
            answer = b""
            # TLS 1.3: a server's refusal is read after the handshake.
            with (
                suppress(ssl.SSLError, ConnectionResetError),
                context.wrap_socket(plain, server_hostname="127.0.0.1") as agent,
            ):
                agent.sendall(message("OPTIONS", "sip:example.org", "TLS 127.0.0.1:5060"))
                answer = agent.recv(65536)
            plain.close()
            assert (b"SIP/2.0 200" in answer) == proof


def test_what_was_confirmed_is_there_after_kill_9(tmp_path: Path) -> None:
    names = [f"user{number}" for number in range(20)]
    with serving(tmp_path, *OPEN) as server:
        for name in names:
            to = f"<sip:{name}@example.org>"
            answer = exchange_udp(
                server.ports["udp"],
                "REGISTER",
                "sip:example.org",
                to=to,
                contact=f"<sip:{name}@127.0.0.1:9>",
                expires="600",
            )
            assert "SIP/2.0 200" in answer
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
    with serving(tmp_path, *OPEN) as server:
        assert server.status()["bindings"] == len(names)
        answer = exchange_udp(
            server.ports["udp"], "REGISTER", "sip:example.org", to="<sip:user7@example.org>"
        )
        assert "<sip:user7@127.0.0.1:9>" in answer


def test_a_call_goes_on_both_ways_after_kill_9(tmp_path: Path) -> None:
    """The next process knows nothing of it but where its ends have registered."""
    with Agent("alice") as alice, Agent("bob") as bob:
        with serving(tmp_path, *OPEN) as server:
            port = server.ports["udp"]
            for agent in (alice, bob):
                assert agent.register(port).status == 200
            invite = alice.request("INVITE", "sip:bob@example.org")
            alice.send(invite, port)
            bob.answer(bob.wait_for("INVITE"), 200)
            ok = alice.wait(lambda each: isinstance(each, Response) and each.status == 200)
            assert isinstance(ok, Response)
            server.end(signal.SIGKILL)
        same = ("--listen", f"udp:127.0.0.1:{port}")
        with serving(tmp_path, *OPEN, *same, listen=()) as server:
            back = alice.contact.strip("<>")
            sides = {"to": _text(invite, "from"), "from": _text(ok, "to")}
            fields = {"call_id": invite.call_id.decode(), "route": _text(ok, "record-route")}
            alice.send(alice.within(invite, ok, "ACK", invite.cseq[0]), port)
            bob.wait_for("ACK")
            for number in (1001, 1002):
                alice.send(alice.within(invite, ok, "INFO", number), port)
                bob.answer(bob.wait_for("INFO"), 200)
                bob.send(bob.request("INFO", back, **sides, **fields), port)
                alice.answer(alice.wait_for("INFO"), 200)
            bob.send(bob.request("BYE", back, **sides, **fields), port)
            alice.answer(alice.wait_for("BYE"), 200)
            assert server.status()["calls"] == 0


def _text(message: Request | Response, name: str) -> str:
    return (message.get(name) or b"").decode()


def test_status_restart_and_crash_as_a_user_types_them(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    with serving(tmp_path, *OPEN, "--allow-faults", "--events", str(events)) as server:
        assert stat.S_IMODE(server.control.stat().st_mode) == 0o600
        paths = [actor["path"] for actor in server.status()["actors"]]
        assert paths == [
            "registrar",
            "location",
            "proxy",
            "transport",
            "transport/sender",
            "transport/coder",
            "transport/transactions",
            "transport/receiver",
        ]
        assert (
            server.ask("restart", "transport/receiver").stdout == "transport/receiver: restarted\n"
        )
        done = server.ask("crash", "transport/transactions", "--times", "6")
        assert done.stdout == "transport/transactions: failed 6 times\n"
        missing = server.ask("restart", "transport/nobody")
        assert (missing.returncode, missing.stderr) == (
            2,
            "remusnet: error: no actor 'transport/nobody'\n",
        )
        assert "SIP/2.0 200" in exchange_udp(server.ports["udp"], "OPTIONS", "sip:example.org")
        assert server.end() == 0
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert lines[0]["event"] == "server-started"
    assert lines[-1]["event"] == "server-stopped"
    told = [(line["actor"], line["event"]) for line in lines]
    assert told.count(("transport/transactions", "failed")) == 6
    assert told.count(("transport/transactions", "escalated")) == 1
    assert told.count(("transport", "restarted")) == 1


def test_a_server_whose_tree_has_failed_waits_for_no_call_under_way(tmp_path: Path) -> None:
    with (
        serving(tmp_path, *OPEN, "--supervision", "none", "--allow-faults") as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
    ):
        silent.bind(("127.0.0.1", 0))
        contact = f"<sip:bob@127.0.0.1:{silent.getsockname()[1]}>"
        bob = "sip:bob@example.org"
        exchange_udp(server.ports["udp"], "REGISTER", "sip:example.org", to=bob, contact=contact)
        exchange_udp(server.ports["udp"], "INVITE", bob)
        silent.settimeout(30)
        assert silent.recv(65536).startswith(b"INVITE")
        assert server.ask("crash", "registrar").returncode == 0
        crashed = time.monotonic()
        assert server.process.wait(30) == 1
        # What ends with SIGTERM drains for 5 s; here nobody is left who could end the INVITE.
        assert time.monotonic() - crashed < 4


def test_events_that_a_full_disk_does_not_take_cost_no_answer(tmp_path: Path) -> None:
    faulty = ("--events", "/dev/full", "--allow-faults")
    with serving(tmp_path, *OPEN, *faulty, listen=("udp",)) as server:
        assert server.ask("crash", "transport/transactions").returncode == 0
        assert "SIP/2.0 200" in exchange_udp(server.ports["udp"], "OPTIONS", "sip:example.org")
        assert server.end() == 0
        assert server.said.count("events can't be written: No space left on device") == 1
        assert "Traceback" not in server.said


def test_faults_need_permission(tmp_path: Path) -> None:
    with serving(tmp_path, *OPEN) as server:
        refused = server.ask("crash", "proxy")
        assert refused.returncode == 4
        assert "--allow-faults" in refused.stderr


def test_sighup_takes_over_domains_and_addresses_without_losing_bindings(tmp_path: Path) -> None:
    file = tmp_path / "sip.toml"
    text = (
        'listen = ["udp:127.0.0.1:0"]\ndomains = ["one.example"]\nauthenticate = false\n'
        f'store = "sqlite:{tmp_path / "sip.db"}"\n'
    )
    file.write_text(text)
    server = ServerProcess(tmp_path, str(file), "--store", f"sqlite:{tmp_path / 'x.db'}", listen=())
    try:
        server.wait()
        port = server.ports["udp"]
        refused = exchange_udp(port, "REGISTER", "sip:two.example", to="<sip:b@two.example>")
        assert "SIP/2.0 404" in refused
        file.write_text("listen = 7\n")
        server.process.send_signal(signal.SIGHUP)
        _until(lambda: "nothing is changed" in server.said)
        file.write_text(text.replace("one.example", "two.example"))
        server.process.send_signal(signal.SIGHUP)
        _until(lambda: "domain two.example" in server.said)
        taken = exchange_udp(port, "REGISTER", "sip:two.example", to="<sip:b@two.example>")
        assert "SIP/2.0 200" in taken
        assert server.end() == 0
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["serve", "--listen", "udp:x"], 2, "invalid listener"),
        (["serve", "--no-auth", "--listen", "udp:0.0.0.0:0"], 2, "needs --allow-from"),
        (["serve", "--listen", "tls:127.0.0.1:0"], 2, "needs --tls-cert"),
        (["serve", "--store", "mysql:x"], 2, "invalid store"),
        (["serve", "--store", "sqlite:/nonexistent/x.db"], 2, "No such file"),
        (["serve", "--supervision", "resilent"], 2, "did you mean 'resilient'?"),
        (["serve", "--t1", "9min"], 2, "invalid --t1"),
        (["serve", "--digest", "MD4"], 2, "invalid digest: 'MD4'; expected SHA-256 or MD5"),
        (["serve", "--store", "postgresql://nobody@127.0.0.1:1/x"], 5, "store postgresql://"),
        (["serve", "missing.toml"], 2, "missing.toml"),
        (["status", "--control", "nobody.sock"], 3, "no server answers"),
        (["user", "add", "alice", "--password-stdin"], 2, "expected NAME@DOMAIN"),
        (["user", "remove", "alice@example.org"], 2, "no store"),
        (["user", "list", "x.toml", "--store", "sqlite:x"], 2, "which of them has the users?"),
        (["user", "list", "sqlite:x"], 2, "a store needs --store"),
        (["user", "list", "missing.toml"], 2, "missing.toml"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(
    arguments: list[str], code: int, text: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "remusnet", "sip", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, input="", check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_a_conflict(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "remusnet", "sip", "serve"]
        command += ["--listen", f"udp:127.0.0.1:{port}", "--store", f"sqlite:{tmp_path / 'x'}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 5
    assert done.stderr.startswith(f"remusnet: error: cannot listen on udp:127.0.0.1:{port}: ")


@pytest.mark.slow
def test_users_are_added_listed_and_removed(tmp_path: Path) -> None:
    def user(*words: str, password: str = "") -> str:
        command = [sys.executable, "-m", "remusnet", "sip", "user", *words]
        command += ["--store", f"sqlite:{tmp_path / 'users.db'}"]
        done = subprocess.run(
            command, capture_output=True, text=True, input=password, check=True, timeout=60
        )
        return done.stdout

    assert user("add", "alice@example.org", "--password-stdin", password="secret\n") == (
        "alice@example.org: added\n"
    )
    assert "another password" in user(
        "add", "alice@example.org", "--password-stdin", password="other\n"
    )
    assert user("list") == "alice@example.org\n"
    assert stat.S_IMODE((tmp_path / "users.db").stat().st_mode) == 0o600
    file = tmp_path / "sip.toml"
    file.write_text(
        'listen = ["udp:127.0.0.1:0"]\ndomains = ["x.org"]\nstore = "sqlite:users.db"\n'
    )
    command = [sys.executable, "-m", "remusnet", "sip", "user", "list", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "alice@example.org\n", "a sip.toml says where they are, too"
    assert user("remove", "alice@example.org") == "alice@example.org: removed\n"
    assert user("list") == ""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        user("remove", "alice@example.org")
    assert refused.value.stderr == "remusnet: error: no user 'alice@example.org'\n"


@pytest.mark.parametrize("words", [["list"], ["remove", "alice@example.org"]])
def test_users_of_a_store_that_is_not_there_are_an_error_and_make_none(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file name with a slip in it was a new and empty store."""
    store = tmp_path / "uesrs.db"
    with pytest.raises(SystemExit) as ended:
        main(["sip", "user", *words, "--store", f"sqlite:{store}"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"remusnet: error: no store sqlite:{store}; remusnet sip user add makes one\n"
    )
    assert not store.exists()


def test_check_names_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "sip.toml"
    file.write_text(
        'listen = ["udp:nowhere", "tls:127.0.0.1:5061", "udp:[::1]:5060", "udp:[::1]:5060"]\n'
        'domain = ["x"]\nt1 = "1"\n'
        'digest = ["MD4"]\n[expires]\n'
        'min = "2min"\nmax = "1min"\n'
        '[[route]]\ndomain = "b.org"\nto = "udp:192.0.2.1:5060"\n'
        '[[route]]\ndomain = "b.org"\nto = "udp:192.0.2.2:5060"\n'
        '[[route]]\ndomain = "c.org"\nto = "udp:192.0.2.3:0"\n'
    )
    command = [sys.executable, "-m", "remusnet", "sip", "check", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    for wrong in (
        *(
            "listen[1]",
            "listener twice: udp:[::1]:5060",
            "unknown key",
            "domains",
            "t1",
            "digest[1]",
            "tls",
        ),
        *("out of order", "route[2].domain", "route[3].to"),
    ):
        assert wrong in done.stdout
    assert done.stderr.count("\n") == 1


def test_a_file_without_an_end_is_one_line() -> None:
    """A device, say: it was read for as long as there was memory."""
    command = [sys.executable, "-m", "remusnet", "sip", "check", "/dev/zero"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "too large" in done.stderr


def _until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)

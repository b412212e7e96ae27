"""What befalls a server's process from outside: full disks, closed pipes, orders, bad files."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from remusnet.actors import Actor, Spec
from remusnet.cli.main import main
from remusnet.sip import daemon, orders
from remusnet.sip.config import Config
from remusnet.sip.flows import Endpoint, Transport
from remusnet.sip.server import Server
from remusnet.sip.settings import Settings
from remusnet.sip.transport.sockets import Listener, Sockets
from scripts.sip.sipp import free_port


def test_what_a_server_says_to_a_pipe_that_nobody_reads_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``remusnet sip serve 2>&1 | head -1``: what it said next was a failure of who said it."""
    end, pipe = os.pipe()
    os.close(end)
    with os.fdopen(pipe, "w") as broken:
        monkeypatch.setattr("sys.stderr", broken)
        daemon._say("flood: 192.0.2.66 sends 2000 requests a second")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), pipe)  # so that it can be closed


def listeners(*ports: int) -> tuple[Listener, ...]:
    return tuple(Listener(Transport.TCP, Endpoint("127.0.0.1", port)) for port in ports)


def test_two_sighups_at_once_are_taken_over_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second found the addresses taken, by the first, and said that nothing was changed."""
    store = f"sqlite:{tmp_path / 'sip.db'}"
    config = Config(listeners(0), ("example.org",), store, Settings(authenticate=False))
    wanted = listeners(free_port("tcp"), free_port("tcp"))

    async def run() -> list[Listener]:
        server = Server(config)
        await server.start()
        turn = asyncio.Lock()
        again = [
            daemon._reload(server, lambda: replace(config, listeners=wanted), turn)
            for _ in range(2)
        ]
        await asyncio.gather(*again)
        bound = list(server.sockets.bound)
        await server.stop()
        return bound

    assert asyncio.run(run()) == list(wanted)
    said = capsys.readouterr().err.splitlines()
    assert [line[:18] for line in said] == ["SIGHUP: taken over"] * 2


def test_a_listener_that_fails_after_its_bind_leaves_no_socket_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two sockets may be bound to a port; of those one can listen."""

    async def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_server", refused)
        with pytest.raises(OSError, match="in use"):
            await Sockets(lambda _data, _flow: None).open(list(listeners(0)))

    asyncio.run(run())
    gc.collect()  # a socket that nobody closed is an error here


def with_passphrase(pem: bytes) -> bytes:
    key = load_pem_private_key(pem, None)
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"correct horse")
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("none", ""),
        ("missing", "No such file or directory"),
        ("of another certificate", "key values mismatch"),
        ("with a passphrase", "it has a passphrase; use one without"),
    ],
)
def test_a_key_that_the_server_could_not_use_is_a_mistake_of_the_file(
    fault: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """OpenSSL asked for the passphrase, and a server without a terminal waited for it."""
    authority = trustme.CA()
    ours, others = (authority.issue_cert("127.0.0.1") for _ in range(2))
    (tmp_path / "cert.pem").write_bytes(ours.cert_chain_pems[0].bytes())
    key = (others if fault == "of another certificate" else ours).private_key_pem.bytes()
    if fault != "missing":
        (tmp_path / "key.pem").write_bytes(with_passphrase(key) if "passphrase" in fault else key)
    file = tmp_path / "sip.toml"
    file.write_text(
        'listen = ["tls:127.0.0.1:0"]\ndomains = ["example.org"]\n'
        '[tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n'
    )
    with pytest.raises(SystemExit) as ended:
        main(["sip", "check", str(file), "--json"])
    told = capsys.readouterr()
    mistakes = json.loads(told.out)["mistakes"]
    if not said:
        assert not ended.value.code
        assert mistakes == []
        return
    assert ended.value.code == 2
    assert [each["path"] for each in mistakes] == ["tls"]
    assert said in mistakes[0]["problem"]
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("password", [b"\xff\xfe\n", b"caf\xe9\n"])
def test_a_password_that_is_no_text_is_an_error_of_one_line(
    password: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sip", "user", "add", "a@example.org", "--password-stdin"]
    words += ["--store", f"sqlite:{tmp_path / 'users.db'}"]
    (tmp_path / "password").write_bytes(password)
    # Either way that Python reads standard input, by the locale.
    for errors in ("strict", "surrogateescape"):
        with (tmp_path / "password").open(encoding="utf-8", errors=errors) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            with pytest.raises(SystemExit) as ended:
                main(words)
        assert ended.value.code == 2


def test_no_look_for_cycles_but_the_rarest_goes_through_all_that_calls_have_made() -> None:
    """One went through 400,000 objects, and calls waited for 190 ms."""
    before, pauses, begun = gc.get_threshold(), list[float](), 0.0

    def note(phase: str, _info: dict[str, int]) -> None:
        nonlocal begun
        if phase == "start":
            begun = time.process_time()
        else:
            pauses.append(time.process_time() - begun)

    gc.collect()
    daemon.collect_seldom_and_little()
    gc.callbacks.append(note)
    try:
        held = [[number] for number in range(600_000)]
        young = max(pauses)
        gc.collect()
    finally:
        gc.callbacks.remove(note)
        gc.set_threshold(*before)
        gc.unfreeze()
    assert len(held) == 600_000
    assert len(pauses) > 100
    # 30,000 of 600,000; processor time, so that a busy machine adds little to either.
    assert young < pauses[-1] / 4


def test_others_have_turns_while_a_status_of_thousands_of_transactions_is_written(
    tmp_path: Path,
) -> None:
    """8,000 of them were 120 ms in which no call went on."""
    config = Config(listeners(0), ("example.org",), f"sqlite:{tmp_path / 'sip.db'}", Settings())

    async def run() -> tuple[dict[str, object], int]:
        server = Server(config)
        await server.start()
        for number in range(2_000):
            server.system.find("transport/transactions").spawn(Spec(str(number), Actor))
        asked = asyncio.ensure_future(orders.obey(server, {"do": "status"}))
        turns = 0
        while not asked.done():
            await asyncio.sleep(0)
            turns += 1
        await server.stop()
        return json.loads(asked.result()), turns

    found, turns = asyncio.run(run())
    actors = found["actors"]
    assert isinstance(actors, list)
    assert len(actors) > 2_000
    assert {"path", "kind", "state", "age_s", "mailbox", "restarts", "restarts_in_window"} == set(
        actors[-1]
    )
    assert found["transactions"] == 0
    assert turns > 10

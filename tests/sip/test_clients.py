"""Programs that others wrote, as clients: sipsak and baresip. sipp's own are in test_chaos.py."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from tests.lib.baresip import baresip
from tests.lib.kamailio import free_port
from tests.lib.sip_agent import HOST
from tests.lib.sip_process import ServerProcess, serving

DOMAIN = "example.org"
# Both fail on a challenge of an algorithm that they don't know (RFC 8760, 2.4, says: ignore it).
MD5 = ("--digest", "MD5")
# A second of audio, of twenty: 50 packets.
_PACKETS = 50


def add_user(folder: Path, name: str, password: str) -> None:
    """``remusnet sip user add``, before the server starts."""
    command = [sys.executable, "-m", "remusnet", "sip", "user", "add", f"{name}@{DOMAIN}"]
    command += ["--password-stdin", "--store", f"sqlite:{folder / 'sip.db'}"]
    subprocess.run(command, input=password + "\n", text=True, check=True, capture_output=True)


@pytest.mark.needs("sipsak")
@pytest.mark.parametrize("authenticate", [False, True])
def test_sipsak_registers(authenticate: bool, tmp_path: Path) -> None:
    # It cuts off the fifth digit of a port.
    port = free_port()
    words = ["--domain", DOMAIN, "--min-expires", "1s", "--listen", f"udp:{HOST}:{port}"]
    proof = []
    if authenticate:
        add_user(tmp_path, "alice", "secret")
        words += MD5
        proof = ["-u", "alice", "-a", "secret"]
    else:
        words.append("--no-auth")
    with serving(tmp_path, *words, listen=()) as server:
        command = ["sipsak", "-U", "-i", "-s", f"sip:alice@{HOST}:{port}", "-x", "60"]
        command += ["-C", f"sip:alice@{HOST}:9", *proof, "-vv"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "completed successful" in done.stdout
        assert server.status()["bindings"] == 1


@pytest.mark.slow
@pytest.mark.needs("baresip")
@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_baresip_registers_and_calls_baresip_with_audio(transport: str, tmp_path: Path) -> None:
    """Over UDP, or SIP over TLS; RTP goes from phone to phone."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert(HOST)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    for name in ("alice", "bob"):
        add_user(tmp_path, name, f"secret-of-{name}")
    port = free_port()
    words = [
        "--domain",
        DOMAIN,
        *MD5,
        "--min-expires",
        "1s",
        "--listen",
        f"{transport}:{HOST}:{port}",
    ]
    if transport == "tls":
        pem = str(tmp_path / "both.pem")
        words += ["--tls-cert", pem, "--tls-key", pem]
    with serving(tmp_path, *words, listen=()) as server:
        call(tmp_path, server, port, transport, tmp_path / "ca.pem")
        assert server.end() == 0


def call(folder: Path, server: ServerProcess, port: int, transport: str, authority: Path) -> None:
    """Alice calls bob, they talk for a second and more, she hangs up."""
    proxy = f"sip:{HOST}:{port};transport={transport}"

    def account(name: str, more: str = "") -> str:
        words = f';outbound="{proxy}";regint=60;auth_user={name};auth_pass=secret-of-{name}{more}'
        return f"<sip:{name}@{DOMAIN};transport={transport}>{words}"

    trusted = authority if transport == "tls" else None
    answers = account("bob", ";answermode=auto")
    with baresip(folder / "bob", "bob", answers, authority=trusted) as bob:
        bob.wait("200 OK")
        dial = f"/dial sip:bob@{DOMAIN}"
        with baresip(folder / "alice", "alice", account("alice"), dial, authority=trusted) as alice:
            alice.wait("Call established")
            bob.wait("Call established")
            assert server.status()["calls"] == 1
            time.sleep(1.5)
        bob.wait("session closed")
        assert server.status()["calls"] == 0
    assert alice.received >= _PACKETS, alice.said
    assert bob.received >= _PACKETS, bob.said

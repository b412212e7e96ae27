"""Large headers, and peers over TLS that are not who they should be, over real sockets."""

from __future__ import annotations

import resource
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.lib.sip_process import exchange_udp, message, serving

HOST = "127.0.0.1"
OPEN = ("--no-auth", "--domain", "example.org", "--min-expires", "1s")
SENDER = {"From": "<sip:x@elsewhere.example>;tag=1"}


@pytest.mark.parametrize("size", [60_000, 70_000])
def test_headers_of_64_kb_are_read_or_end_their_stream_and_others_are_served_at_once(
    size: int, tmp_path: Path
) -> None:
    with serving(tmp_path, *OPEN) as server:
        large = message("OPTIONS", "sip:example.org", "TCP 127.0.0.1:5060", **SENDER)
        filler = b"X-Large: " + b"a, " * (size // 3) + b"\r\nMax-Forwards"
        large = large.replace(b"Max-Forwards", filler)
        with socket.create_connection((HOST, server.ports["tcp"]), timeout=30) as agent:
            begun = time.monotonic()
            agent.sendall(large)
            assert "SIP/2.0 200" in exchange_udp(server.ports["udp"], "OPTIONS", "sip:example.org")
            try:
                answer = agent.recv(65536)
            except ConnectionResetError:
                answer = b""
            # 64 KB cost what they cost to read, and not what they cost to try in all ways.
            assert time.monotonic() - begun < 2
        if size > 64 * 1024:
            assert answer == b""
        else:
            assert answer.startswith(b"SIP/2.0 200")
        if size < 64 * 1024:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
                agent.bind((HOST, 0))
                agent.settimeout(10)
                place = f"UDP {HOST}:{agent.getsockname()[1]}"
                data = message("OPTIONS", "sip:example.org", place, **SENDER)
                agent.sendto(data.replace(b"Max-Forwards", filler), (HOST, server.ports["udp"]))
                assert agent.recv(65536).startswith(b"SIP/2.0 200")
        assert server.end() == 0


def test_who_opens_tls_connections_and_says_nothing_keeps_no_phone_out(tmp_path: Path) -> None:
    """Until its handshake is over a connection counted nowhere, and had one of few files."""
    authority = trustme.CA()
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "own.pem")
    )
    tls = ("--tls-cert", str(tmp_path / "own.pem"), "--tls-key", str(tmp_path / "own.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with serving(tmp_path, *OPEN, *tls, listen=("tls",)) as server, ExitStack() as silent:
        place = (HOST, server.ports["tls"])
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (300, 300))
        for _ in range(350):
            stranger = socket.create_connection(place, 30, source_address=("127.0.0.2", 0))
            silent.enter_context(stranger)
        begun = time.monotonic()
        for _ in range(3):
            with (
                socket.create_connection(place, timeout=30) as plain,
                trusting.wrap_socket(plain, server_hostname=HOST) as phone,
            ):
                phone.sendall(message("OPTIONS", "sip:example.org", "TLS 127.0.0.1:5060"))
                assert phone.recv(65536).startswith(b"SIP/2.0 200")
        # Those who say nothing have 10 s; the phone does not wait for them.
        assert time.monotonic() - begun < 8


class Peer(threading.Thread):
    """Listens over TLS with a certificate for ``name``, and keeps what it is sent."""

    def __init__(self, folder: Path, authority: trustme.CA, name: str) -> None:
        super().__init__(daemon=True)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(self._context)
        authority.cert_pem.write_to_path(str(folder / "peer-authority.pem"))
        self._listening = socket.create_server((HOST, 0))
        self._listening.settimeout(20)
        self.port = self._listening.getsockname()[1]
        self.heard = b""
        self.trouble = ""
        self.start()

    def run(self) -> None:
        """One connection."""
        try:
            plain, _ = self._listening.accept()
            with plain, self._context.wrap_socket(plain, server_side=True) as stream:
                self.heard = stream.recv(65536)
        except OSError as error:
            self.trouble = str(error)
        finally:
            self._listening.close()


@pytest.mark.parametrize(
    ("name", "known", "good"),
    [
        ("pstn.example", True, True),
        ("mallory.example", True, False),
        ("pstn.example", False, False),
    ],
)
def test_a_tls_peer_hears_nothing_unless_its_certificate_is_for_it_and_of_a_known_authority(
    name: str, known: bool, good: bool, tmp_path: Path
) -> None:
    """RFC 3261, 26.3.1; RFC 5922."""
    ours, theirs = trustme.CA(), trustme.CA()
    peer = Peer(tmp_path, theirs, name)
    ours.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
    ours.cert_pem.write_to_path(str(tmp_path / "other-authority.pem"))
    authority = "peer-authority.pem" if known else "other-authority.pem"
    (tmp_path / "sip.toml").write_text(
        f'listen = ["udp:{HOST}:0"]\ndomains = ["example.org"]\nauthenticate = false\n'
        f'[tls]\ncertificate = "own.pem"\nkey = "own.pem"\nca = "{authority}"\n'
        f'[[route]]\ndomain = "pstn.example"\nto = "tls:{HOST}:{peer.port}"\n'
    )
    with serving(tmp_path, str(tmp_path / "sip.toml"), listen=("udp",)) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
            agent.bind((HOST, 0))
            agent.settimeout(20)
            place = f"UDP {HOST}:{agent.getsockname()[1]}"
            agent.sendto(
                message("INVITE", "sip:1234@pstn.example", place), (HOST, server.ports["udp"])
            )
            assert agent.recv(65536).startswith(b"SIP/2.0 100")
            if not good:
                final = agent.recv(65536)
                assert final.startswith(b"SIP/2.0 500"), final
        peer.join(20)
        if good:
            assert peer.heard.startswith(b"INVITE sip:1234@pstn.example SIP/2.0\r\n")
        else:
            assert peer.heard == b""

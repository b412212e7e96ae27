"""Garbage over real sockets: a server process lives on, and answers who is good within a second."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

from tests.lib.long import count
from tests.lib.long import seed as chosen
from tests.lib.sip_process import ServerProcess, message, serving
from tests.unit.sip.test_mutations import messages, pieces

_BATCH = 50
# What a server may keep for good after warming up: its caches of URIs and addresses are bounded.
_GROWTH_KB = 40 * 1024


def good_options_s(port: int) -> float:
    """How long a good OPTIONS takes over TCP, in seconds."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as agent:
        sender = {"From": "<sip:x@elsewhere.example>;tag=1"}
        agent.sendall(message("OPTIONS", "sip:example.org", "TCP 127.0.0.1:5060", **sender))
        assert b"SIP/2.0 200" in agent.recv(65536)
    return time.monotonic() - begun


def resident_kb(server: ServerProcess) -> int:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def hurt(random_: random.Random, batch: list[bytes], server: ServerProcess) -> None:
    """Half as datagrams, half in streams: split, pipelined, half-closed, or cut off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        for data in batch[::2]:
            agent.sendto(data[:60_000], ("127.0.0.1", server.ports["udp"]))
    stream = b"".join(batch[1::2])
    with socket.create_connection(("127.0.0.1", server.ports["tcp"]), timeout=30) as agent:
        try:
            for piece in pieces(random_, stream[:20_000]):
                agent.sendall(piece)
            if random_.random() < 0.5:
                agent.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            return  # the server has ended what it can't read


def test_garbage_over_udp_and_tcp_leaves_the_server_well(tmp_path: Path) -> None:
    """Users authenticate here, so that nothing is sent on to where a mutated URI leads."""
    seed = chosen()
    random_ = random.Random(seed)
    source = messages(random_)
    events = tmp_path / "events"
    batches = count(sample=1_000, long=200_000) // _BATCH
    options = ("--domain", "example.org", "--t1", "20ms", "--events", str(events))
    with serving(tmp_path, *options) as server:
        slowest, warm = good_options_s(server.ports["tcp"]), 0
        for number in range(batches):
            hurt(random_, [next(source) for _ in range(_BATCH)], server)
            slowest = max(slowest, good_options_s(server.ports["tcp"]))
            if number == batches // 2:
                warm = resident_kb(server)
        grown = resident_kb(server) - warm
        print(f"{batches * _BATCH} messages, OPTIONS within {slowest:.3f} s, {grown} KB more")
        assert slowest < 1
        assert grown < _GROWTH_KB
        assert server.end() == 0
    assert '"failed"' not in events.read_text()


def test_what_comes_before_an_unframed_message_is_answered_before_the_connection_ends(
    tmp_path: Path,
) -> None:
    """RFC 3261, 18.3."""
    with serving(tmp_path, "--domain", "example.org") as server:
        sender = {"From": "<sip:x@elsewhere.example>;tag=1"}
        good = message("OPTIONS", "sip:example.org", "TCP 127.0.0.1:5060", **sender)
        bad = good.replace(b"Content-Length: 0\r\n", b"")
        with socket.create_connection(("127.0.0.1", server.ports["tcp"]), timeout=30) as agent:
            agent.sendall(good + bad + good)
            answers = b""
            while data := agent.recv(65536):
                answers += data
        starts = [line for line in answers.split(b"\r\n") if line.startswith(b"SIP/2.0")]
        assert sorted(starts) == [
            b"SIP/2.0 200 OK",
            b"SIP/2.0 400 Bad Request: no Content-Length in a stream",
        ]

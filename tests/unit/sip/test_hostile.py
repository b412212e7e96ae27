"""Peers that mean no good: messages that are dear to read, connections that keep others out."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import dns.asyncresolver
import dns.resolver
import pytest

from remusnet.errors import InvalidInput
from remusnet.sip import daemon
from remusnet.sip.bindings import Binding
from remusnet.sip.config import Config
from remusnet.sip.control import Control
from remusnet.sip.flows import Endpoint, Target, Transport
from remusnet.sip.location.service import Locations
from remusnet.sip.message import Response
from remusnet.sip.settings import Settings
from remusnet.sip.store import Store
from remusnet.sip.transport.connection import Connection, Limits
from remusnet.sip.transport.sockets import Listener, Sockets
from tests.lib.sip_bench import request
from tests.lib.sip_whole import ALICE, OPEN, WholeBench, opened, virtual

SIZE = 60_000
LOCAL = Endpoint("192.0.2.100", 5060)


def full(unit: str, between: str = ", ") -> str:
    """So many of them that a datagram is full."""
    return between.join([unit] * (SIZE // (len(unit) + len(between))))


def lines(line: str) -> Callable[[bytes], bytes]:
    """Headers of the shortest kind."""
    some = line.encode() * (SIZE // len(line))
    return lambda data: data.replace(b"Max-Forwards", some + b"Max-Forwards")


OWN = "<sip:192.0.2.100;lr>"
LOST = {"uri": "sip:x@192.0.2.2:5070", "to": "<sip:bob@example.org>;tag=1"}
TO_ITSELF = {"uri": "sip:example.org", "to": "<sip:bob@example.org>"}
COSTLY: dict[str, tuple[dict[str, str], Callable[[bytes], bytes]]] = {
    name: (headers, lambda data: data)
    for name, headers in {
        "own routes": {"route": full(OWN)},
        "own routes in a dialog": {"route": full(OWN), **LOST},
        "foreign routes": {"route": full("<sip:a;lr>")},
        "record-routes": {"record_route": full("<sip:a;lr>")},
        "vias": {"via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1, " + full("SIP/2.0/UDP a")},
        "contacts": {"contact": full("<sip:a@b>")},
        "commas": {"contact": "," * SIZE},
        "quotes": {"contact": '"' * SIZE},
        "backslashes": {"contact": '"' + "\\" * SIZE},
        "angles": {"contact": "<" * SIZE},
        "semicolons": {"from": "<sip:a@b>" + ";" * SIZE},
        "parameters": {"from": "<sip:a@example.org>" + full(";a=b", "") + ";tag=x"},
        "blanks": {"to": "<sip:bob@example.org>" + " " * SIZE + ";tag=1"},
        "a long uri": {"uri": "sip:bob@example.org" + full(";a=b", "")},
        "a uri of 8,000 bytes": {"uri": "sip:bob@example.org" + full(";a=b", "")[:8_000]},
        "tags": {"proxy_require": full("a")},
        "credentials": {"proxy_authorization": "Digest " + full('a="b"')},
        "digits": {"cseq": "1" * SIZE + " INVITE", "max_forwards": "1" * SIZE},
        "a path": {"method": "REGISTER", **TO_ITSELF, "path": full("<sip:192.0.2.1;lr>")},
        "bindings": {"method": "REGISTER", **TO_ITSELF, "contact": full("<sip:a@192.0.2.1>")},
    }.items()
} | {
    "lines": ({}, lines("X:a\r\n")),
    "lines of routes": ({}, lines("Route:<sip:a>\r\n")),
    "lines of own routes": ({}, lines(f"Route:{OWN}\r\n")),
    "lines of vias": ({}, lines("v:SIP/2.0/UDP a\r\n")),
    "lines of contacts": ({}, lines("m:<sip:a@b>\r\n")),
    "folds": ({}, lambda data: data.replace(b": 70", b": 70" + b"\r\n " * (SIZE // 3))),
    "line ends": ({}, lambda data: b"\r\n" * (SIZE // 2) + data),
}


@pytest.mark.parametrize("authenticate", [False, True])
@pytest.mark.parametrize("kind", COSTLY)
@virtual
async def test_no_message_of_64_kb_keeps_others_waiting(kind: str, authenticate: bool) -> None:
    """Own Routes, taken out one by one, took 2 s of CPU; now each kind takes some 20 ms."""
    headers, change = COSTLY[kind]
    fields = {"method": "INVITE", "uri": "sip:bob@example.org", **headers}
    method, uri = fields.pop("method"), fields.pop("uri")
    data = change(request(method, uri, ALICE, **fields).serialize())
    took = []
    for _ in range(3):  # the best of three: a collection of garbage takes its time in any of them
        bench = await opened(WholeBench(Settings(authenticate=authenticate, min_expires=1)))
        begun = time.process_time()
        await bench.receive(data, ALICE)
        took.append(time.process_time() - begun)
        if took[-1] < 0.4:
            return
    pytest.fail(f"{took} s of CPU")


class Stream:
    """What a Connection needs of an asyncio transport."""

    def __init__(self, host: str, port: int) -> None:
        self._peer = (host, port)
        self.ended = False
        self.sent = b""

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return self._peer if name == "peername" else (LOCAL.host, LOCAL.port)

    def abort(self) -> None:
        self.ended = True

    close = abort

    def is_closing(self) -> bool:
        return self.ended

    def write(self, data: bytes) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0


def connected(sockets: Sockets, host: str, port: int = 5060) -> tuple[Connection, Stream]:
    stream = Stream(host, port)
    connection = Connection(sockets, Transport.TCP, LOCAL)
    connection.connection_made(cast(asyncio.Transport, stream))
    return connection, stream


def framing(limits: Limits) -> Sockets:
    """Sockets whose receiver does no more than to look for messages."""
    sockets = Sockets(lambda _data, _flow: None, limits=limits)

    def heard(data: bytes, flow: object) -> None:
        framer = sockets.framer(flow)  # type: ignore[arg-type]
        if framer is not None:
            list(framer.feed(data))

    sockets.on_bytes = heard
    return sockets


WHOLE = request("OPTIONS", "sip:example.org", ALICE).serialize()


@pytest.mark.parametrize("before", [b"", WHOLE])
@virtual
async def test_a_message_that_comes_byte_by_byte_has_no_longer_than_any(before: bytes) -> None:
    """Each byte gave it another 30 s (slowloris)."""
    connection, stream = connected(framing(Limits(partial_s=30, idle_s=600)), "192.0.2.1")
    connection.data_received(before + WHOLE[:1])
    for place in range(1, 40):
        if stream.ended:
            break
        await asyncio.sleep(1)
        connection.data_received(WHOLE[place : place + 1])
    assert stream.ended
    assert 30 <= place + len(before[:1]) <= 33


@virtual
async def test_a_connection_that_brings_whole_messages_stays_as_long_as_it_likes() -> None:
    connection, stream = connected(framing(Limits(partial_s=30, idle_s=600)), "192.0.2.1")
    for _ in range(10):
        for part in (WHOLE[:100], WHOLE[100:] + WHOLE[:50], WHOLE[50:]):
            connection.data_received(part)
            await asyncio.sleep(20)
    assert not stream.ended
    await asyncio.sleep(601)
    assert stream.ended


@virtual
async def test_who_opens_all_connections_that_there_may_be_keeps_nobody_out() -> None:
    sockets = framing(Limits(connections=10))
    hers = [connected(sockets, "192.0.2.66", port)[1] for port in range(1, 13)]
    assert [stream.ended for stream in hers] == [False] * 10 + [True] * 2
    others = [connected(sockets, f"192.0.2.{host}")[1] for host in range(1, 11)]
    assert [stream.ended for stream in others] == [False] * 9 + [True]
    assert [stream.ended for stream in hers[:10]] == [False] + [True] * 9
    assert sockets.connections == 10


@virtual
async def test_a_connection_that_is_reset_before_it_is_met_is_no_failure() -> None:
    """The kernel names no peer any more; asyncio gives None then."""

    class Nobody(Stream):
        def get_extra_info(self, name: str) -> tuple[str, int]:
            return cast(tuple[str, int], None)

    sockets = framing(Limits())
    stream = Nobody("192.0.2.1", 5060)
    connection = Connection(sockets, Transport.TCP, LOCAL)
    connection.connection_made(cast(asyncio.Transport, stream))
    connection.data_received(WHOLE)
    connection.connection_lost(None)
    assert stream.ended
    assert sockets.connections == 0


def lead_to(streams: list[Stream], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection that the server opens is to the next of ``streams``."""

    async def connect(
        make: Callable[[], Connection], host: str, port: int, **_: object
    ) -> tuple[Stream, Connection]:
        made, stream = make(), streams.pop(0)
        made.connection_made(cast(asyncio.Transport, stream))
        if stream.ended:
            # asyncio calls that before it lets go whoever has awaited the connection.
            made.connection_lost(None)
        return stream, made

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)


@virtual
async def test_a_connection_that_is_refused_as_soon_as_it_is_open_is_told_and_tried_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stayed the way to that phone for ever, and who had asked for it was never told."""
    sockets = framing(Limits())
    sockets.floods.blocked["192.0.2.1"] = float("inf")
    first, second = Stream("192.0.2.1", 5060), Stream("192.0.2.1", 5060)
    lead_to([first, second], monkeypatch)
    why: list[str] = []
    target = Target(Transport.TCP, Endpoint("192.0.2.1", 5060))
    sockets.send(WHOLE, target, why.append)
    await asyncio.sleep(0.1)
    assert first.ended
    assert why == ["tcp:192.0.2.1:5060: closed or refused as soon as it was open"]
    sockets.floods.blocked.clear()
    sockets.send(WHOLE, target, why.append)
    await asyncio.sleep(0.1)
    assert second.sent == WHOLE
    assert len(why) == 1


def test_a_name_that_no_certificate_can_have_is_told_and_tried_anew() -> None:
    """An exception that nobody foresaw: who had asked for the connection was never told."""
    why: list[str] = []

    async def run(port: int) -> None:
        sockets = Sockets(lambda _data, _flow: None, client_tls=ssl.create_default_context())
        name = "a" * 70 + ".example"
        target = Target(Transport.TLS, Endpoint("127.0.0.1", port), name=name)
        for number in (1, 2):
            sockets.send(WHOLE, target, why.append)
            async with asyncio.timeout(20):
                while len(why) < number:
                    await asyncio.sleep(0.01)
        sockets.close()

    with socket.create_server(("127.0.0.1", 0)) as peer:
        asyncio.run(run(peer.getsockname()[1]))
    assert all("tls:127.0.0.1:" in each for each in why)


@virtual
async def test_what_is_sent_while_a_connection_closes_goes_over_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was told that it can't be sent, though a connection is opened for the next message."""
    sockets = framing(Limits())
    first, second = Stream("192.0.2.1", 5060), Stream("192.0.2.1", 5060)
    lead_to([first, second], monkeypatch)
    why: list[str] = []
    target = Target(Transport.TCP, Endpoint("192.0.2.1", 5060))
    sockets.send(WHOLE, target, why.append)
    await asyncio.sleep(0.1)
    first.ended = True
    sockets.send(WHOLE, target, why.append)
    await asyncio.sleep(0.1)
    assert (first.sent, second.sent, why) == (WHOLE, WHOLE, [])


def test_who_asks_for_users_that_there_are_not_drives_no_phone_out_of_memory() -> None:
    """Memory is what calls go on from while the store is away."""
    bob = (Binding(b"sip:bob@example.org", b"<sip:bob@192.0.2.1>", 1e9, 1000, b"1", 1),)
    own = Locations(cast(Store, None), remembered=10)
    own.remember(b"sip:bob@example.org", bob)
    for number in range(100):
        own.remember(b"sip:%d@example.org" % number, ())
    assert len(own.memory) == 10
    assert own.memory[b"sip:bob@example.org"] == bob
    for number in range(10):
        own.remember(b"sip:phone%d@example.org" % number, bob)
    assert b"sip:bob@example.org" not in own.memory


def test_the_server_may_open_as_many_files_as_connections_or_says_how_many_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    had = {"limit": (1_024, 4_096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _what: had["limit"])
    monkeypatch.setattr(resource, "setrlimit", lambda _what, pair: had.update(limit=pair))
    told: list[str] = []
    listener = Listener(Transport.UDP, LOCAL)
    config = Config((listener,), ("example.org",), "sqlite::memory:", OPEN)
    few = replace(config, limits=Limits(connections=1_000))
    assert daemon.with_room_for_files(few, told.append) is few
    assert had["limit"] == (1_256, 4_096)
    assert told == []
    assert daemon.with_room_for_files(config, told.append).limits.connections == 3_840
    assert had["limit"] == (4_096, 4_096)
    assert told == ["at most 3840 connections: this process may open 4096 files (ulimit -n)"]


@pytest.mark.parametrize(
    "line", [b"[" * 60_000, b"{}", b"\xff\n", b"", b'{"do": "status", "actor": NaN}', b"null"]
)
def test_the_control_socket_answers_nonsense_in_a_line(line: bytes, tmp_path: Path) -> None:
    """Thousands of brackets within each other were a failure of its own, and got no answer."""

    async def handler(_order: object) -> str:
        raise InvalidInput("unknown order")

    async def main() -> bytes:
        control = Control(tmp_path / "folder" / "sip.sock", handler)
        await control.open()
        reader, writer = await asyncio.open_unix_connection(control.path)
        writer.write(line + b"\n")
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        control.close()
        return answer

    answer = json.loads(asyncio.run(main()))
    assert answer["exit_code"] == 2


@virtual
async def test_a_call_is_answered_where_this_machine_has_no_resolver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No /etc/resolv.conf, in a container say: the caller waited for ever."""

    def none() -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver, "Resolver", none)
    bench = await opened(WholeBench())
    await bench.receive(request("INVITE", "sip:x@full.example", ALICE), ALICE)
    assert [each.status for each in bench.sent() if isinstance(each, Response)] == [100, 480]

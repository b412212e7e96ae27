"""The sockets: what the receiver hears from and the sender speaks through.

They are no actor. Under ``resilient`` they outlive the receiver and the sender, with all that waits
in the kernel's buffers, and with the half of a message that a stream has brought.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from remusnet.sip.flows import Endpoint, Flow, Target, Transport
from remusnet.sip.message import Framer
from remusnet.sip.transport.connection import Connection, Limits
from remusnet.sip.transport.datagrams import RECEIVE_BUFFER, Datagrams, OnBytes
from remusnet.sip.transport.floods import FloodLimits, Floods
from remusnet.sip.transport.handshakes import Handshakes
from remusnet.sip.transport.intake import Intake

OnUnsent = Callable[[str], None]

_CONNECT_SECONDS = 5.0
# For the answers to what came before the message that ends a connection.
_LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen; port 0: any that is free."""

    transport: Transport
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"{self.transport.value}:{self.endpoint}"


@dataclass(slots=True)
class _Waiting:
    """A connection that is being opened, and what is to be sent over it."""

    messages: list[tuple[bytes, OnUnsent | None]] = field(default_factory=list)


class Sockets:
    """All sockets of a server. ``on_bytes`` is called with what comes, and the way that it came.

    ``work``: how many messages the server has to handle of what has come already. ``tell``: called
    with what the server's operator should know.
    """

    def __init__(
        self,
        on_bytes: OnBytes,
        *,
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        flood_limits: FloodLimits | None = None,
        work: Callable[[], int] = lambda: 0,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.on_bytes = on_bytes
        self._tell = tell
        self.limits = limits or Limits()
        self.bound: list[Listener] = []
        self.refused = 0  # connections beyond the limit
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._loop = asyncio.get_running_loop()
        self._datagrams: list[Datagrams] = []
        self._servers: dict[Listener, asyncio.Server | Handshakes] = {}
        self._connections: dict[int, Connection] = {}
        self._by_source: dict[str, dict[int, Connection]] = {}
        self._by_remote: dict[tuple[Transport, Endpoint], Flow] = {}
        self._outgoing: dict[tuple[Transport, Endpoint, str], Connection] = {}
        self._opening: dict[tuple[Transport, Endpoint, str], _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._dropped = 0  # by sockets that are closed
        limit = flood_limits or FloodLimits()
        self.floods = Floods(limit, self._loop.time, self._blocked)
        self.intake = Intake(self.floods, self._loop, work)

    async def open(self, listeners: list[Listener]) -> None:
        """Bind all; ``bound`` says where. Raises OSError, with none of them left open."""
        try:
            for listener in listeners:
                if listener.transport is Transport.UDP:
                    self._bind_udp(listener)
                else:
                    await self._bind_stream(listener)
        except BaseException:
            self.close()
            raise

    async def rebind(self, listeners: list[Listener]) -> None:
        """Listen on these, and no longer on others; connections stay. Raises OSError.

        A listener with port 0 is as good as any that is bound at its address.
        """
        kept: list[Listener] = []
        missing: list[Listener] = []
        for wanted in listeners:
            same = next((each for each in self.bound if _fits(each, wanted)), None)
            if same is None:
                missing.append(wanted)
            else:
                kept.append(same)
        old = [each for each in self.bound if each not in kept]
        count = len(self.bound)
        try:
            for listener in missing:
                if listener.transport is Transport.UDP:
                    self._bind_udp(listener)
                else:
                    await self._bind_stream(listener)
        except BaseException:
            self._unbind(self.bound[count:])
            raise
        self._unbind(old)

    def _unbind(self, listeners: list[Listener]) -> None:
        for listener in list(listeners):
            self.bound.remove(listener)
            for datagrams in list(self._datagrams):
                if listener == Listener(Transport.UDP, datagrams.local):
                    self._close(datagrams)
                    self._datagrams.remove(datagrams)
            if (server := self._servers.pop(listener, None)) is not None:
                server.close()

    def close(self) -> None:
        """Close all, also what is being opened."""
        for datagrams in self._datagrams:
            self._close(datagrams)
        for server in self._servers.values():
            server.abort() if isinstance(server, Handshakes) else server.close()
        for task in tuple(self._tasks):
            task.cancel()
        for connection in tuple(self._connections.values()):
            connection.abort()
        self.intake.clear()
        self._datagrams.clear()
        self._servers.clear()
        self._opening.clear()
        self.bound.clear()

    def _close(self, datagrams: Datagrams) -> None:
        self._dropped += datagrams.dropped
        self._loop.remove_reader(datagrams.socket)
        datagrams.close()

    @property
    def dropped(self) -> int:
        """How many datagrams were dropped: of blocked sources, or for want of room in a buffer."""
        by_kernel = self._dropped + sum(each.dropped for each in self._datagrams)
        return by_kernel + self.intake.dropped

    def _blocked(self, source: str, rate: float, why: str) -> None:
        """Hear nothing of ``source`` any more, for some time."""
        block_s = self.floods.limits.block_s
        self._tell(
            f"flood: {source} sends {rate:.0f} requests a second, and {why}: "
            f"it is dropped for {block_s:g} s"
        )
        for datagrams in self._datagrams:
            datagrams.filter()
        self.intake.forget(source)
        for connection in tuple(self._connections.values()):
            if connection.source == source:
                connection.abort()
        # A clock of milliseconds must not find it a moment too early.
        self._loop.call_later(block_s + 0.01, self._lift)

    def _lift(self) -> None:
        for source in self.floods.lift():
            self._tell(f"flood: {source} is let in again; {self.dropped} datagrams were dropped")
        for datagrams in self._datagrams:
            datagrams.filter()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def framer(self, flow: Flow) -> Framer | None:
        """What the stream of ``flow`` has brought so far; None where it is gone."""
        connection = self._connections.get(flow.connection)
        if connection is None:
            return None
        counts = self.floods.streams.at(self._loop.time())
        requests = connection.count_requests()
        counts[connection.source] = counts.get(connection.source, 0) + requests
        return connection.framer

    def flow_to(self, transport: Transport, remote: Endpoint) -> Flow | None:
        """The connection that came from ``remote``, if it is still there."""
        return self._by_remote.get((transport, remote))

    def end(self, flow: Flow) -> None:
        """Close the connection of ``flow``, after what is being sent and what is being answered."""
        if (connection := self._connections.get(flow.connection)) is not None:
            self._loop.call_later(_LAST_WORDS_SECONDS, connection.close)

    def send(self, data: bytes, target: Target, on_unsent: OnUnsent | None = None) -> None:
        """Send; ``on_unsent`` is called, now or later, where that turns out to be impossible."""
        try:
            if target.transport is Transport.UDP:
                self._send_udp(data, target)
            else:
                self._send_stream(data, target, on_unsent)
        except OSError as error:
            if on_unsent is not None:
                on_unsent(error.strerror or str(error))

    # UDP.

    def _bind_udp(self, listener: Listener) -> None:
        bound = _bound_socket(listener, socket.SOCK_DGRAM)
        datagrams = Datagrams(bound, self._pass_on, self.floods, self.intake, self._loop.time)
        self._datagrams.append(datagrams)
        self.bound.append(Listener(Transport.UDP, datagrams.local))
        self._loop.add_reader(bound, datagrams.read)
        if datagrams.buffer < RECEIVE_BUFFER:
            self._tell(
                f"the receive buffer of udp:{datagrams.local} is {datagrams.buffer // 1024} KiB "
                f"instead of {RECEIVE_BUFFER // 1024} KiB, and a pause may lose messages: "
                "raise net.core.rmem_max"
            )

    def _pass_on(self, data: bytes, flow: Flow) -> None:
        self.on_bytes(data, flow)

    def _send_udp(self, data: bytes, target: Target) -> None:
        remote = target.remote
        if remote is None:
            raise OSError("no address to send to")
        if not self.bound:
            return  # they are being opened anew: it is lost, and sent again
        local = target.flow.local if target.flow is not None else None
        sender = self._udp_socket(local, ":" in remote.host)
        # A full send buffer is what a full network is: the datagram is lost, and sent again.
        with suppress(BlockingIOError):
            sender.sendto(data, (remote.host, remote.port))

    def _udp_socket(self, local: Endpoint | None, is_v6: bool) -> socket.socket:
        fitting = [found for found in self._datagrams if (":" in found.local.host) == is_v6]
        if not fitting:
            raise OSError(f"no UDP listener for IPv{6 if is_v6 else 4}")
        same = [found for found in fitting if found.local == local]
        return (same or fitting)[0].socket

    # Streams.

    async def _bind_stream(self, listener: Listener) -> None:
        bound = _bound_socket(listener, socket.SOCK_STREAM)
        local = Endpoint(*bound.getsockname()[:2])
        make = partial(Connection, self, listener.transport, local)
        server: asyncio.Server | Handshakes
        try:
            if listener.transport is Transport.TLS:
                blocked = self.floods.blocked.__contains__
                server = Handshakes(bound, self._server_tls, make, blocked, self._refuse)
            else:
                server = await self._loop.create_server(make, sock=bound, backlog=1024)
        except BaseException:
            # A port that another one is bound to as well, and listens at first.
            bound.close()
            raise
        bound_listener = Listener(listener.transport, local)
        self._servers[bound_listener] = server
        self.bound.append(bound_listener)

    def _send_stream(self, data: bytes, target: Target, on_unsent: OnUnsent | None) -> None:
        flow = target.flow
        known = self._connections.get(flow.connection) if flow is not None else None
        if known is not None and known.open:
            known.write(data)
            return
        if target.remote is None:
            raise OSError("the connection is gone")
        key = (target.transport, target.remote, target.name)
        known = self._outgoing.get(key)
        if known is not None and known.open:
            known.write(data)
            return
        if (waiting := self._opening.get(key)) is not None:
            waiting.messages.append((data, on_unsent))
            return
        self._opening[key] = _Waiting([(data, on_unsent)])
        task = self._loop.create_task(self._connect(*key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, transport: Transport, remote: Endpoint, name: str) -> None:
        key = (transport, remote, name)
        subject = (name or remote.host) if transport is Transport.TLS else None
        try:
            if subject is not None:
                subject.encode("idna")  # UnicodeError: no certificate can be for it
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self, transport, None),
                    remote.host,
                    remote.port,
                    ssl=self._client_tls if transport is Transport.TLS else None,
                    server_hostname=subject,
                )
            if not connection.open:
                # It may have ended before any task could wait for that.
                raise OSError("closed or refused as soon as it was open")
        except Exception as error:  # noqa: BLE001 - whatever it is, waiting tasks hear of it
            reason = str(error) or "no answer"
            waiting = self._opening.pop(key, _Waiting())
            for _data, on_unsent in waiting.messages:
                if on_unsent is not None:
                    on_unsent(f"{transport.value}:{remote}: {reason}")
            return
        self._outgoing[key] = connection
        connection.key = key
        for data, on_unsent in self._opening.pop(key, _Waiting()).messages:
            try:
                connection.write(data)
            except OSError as error:  # a peer that does not read has lost it meanwhile
                if on_unsent is not None:
                    on_unsent(f"{transport.value}:{remote}: {error}")

    def add(self, connection: Connection) -> int:
        """A number for a new connection; 0 where its source is blocked, or has its share.

        Where there are too many, the source that has most loses its latest: no source keeps others
        out by opening all that there may be.
        """
        source = connection.source
        if source in self.floods.blocked:
            self.refused += 1
            return 0
        if len(self._connections) >= self.limits.connections:
            self.refused += 1
            most = max(self._by_source.values(), key=len)
            if len(most) <= len(self._by_source.get(source, ())) + 1:
                return 0
            latest = next(reversed(most.values()))
            self._forget(latest)
            latest.abort()
        self._numbers += 1
        self._connections[self._numbers] = connection
        self._by_source.setdefault(source, {})[self._numbers] = connection
        return self._numbers

    def _refuse(self) -> None:
        self.refused += 1

    def _forget(self, connection: Connection) -> None:
        self._connections.pop(connection.number, None)
        others = self._by_source.get(connection.source, {})
        others.pop(connection.number, None)
        if not others:
            self._by_source.pop(connection.source, None)

    def met(self, flow: Flow) -> None:
        """A connection is open: it can be found by whom it leads to."""
        self._by_remote[flow.transport, flow.remote] = flow

    def drop(self, connection: Connection, flow: Flow | None) -> None:
        """A connection has ended."""
        if flow is not None and self._by_remote.get((flow.transport, flow.remote)) == flow:
            del self._by_remote[flow.transport, flow.remote]
        self._forget(connection)
        if connection.key is not None and self._outgoing.get(connection.key) is connection:
            del self._outgoing[connection.key]


def _fits(bound: Listener, wanted: Listener) -> bool:
    same_host = bound.endpoint.host == wanted.endpoint.host
    same_port = wanted.endpoint.port in (0, bound.endpoint.port)
    return bound.transport is wanted.transport and same_host and same_port


def _bound_socket(listener: Listener, kind: socket.SocketKind) -> socket.socket:
    host, port = listener.endpoint.host, listener.endpoint.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if kind is socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound

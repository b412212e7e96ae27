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
from typing import cast

from remusnet.sip.flows import Endpoint, Flow, Target, Transport
from remusnet.sip.message import Framer

OnBytes = Callable[[bytes, Flow], None]
OnUnsent = Callable[[str], None]

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
# The kernel's default holds some 200 messages: a pause of the server would lose calls.
_RECEIVE_BUFFER = 4 * 1024 * 1024
_LARGEST_DATAGRAM = 65535
# So many datagrams are read before others have a turn.
_AT_ONCE = 64
_CONNECT_SECONDS = 5.0
# For the answers to what came before the message that ends a connection.
_LAST_WORDS_SECONDS = 1.0
# What a peer that doesn't read may make the server keep.
_LARGEST_BACKLOG = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen; port 0: any that is free."""

    transport: Transport
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"{self.transport.value}:{self.endpoint}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may cost: connections, seconds of silence, seconds for half a message."""

    connections: int = 10_000
    idle_s: float = 1800.0
    partial_s: float = 30.0


@dataclass(slots=True)
class _Datagrams:
    """A UDP socket that is bound."""

    socket: socket.socket
    local: Endpoint


@dataclass(slots=True)
class _Waiting:
    """A connection that is being opened, and what is to be sent over it."""

    messages: list[tuple[bytes, OnUnsent | None]] = field(default_factory=list)


class Sockets:
    """All sockets of a server. ``on_bytes`` is called with what comes, and the way that it came."""

    def __init__(
        self,
        on_bytes: OnBytes,
        *,
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.on_bytes = on_bytes
        self.limits = limits or Limits()
        self.bound: list[Listener] = []
        self.refused = 0  # connections beyond the limit
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._loop = asyncio.get_running_loop()
        self._datagrams: list[_Datagrams] = []
        self._servers: dict[Listener, asyncio.Server] = {}
        self._connections: dict[int, Connection] = {}
        self._by_remote: dict[tuple[Transport, Endpoint], Flow] = {}
        self._outgoing: dict[tuple[Transport, Endpoint, str], Connection] = {}
        self._opening: dict[tuple[Transport, Endpoint, str], _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0

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
                    self._loop.remove_reader(datagrams.socket)
                    datagrams.socket.close()
                    self._datagrams.remove(datagrams)
            if (server := self._servers.pop(listener, None)) is not None:
                server.close()

    def close(self) -> None:
        """Close all, also what is being opened."""
        for datagrams in self._datagrams:
            self._loop.remove_reader(datagrams.socket)
            datagrams.socket.close()
        for server in self._servers.values():
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        for connection in tuple(self._connections.values()):
            connection.abort()
        self._datagrams.clear()
        self._servers.clear()
        self._opening.clear()
        self.bound.clear()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def framer(self, flow: Flow) -> Framer | None:
        """What the stream of ``flow`` has brought so far; None where it is gone."""
        connection = self._connections.get(flow.connection)
        return connection.framer if connection is not None else None

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
        with suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        with suppress(OSError):
            # As root: beyond the limit of /proc/sys/net/core/rmem_max.
            bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        local = Endpoint(*bound.getsockname()[:2])
        datagrams = _Datagrams(bound, local)
        self._datagrams.append(datagrams)
        self.bound.append(Listener(Transport.UDP, local))
        self._loop.add_reader(bound, self._read, datagrams)

    def _read(self, datagrams: _Datagrams) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, source = datagrams.socket.recvfrom(_LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                # An earlier datagram was refused (ICMP): its transaction will time out.
                continue
            if data:
                remote = Endpoint(source[0].partition("%")[0], source[1])
                self.on_bytes(data, Flow(Transport.UDP, datagrams.local, remote))

    def _send_udp(self, data: bytes, target: Target) -> None:
        remote = target.remote
        if remote is None:
            raise OSError("no address to send to")
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
        tls = listener.transport is Transport.TLS
        bound = _bound_socket(listener, socket.SOCK_STREAM)
        local = Endpoint(*bound.getsockname()[:2])
        server = await self._loop.create_server(
            lambda: Connection(self, listener.transport, local),
            sock=bound,
            backlog=1024,
            ssl=self._server_tls if tls else None,
        )
        bound_listener = Listener(listener.transport, local)
        self._servers[bound_listener] = server
        self.bound.append(bound_listener)

    def _send_stream(self, data: bytes, target: Target, on_unsent: OnUnsent | None) -> None:
        flow = target.flow
        if flow is not None and (known := self._connections.get(flow.connection)) is not None:
            known.write(data)
            return
        if target.remote is None:
            raise OSError("the connection is gone")
        key = (target.transport, target.remote, target.name)
        if (known := self._outgoing.get(key)) is not None:
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
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self, transport, None),
                    remote.host,
                    remote.port,
                    ssl=self._client_tls if transport is Transport.TLS else None,
                    server_hostname=(name or remote.host) if transport is Transport.TLS else None,
                )
        except (OSError, TimeoutError) as error:
            reason = str(error) or "no answer"
            waiting = self._opening.pop(key, _Waiting())
            for _data, on_unsent in waiting.messages:
                if on_unsent is not None:
                    on_unsent(f"{transport.value}:{remote}: {reason}")
            return
        self._outgoing[key] = connection
        connection.key = key
        for data, _on_unsent in self._opening.pop(key, _Waiting()).messages:
            connection.write(data)

    def add(self, connection: Connection) -> int:
        """A number for a new connection; 0 where there are too many."""
        if len(self._connections) >= self.limits.connections:
            self.refused += 1
            return 0
        self._numbers += 1
        self._connections[self._numbers] = connection
        return self._numbers

    def met(self, flow: Flow) -> None:
        """A connection is open: it can be found by whom it leads to."""
        self._by_remote[flow.transport, flow.remote] = flow

    def drop(self, connection: Connection, flow: Flow | None) -> None:
        """A connection has ended."""
        if flow is not None and self._by_remote.get((flow.transport, flow.remote)) == flow:
            del self._by_remote[flow.transport, flow.remote]
        self._connections.pop(connection.number, None)
        if connection.key is not None and self._outgoing.get(connection.key) is connection:
            del self._outgoing[connection.key]


class Connection(asyncio.Protocol):
    """A stream, with what it has brought of a message that is not whole yet."""

    def __init__(self, sockets: Sockets, transport: Transport, local: Endpoint | None) -> None:
        self._sockets = sockets
        self._kind = transport
        self._local = local
        self._transport: asyncio.Transport | None = None
        self._flow: Flow | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.framer = Framer()
        self.number = 0
        self.key: tuple[Transport, Endpoint, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = stream = cast(asyncio.Transport, transport)
        self.number = self._sockets.add(self)
        if not self.number:
            stream.abort()
            return
        local = self._local or Endpoint(*transport.get_extra_info("sockname")[:2])
        remote = Endpoint(*transport.get_extra_info("peername")[:2])
        self._flow = Flow(self._kind, local, remote, self.number)
        self._sockets.met(self._flow)
        self._look_after()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._flow is not None:
            self._look_after()
            self._sockets.on_bytes(data, self._flow)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        if self._watch is not None:
            self._watch.cancel()
        self._sockets.drop(self, self._flow)
        if self._flow is not None:
            self._sockets.on_bytes(b"", self._flow)

    def write(self, data: bytes) -> None:
        """Send; a peer that doesn't read loses the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise OSError("the connection is closing")
        transport.write(data)
        if transport.get_write_buffer_size() > _LARGEST_BACKLOG:
            transport.abort()

    def close(self) -> None:
        """End it after what is being sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    def _look_after(self) -> None:
        """End it when it is silent for too long, sooner in the middle of a message."""
        if self._watch is not None:
            self._watch.cancel()
        limits = self._sockets.limits
        loop = asyncio.get_running_loop()
        # Whether half a message waits is known only after the receiver has seen these bytes.
        self._watch = loop.call_later(limits.partial_s, self._still_partial)

    def _still_partial(self) -> None:
        if self.framer.waiting:
            self.abort()
            return
        limits = self._sockets.limits
        rest = max(limits.idle_s - limits.partial_s, 0)
        self._watch = asyncio.get_running_loop().call_later(rest, self.close)


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

"""A stream: TCP or TLS, with what it has brought of a message that is not whole yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

from remusnet.sip.flows import Endpoint, Flow, Transport
from remusnet.sip.message import Framer
from remusnet.sip.transport.datagrams import OnBytes
from remusnet.sip.transport.floods import INSISTS_S, Floods, source_of
from remusnet.sip.transport.intake import Intake

# What a peer that doesn't read may make the server keep.
_LARGEST_BACKLOG = 1024 * 1024
# So many bytes are handled before others have a turn: some four messages.
_PIECE = 2048


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may cost: connections, seconds of silence, seconds for half a message."""

    connections: int = 10_000
    idle_s: float = 1800.0
    partial_s: float = 30.0


class Keeper(Protocol):
    """Whose the connections are: what a connection tells them and asks of them."""

    limits: Limits
    floods: Floods
    intake: Intake
    on_bytes: OnBytes

    def add(self, connection: Connection) -> int:
        """A number for a new connection; 0 where it is refused."""

    def met(self, flow: Flow) -> None:
        """A connection is open."""

    def drop(self, connection: Connection, flow: Flow | None) -> None:
        """A connection has ended."""


class Connection(asyncio.Protocol):
    """One connection. ``key``: whom this server has connected to, where it did."""

    def __init__(self, keeper: Keeper, transport: Transport, local: Endpoint | None) -> None:
        self._keeper = keeper
        self._kind = transport
        self._local = local
        self._transport: asyncio.Transport | None = None
        self._flow: Flow | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._counted = 0
        self._watched = -1  # how many messages there were when `_watch` began
        self._rest = bytearray()  # what the receiver has not been told yet
        self._arrived = 0.0  # when it came
        self._paused = self._ended = False
        # For how long, since `_judged`, there was more than was taken; counted until `_more_at`.
        self._more_s = self._more_at = 0.0
        self._judged = float("-inf")
        self.framer = Framer()
        self.number = 0
        self.source = ""
        self.key: tuple[Transport, Endpoint, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = stream = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if peer is None:
            # The client has reset it already: there is no client to be named, counted or served.
            stream.abort()
            return
        remote = Endpoint(*peer[:2])
        self.source = source_of(remote.host)
        self.number = self._keeper.add(self)
        if not self.number:
            stream.abort()
            return
        local = self._local or Endpoint(*transport.get_extra_info("sockname")[:2])
        self._flow = Flow(self._kind, local, remote, self.number)
        self._keeper.met(self._flow)
        self._look_after()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._flow is None:
            return
        self._look_after()
        if not self._rest:
            self._arrived = asyncio.get_running_loop().time()
            self._queue(len(data))
        self._rest += data
        self._keeper.intake.go()

    def eof_received(self) -> bool:
        """The other side sends no more; what it has sent is to be handled first."""
        self._ended = bool(self._rest) and self._kind is Transport.TCP
        return self._ended

    def _queue(self, size: int) -> None:
        """Wait for a turn."""
        piece = min(size, _PIECE)
        self._keeper.intake.put(self.source, self._arrived, piece, self._pass_on, drop=False)

    def _pass_on(self) -> None:
        """A piece, and the next one when others have had their turn."""
        transport = self._transport
        if self._flow is None or transport is None:
            return
        piece = bytes(self._rest[:_PIECE])
        del self._rest[:_PIECE]
        self._keeper.on_bytes(piece, self._flow)
        if self._rest:
            # What follows waits with its sender, whom the kernel stops.
            self._note_more(asyncio.get_running_loop().time(), went_on=self._paused)
            if not self._paused:
                self._paused = True
                transport.pause_reading()
            self._queue(len(self._rest))
            return
        if self._ended:
            transport.close()
        elif self._paused and not transport.is_closing():
            transport.resume_reading()
        self._paused = False

    def _note_more(self, now: float, *, went_on: bool) -> None:
        """There is more than was taken, now; ``went_on``: so there was since the last time."""
        span = now - self._judged
        if span > 2 * INSISTS_S:
            self._judged, self._more_s, span = now, 0.0, 0.0
        elif went_on:
            self._more_s += now - self._more_at
        self._more_at = now
        if span >= INSISTS_S:
            self._keeper.floods.insists(self.source, self._more_s / span)
            self._judged, self._more_s = now, 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        if self._watch is not None:
            self._watch.cancel()
        self._keeper.drop(self, self._flow)
        flow, self._flow = self._flow, None
        if flow is not None:
            self._keeper.on_bytes(b"", flow)

    @property
    def open(self) -> bool:
        """Whether something can be sent over it."""
        transport = self._transport
        return self._flow is not None and transport is not None and not transport.is_closing()

    def count_requests(self) -> int:
        """How many requests it has brought since that was asked last."""
        requests, self._counted = self.framer.requests - self._counted, self.framer.requests
        return requests

    def write(self, data: bytes) -> None:
        """Send; a peer that doesn't read loses the connection."""
        transport = self._transport
        if transport is None or not self.open:
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
        """End it when it is silent for too long, and where a message takes too long to come."""
        if self._watch is not None:
            if self.framer.waiting and self.framer.messages == self._watched:
                return  # a byte now and then makes no message of it (slowloris)
            self._watch.cancel()
        self._watch_message()

    def _watch_message(self) -> None:
        self._watched = self.framer.messages
        # Whether half a message waits is known only after the receiver has seen these bytes.
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(self._keeper.limits.partial_s, self._still_partial)

    def _still_partial(self) -> None:
        if self._rest or (self.framer.waiting and self.framer.messages != self._watched):
            # The server itself is behind, or what waits now has begun since.
            self._watch_message()
            return
        if self.framer.waiting:
            self.abort()
            return
        limits = self._keeper.limits
        rest = max(limits.idle_s - limits.partial_s, 0)
        self._watch = asyncio.get_running_loop().call_later(rest, self.close)

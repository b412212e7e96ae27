"""One side of a TCP connection, as an endpoint: Linux's sender and receiver between two streams.

`remusnet.tcp` has what TCP does; here payloads become bytes and segments, and orders become
commands. What is not there: a closing handshake, and an application that reads slowly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from remusnet.emulator.traffic.endpoints import (
    Again,
    Command,
    End,
    Endpoint,
    Event,
    Expired,
    Left,
    Payload,
    Received,
    Segment,
    Send,
    SetTimer,
    Started,
    StopTimer,
)
from remusnet.results.exchanges import Ended
from remusnet.tcp.output import Arm, GiveUp, Transmit
from remusnet.tcp.receiver import Receiver
from remusnet.tcp.sender import Ack, Sender
from remusnet.tcp.stack import Stack, stamp_of

RTO, DELAYED = "rto", "delayed-ack"


@dataclass(slots=True)
class TcpEnd:
    """One side; ``app`` talks through it. ``opens``: whether it sends the SYN.

    ``what``: how the report names the connection.
    """

    app: Endpoint
    opens: bool
    stack: Stack
    what: str
    connected: bool = False
    dead: bool = False
    ends: list[tuple[int, Payload]] = field(default_factory=list)
    heard: dict[int, Payload] = field(default_factory=dict)
    sender: Sender = field(init=False)
    receiver: Receiver = field(init=False)
    _echo: int = 0
    _delayed: int | None = None

    def __post_init__(self) -> None:
        self.sender = Sender(self.stack)
        self.receiver = Receiver(self.stack)

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        if self.dead:
            return
        match event:
            case Started():
                if self.opens:
                    self.sender.open(now_ns)
                    yield from self._obey(now_ns)
            case Received(Segment() as segment):
                yield from self._segment(segment, now_ns)
            case Left(segment):
                self.sender.left_host(segment.sequence, segment.sequence + segment.size)
                self.sender.push(now_ns)
                yield from self._obey(now_ns)
            case Expired(timer) if timer == RTO:
                self.sender.expired(now_ns)
                yield from self._obey(now_ns)
            case Expired(timer) if timer == DELAYED:
                self._delayed = None
                if self.receiver.due(now_ns, self.sender.timing.rto_ns):
                    yield self._acknowledge(now_ns)
            case Expired():
                yield from self._of_app(event, now_ns)
            case _:
                raise TypeError(f"no segment: {event}")
        yield from self._delay(now_ns)

    def couple(self, *, coupled: bool) -> None:
        """Whether its host counts what is held as unsent; nothing of it is there now."""
        self.sender.couple(coupled=coupled)

    def _of_app(self, event: Event, now_ns: int) -> Iterator[Command]:
        """What the application does; what it says goes into the stream."""
        for command in self.app.handle(event, now_ns):
            if isinstance(command, Send):
                if not isinstance(command.what, Payload):
                    raise TypeError("an application sends payloads")
                self.ends.append((self.sender.given + command.what.size, command.what))
                self.sender.write(command.what.size, now_ns)
                yield from self._obey(now_ns)
            else:
                yield command

    def _obey(self, now_ns: int) -> Iterator[Command]:
        """The sender's orders as commands."""
        orders, self.sender.orders = self.sender.orders, []
        for order in orders:
            match order:
                case Transmit(start, end, copy, timeout, push):
                    if timeout:
                        yield Again(self.what, timeout=True)
                    if copy:
                        yield Again(self.what)
                    yield self._transmit(start, end, now_ns, push=push)
                case Arm(None):
                    yield StopTimer(RTO)
                case Arm(int(after_ns)):
                    yield SetTimer(RTO, after_ns)
                case GiveUp():
                    self.dead = True
                    yield End(self.what, Ended.TIMEOUT)

    def _transmit(self, start: int, end: int, now_ns: int, *, push: bool) -> Send:
        syn = start == 0
        ends = tuple(each for each in self.ends if start < each[0] <= end)
        if not syn:
            self.receiver.answered(now_ns)
        return self._send(now_ns, start, 0 if syn else end - start, syn=syn, ends=ends, push=push)

    def _acknowledge(self, now_ns: int) -> Send:
        """A segment without payload."""
        return self._send(now_ns, self.sender.next, 0)

    def _send(
        self, now_ns: int, start: int, size: int, *, syn: bool = False,
        ends: tuple[tuple[int, Payload], ...] = (), push: bool = False,
    ) -> Send:  # fmt: skip
        blocks, duplicate = self.receiver.blocks()
        stamp = (stamp_of(now_ns), self._echo) if self.stack.timestamps else None
        self.receiver.told()
        told, window = self.receiver.next, self.receiver.window.offered
        return Send(Segment(start, told, size, syn, ends, blocks, duplicate, stamp, window, push))

    def _delay(self, now_ns: int) -> Iterator[Command]:
        """The timer of a delayed acknowledgement follows what the receiver says."""
        due_ns = self.receiver.due_ns
        if due_ns == self._delayed:
            return
        self._delayed = due_ns
        yield StopTimer(DELAYED) if due_ns is None else SetTimer(DELAYED, due_ns - now_ns)

    def _segment(self, segment: Segment, now_ns: int) -> Iterator[Command]:
        sender, receiver = self.sender, self.receiver
        if segment.stamp and segment.sequence <= receiver.acknowledged:
            self._echo = max(self._echo, segment.stamp[0])
        if segment.syn:
            fresh = not receiver.next
            receiver.next = max(receiver.next, 1)
            if fresh and not self.opens:
                sender.open(now_ns)  # its SYN acknowledges too
                yield from self._obey(now_ns)
                return
        echo = segment.stamp[1] if segment.stamp else 0
        number = segment.ack
        sender.acknowledged(
            Ack(
                number,
                segment.blocks,
                segment.duplicate,
                echo,
                bool(segment.size),
                segment.window,
            ),
            now_ns,
        )
        if echo and segment.size >= self.stack.mss:
            receiver.window.echoed(echo, now_ns)
        yield from self._obey(now_ns)
        began = not self.connected and sender.una > 0
        if began:
            self.connected = True
            sender.established(now_ns)
        if segment.syn and (self.opens or self.connected):
            yield self._acknowledge(now_ns)
        if began:
            yield from self._of_app(Started(), now_ns)
        if segment.size:
            yield from self._take(segment, now_ns)
        self.ends = [each for each in self.ends if each[0] > sender.una]

    def _take(self, segment: Segment, now_ns: int) -> Iterator[Command]:
        """Payload: in order to the application, early into the store."""
        receiver = self.receiver
        end = segment.sequence + segment.size
        self.heard.update((at, what) for at, what in segment.ends if at > receiver.next)
        rto_ns = self.sender.timing.rto_ns
        if receiver.take(segment.sequence, end, now_ns, rto_ns, pushed=segment.push):
            yield self._acknowledge(now_ns)
        for at in sorted(at for at in self.heard if at <= receiver.next):
            yield from self._of_app(Received(self.heard.pop(at)), now_ns)

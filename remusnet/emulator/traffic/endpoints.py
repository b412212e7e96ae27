"""Protocols without I/O, in mitmproxy's way: an endpoint takes an event and yields commands.

An endpoint knows neither its caller nor the time, but what an event says. Timers, notes for the
report and frames are commands alike, so a conversation reads like a transcript, and a test is one.
All of an endpoint's state is in its fields: a copy of it is a checkpoint of it.

The small ones are here too: exchanges over TCP, TLS's handshake, lookups, echoes, tunnels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from remusnet.results.exchanges import Ended
from remusnet.scenario.traffic import Dns, Icmp, Tcp, Tunnel


@dataclass(frozen=True, slots=True)
class Payload:
    """What an application says: ``name`` is for its peer, ``size`` in bytes, ``text`` the bytes.

    ``tag`` tells copies and answers apart (a lookup's number, a dialog's transaction).
    """

    name: str
    size: int
    tag: int = 0
    text: bytes = b""


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment: ``sequence`` and ``ack`` from 0 at the SYN, ``size`` bytes of payload.

    ``ends``: the payloads whose last byte is in it, with the sequence number after that byte.
    ``blocks``: of SACK; the first tells of a copy where ``duplicate`` (DSACK, RFC 2883). ``stamp``:
    its timestamp and the one it echoes (`remusnet.tcp.stack.stamp_of`); None without the option, 0
    for none to echo. ``window``: bytes that its sender lets
    come beyond ``ack``. ``push``: whether it has the flag PSH.
    """

    sequence: int
    ack: int
    size: int
    syn: bool = False
    ends: tuple[tuple[int, Payload], ...] = ()
    blocks: tuple[tuple[int, int], ...] = ()
    duplicate: bool = False
    stamp: tuple[int, int] | None = None
    window: int = 1 << 20
    push: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The endpoint's time has come."""


@dataclass(frozen=True, slots=True)
class Received:
    """Something has come from the peer."""

    what: Payload | Segment


@dataclass(frozen=True, slots=True)
class Expired:
    """A timer has run out."""

    timer: str


@dataclass(frozen=True, slots=True)
class Left:
    """What the host counted as unsent has left it: a segment that was held without a copy."""

    what: Segment


Event = Started | Received | Expired | Left


@dataclass(frozen=True, slots=True)
class Send:
    """Give this to the other side."""

    what: Payload | Segment


@dataclass(frozen=True, slots=True)
class SetTimer:
    """`Expired` with this name after ``after_ns``; one that runs already is set anew."""

    timer: str
    after_ns: int


@dataclass(frozen=True, slots=True)
class StopTimer:
    """No `Expired` with this name any more."""

    timer: str


@dataclass(frozen=True, slots=True)
class Begin:
    """Tells the report: ``what`` has begun (a SIP transaction, a transfer)."""

    what: str


@dataclass(frozen=True, slots=True)
class End:
    """Tells the report: ``what`` is over. ``size``: bytes of payload that came."""

    what: str
    how: Ended
    size: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """Tells the report: a copy was sent for ``what``; ``timeout``: because a TCP timer ran out."""

    what: str
    timeout: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """Tells the report: an answer to ``what`` came, ``after_ns`` behind its request.

    ``number``: of the exchange, from 0; of a SIP transaction the status code.
    """

    what: str
    number: int
    after_ns: int


Note = Begin | End | Again | Answered
Command = Send | SetTimer | StopTimer | Note


@dataclass(frozen=True, slots=True)
class Said:
    """What an endpoint of conversation ``owner`` told the report at ``time_ns``."""

    owner: int
    what: Note
    time_ns: int


class Endpoint(Protocol):
    """One side of a conversation."""

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """What the side does about ``event``; ``now_ns`` is its own clock."""
        ...


REQUEST, RESPONSE = "request", "response"


@dataclass(slots=True)
class Asker:
    """Sends a request, waits for all of the response, thinks, and asks again.

    ``what``: the transfer in the report; it begins with the SYN, which the connection reports.
    """

    tcp: Tcp
    what: str
    done: int = 0
    asked_ns: int = 0

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        match event:
            case Started() | Expired("think"):
                self.asked_ns = now_ns
                yield Send(Payload(REQUEST, self.tcp.request, self.done))
            case Received():
                yield Answered(self.what, self.done, now_ns - self.asked_ns)
                self.done += 1
                if self.done < self.tcp.exchanges:
                    yield SetTimer("think", self.tcp.think_ns)
                else:
                    size = self.done * (self.tcp.request + self.tcp.response)
                    yield End(self.what, Ended.DONE, size)
            case _:
                raise TypeError(f"not for a client: {event}")


@dataclass(slots=True)
class Answerer:
    """Answers each request at once."""

    tcp: Tcp

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        if isinstance(event, Received) and isinstance(event.what, Payload):
            yield Send(Payload(RESPONSE, self.tcp.response, event.what.tag))


# Sizes of TLS 1.3 flights with a certificate of RSA 2048 (RFC 8446, 2: one round trip).
_HELLO = Payload("hello", 300)
_SERVER_FLIGHT = Payload("server-flight", 2500)
_FINISHED = Payload("finished", 80)


@dataclass(slots=True)
class Tls:
    """A handshake before ``app`` may talk. ``client``: whether this side says hello."""

    app: Endpoint
    client: bool
    open: bool = False

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        if self.open:
            yield from self.app.handle(event, now_ns)
            return
        match event:
            case Started():
                if self.client:
                    yield Send(_HELLO)
            case Received(Payload("hello")):
                yield Send(_SERVER_FLIGHT)
            case Received(Payload("server-flight")):
                yield Send(_FINISHED)
                yield from self._ready(now_ns)
            case Received(Payload("finished")):
                yield from self._ready(now_ns)
            case _:
                raise TypeError(f"not in a handshake: {event}")

    def _ready(self, now_ns: int) -> Iterator[Command]:
        self.open = True
        yield from self.app.handle(Started(), now_ns)


@dataclass(slots=True)
class Resolver:
    """Asks for one name; again after ``retry_ns``, until its tries are used up."""

    dns: Dns
    number: int
    tried: int = 0
    over: bool = False

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        what = "dns"
        match event:
            case Received():
                if not self.over:
                    self.over = True
                    yield StopTimer("retry")
                    yield End(what, Ended.DONE, _DNS_QUERY + _DNS_ANSWER)
            case Expired() if self.tried >= self.dns.tries:
                self.over = True
                yield End(what, Ended.TIMEOUT)
            case _:
                yield Again(what, timeout=True) if self.tried else Begin(what)
                self.tried += 1
                yield Send(Payload("query", _DNS_QUERY, self.number))
                yield SetTimer("retry", self.dns.retry_ns)


_DNS_QUERY, _DNS_ANSWER = 33, 49
"""Bytes of a question for www.example.com's A record, and of its answer."""


@dataclass(slots=True)
class Echoer:
    """Sends one echo request and waits for its reply, as long as the scenario lasts."""

    icmp: Icmp
    number: int
    over: bool = False

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        if isinstance(event, Started):
            yield Begin("icmp")
            yield Send(Payload("echo-request", self.icmp.size, self.number))
        elif not self.over:
            self.over = True
            yield End("icmp", Ended.DONE, 2 * self.icmp.size)


@dataclass(slots=True)
class Reflector:
    """Answers a query or an echo request at once. ``size``: of the answer; None for the same."""

    name: str
    size: int | None

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        if isinstance(event, Received) and isinstance(event.what, Payload):
            asked = event.what
            size = asked.size if self.size is None else self.size
            yield Send(Payload(self.name, size, asked.tag))


def dns_server() -> Reflector:
    """What answers a `Resolver`."""
    return Reflector("answer", _DNS_ANSWER)


def echo_server() -> Reflector:
    """What answers an `Echoer`."""
    return Reflector("echo-reply", None)


@dataclass(slots=True)
class Beacon:
    """A packet now and then that no answer follows: a tunnel's traffic."""

    tunnel: Tunnel
    sent: int = 0

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        if isinstance(event, Received):
            return
        if self.tunnel.count is None or self.sent < self.tunnel.count:
            yield Send(Payload("tunnelled", self.tunnel.size, self.sent))
            self.sent += 1
            yield SetTimer("next", self.tunnel.spacing_ns)


@dataclass(slots=True)
class Mute:
    """Hears everything and says nothing."""

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        yield from ()

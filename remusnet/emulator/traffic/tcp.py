"""One side of a TCP connection: sequence numbers, the ACK clock, and the retransmission timer.

What is there: slow start and congestion avoidance (RFC 5681) from ten segments (RFC 6928), fast
retransmit with NewReno's recovery (RFC 6582), the timer of RFC 6298 with Karn's rule and Linux's
least of 200 ms, which bounds the variance and not the sum. What is not: options, SACK, delayed ACKs
(every segment is acknowledged at once), a closing handshake, and a receive window that ever fills.
`tcp_caveats` tells where that shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from remusnet.emulator.traffic.endpoints import (
    Again,
    Command,
    End,
    Endpoint,
    Event,
    Expired,
    Payload,
    Received,
    Segment,
    Send,
    SetTimer,
    Started,
    StopTimer,
)
from remusnet.policy.policy import Policy
from remusnet.policy.presets import STOCK_REMUS
from remusnet.results.exchanges import Ended, Transfer
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Tcp, TcpKind, Transport

MS = 1_000_000
MSS = 1460
INITIAL_WINDOW = 10 * MSS
RECEIVE_WINDOW = 1 << 20
"""Bytes; what a peer lets come unacknowledged. Linux tunes it up to some megabytes."""
FIRST_RTO_NS = 1000 * MS
LONGEST_RTO_NS = 60_000 * MS
MOST_TRIES = 15
"""Linux's tcp_retries2: after so many timeouts in a row the connection is given up."""
RTO = "rto"


@dataclass(slots=True)
class TcpEnd:
    """One side; ``app`` talks through it. ``opens``: whether it sends the SYN.

    Counters are in bytes from 0 at the SYN, which counts as one. ``una``, ``next``: of RFC 9293's
    send sequence variables; ``written``: the end of what the application has given;
    ``received``: RCV.NXT. ``what``: how the report names the connection.
    """

    app: Endpoint
    opens: bool
    rto_min_ns: int
    what: str
    connected: bool = False
    dead: bool = False
    una: int = 0
    next: int = 0
    highest: int = 0
    written: int = 1
    ends: list[tuple[int, Payload]] = field(default_factory=list)
    window: float = INITIAL_WINDOW
    threshold: float = float("inf")
    duplicates: int = 0
    recover: int = 0
    recovering: bool = False
    smoothed_ns: int | None = None
    variance_ns: int = 0
    rto_ns: int = FIRST_RTO_NS
    tries: int = 0
    timed: tuple[int, int] | None = None
    received: int = 0
    early: dict[int, int] = field(default_factory=dict)
    heard: dict[int, Payload] = field(default_factory=dict)

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        if self.dead:
            return
        match event:
            case Started():
                if self.opens:
                    yield from self._send_new(now_ns)
            case Received(Segment() as segment):
                yield from self._segment(segment, now_ns)
            case Expired(timer) if timer == RTO:
                yield from self._timeout(now_ns)
            case Expired():
                yield from self._of_app(event, now_ns)
            case _:
                raise TypeError(f"no segment: {event}")

    def _of_app(self, event: Event, now_ns: int) -> Iterator[Command]:
        """What the application does; what it says goes into the stream."""
        for command in self.app.handle(event, now_ns):
            if isinstance(command, Send):
                if not isinstance(command.what, Payload):
                    raise TypeError("an application sends payloads")
                self.written += command.what.size
                self.ends.append((self.written, command.what))
            else:
                yield command
        yield from self._send_new(now_ns)

    def _send_new(self, now_ns: int) -> Iterator[Command]:
        """As much as both windows let go."""
        if not self.next:
            # A SYN, or the answer to one.
            if self.opens or self.received:
                yield from self._transmit(0, now_ns)
            return
        if not self.una:
            return  # the SYN is not acknowledged yet
        limit = self.una + min(int(self.window), RECEIVE_WINDOW)
        while self.next < self.written:
            size = min(MSS, self.written - self.next)
            if self.next + size > limit and self.next > self.una:
                return
            yield from self._transmit(self.next, now_ns)

    def _transmit(self, start: int, now_ns: int) -> Iterator[Command]:
        """The segment that begins at ``start``; the timer runs while anything is out."""
        syn = start == 0
        size = 0 if syn else min(MSS, self.written - start)
        end = start + (1 if syn else size)
        again = start < self.highest
        if again:
            yield Again(self.what)
            if self.timed and self.timed[0] > start:
                self.timed = None  # Karn: an ACK could be of either copy
        elif self.timed is None:
            self.timed = end, now_ns
        idle = self.una == self.next
        self.next = max(self.next, end)
        self.highest = max(self.highest, end)
        ends = tuple(each for each in self.ends if start < each[0] <= end)
        yield Send(Segment(start, self.received, size, syn, ends))
        if idle or again:
            yield SetTimer(RTO, self.rto_ns)

    def _segment(self, segment: Segment, now_ns: int) -> Iterator[Command]:
        if segment.syn:
            fresh = not self.received
            self.received = max(self.received, 1)
            if fresh and not self.opens:
                yield from self._send_new(now_ns)  # its SYN acknowledges too
                return
        yield from self._acknowledged(segment, now_ns)
        if segment.size or (segment.syn and (self.opens or self.connected)):
            yield from self._take(segment, now_ns)

    def _take(self, segment: Segment, now_ns: int) -> Iterator[Command]:
        """Payload: in order to the application, early into the store; every segment has its ACK."""
        if segment.size:
            self.early[segment.sequence] = segment.sequence + segment.size
            self.heard.update((end, what) for end, what in segment.ends if end > self.received)
            for start in sorted(self.early):
                if start <= self.received:
                    self.received = max(self.received, self.early.pop(start))
        yield Send(Segment(self.next, self.received, 0))
        for end in sorted(end for end in self.heard if end <= self.received):
            yield from self._of_app(Received(self.heard.pop(end)), now_ns)

    def _acknowledged(self, segment: Segment, now_ns: int) -> Iterator[Command]:
        if segment.ack <= self.una:
            pure = not segment.size and not segment.syn
            if pure and segment.ack == self.una and self.next > self.una:
                yield from self._duplicate(now_ns)
            return
        advanced = segment.ack - self.una
        self.una = segment.ack
        self.next = max(self.next, self.una)
        self.tries = 0
        self.ends = [each for each in self.ends if each[0] > self.una]
        if self.timed is not None and self.una >= self.timed[0]:
            self._measure(now_ns - self.timed[1])
            self.timed = None
        yield StopTimer(RTO) if self.una == self.next else SetTimer(RTO, self.rto_ns)
        yield from self._grow(advanced, now_ns)
        if not self.connected:
            self.connected = True
            yield from self._of_app(Started(), now_ns)
        else:
            yield from self._send_new(now_ns)

    def _grow(self, advanced: int, now_ns: int) -> Iterator[Command]:
        """The window's growth; within a recovery, NewReno's answer to a partial ACK."""
        self.duplicates = 0
        if self.recovering:
            if self.una >= self.recover:
                self.recovering = False
                self.window = self.threshold
            else:
                yield from self._transmit(self.una, now_ns)
            return
        if self.window < self.threshold:
            self.window += min(advanced, MSS)
        else:
            self.window += MSS * MSS / self.window

    def _duplicate(self, now_ns: int) -> Iterator[Command]:
        self.duplicates += 1
        if self.recovering:
            self.window += MSS
            yield from self._send_new(now_ns)
        elif self.duplicates == 3 and self.una > self.recover:
            self._lost(self.next)
            self.recovering = True
            self.window = self.threshold + 3 * MSS
            yield from self._transmit(self.una, now_ns)

    def _lost(self, recover: int) -> None:
        self.threshold = max((self.next - self.una) / 2, 2 * MSS)
        self.recover = recover

    def _timeout(self, now_ns: int) -> Iterator[Command]:
        """RFC 6298, 5.4 to 5.6: the oldest segment again, a window of one, twice the patience."""
        if self.una == self.next:
            return
        self.tries += 1
        if self.tries > MOST_TRIES:
            self.dead = True
            yield End(self.what, Ended.TIMEOUT)
            return
        yield Again(self.what, timeout=True)
        self._lost(self.highest)
        self.recovering = False
        self.duplicates = 0
        self.window = MSS
        self.rto_ns = min(2 * self.rto_ns, LONGEST_RTO_NS)
        self.next = self.una  # what follows goes again as the window opens
        yield from self._transmit(self.una, now_ns)

    def _measure(self, rtt_ns: int) -> None:
        """RFC 6298, section 2, with its G as large as ``rto_min_ns``.

        So Linux has it (net/ipv4/tcp_input.c, tcp_rtt_estimator and __tcp_set_rto): a path whose
        round trip is a whole epoch gets that epoch and 200 ms more. Were the sum bounded instead, a
        connection set up between two commits would repeat what merely waits for the next one.
        """
        if self.smoothed_ns is None:
            self.smoothed_ns, self.variance_ns = rtt_ns, rtt_ns // 2
        else:
            error = abs(self.smoothed_ns - rtt_ns)
            self.variance_ns = (3 * self.variance_ns + error) // 4
            self.smoothed_ns = (7 * self.smoothed_ns + rtt_ns) // 8
        rto_ns = self.smoothed_ns + max(self.rto_min_ns, 4 * self.variance_ns)
        self.rto_ns = min(rto_ns, LONGEST_RTO_NS)


BULK = (
    "TCP bulk: no HyStart here. Where a connection's set-up is shorter than the period, Linux "
    "leaves slow start early: half of its transfers of 5 MB took 2.6 times as long as here."
)
IDLE = (
    "TCP answers after idle: the window stays here. Linux begins slow start anew: answers of "
    "100 kB after a second took 435 ms at 200 ms, and 25 ms here."
)
COUPLED = (
    "stock-remus doesn't copy what it holds, and Linux counts that as unsent (TCP small queues): "
    "TCP from the guest got 4 segments an epoch, so that 5 MB took 177 s at 200 ms, and 3.8 s here."
)
RING = (
    "vif.ring: held frames keep their slots, as without a copy. Linux then counts them as unsent "
    "(TCP small queues), so TCP from the guest is slower still: 4 segments an epoch were measured."
)
QUEUE = (
    "TCP in bursts: the network's queue has no end here. Held output leaves up to 620 segments at "
    "once: through 100 Mbit/s with 100 packets of queue 5 MB took 8.8 s at 200 ms, and 2.4 s here."
)
LOSS = "TCP with losses: no SACK here. At 0.5 % medians are 1.4 to 2.2 times those of Linux."
TIMEOUT = (
    "TCP timeouts: Linux undoes what a false one did (Eifel, F-RTO, DSACK); here slow start begins "
    "anew. At 400 ms 7 of 20 transfers took 33 s so, where Linux's took 11 s at most."
)


def tcp_caveats(
    scenario: Scenario, policies: Sequence[Policy], transfers: Sequence[Transfer]
) -> tuple[str, ...]:
    """What to know before trusting the times of TCP in ``transfers`` (of all runs); often nothing.

    The figures are of Linux 6.1 with CUBIC under held output, 1 ms each way, measured beside the
    same scenarios; docs/explanation/emulator.md has them all.

    Without checkpoints nothing is held, and no sentence but that on losses applies.
    """
    return tuple(_caveats(scenario, policies, transfers))


def _caveats(
    scenario: Scenario, policies: Sequence[Policy], transfers: Sequence[Transfer]
) -> Iterator[str]:
    large = [each for each in scenario.tcp if max(each.request, each.response) > INITIAL_WINDOW]
    over_tcp = bool(scenario.tcp) or any(s.transport is not Transport.UDP for s in scenario.sip)
    if scenario.checkpointing is not None:
        if large:
            yield BULK
        if any(_idles(each) for each in large):
            yield IDLE
        if over_tcp and any(policy.name == STOCK_REMUS.name for policy in policies):
            yield COUPLED
        if over_tcp and scenario.host.ring_slots is not None:
            yield RING
        if large and scenario.network.rate is not None:
            yield QUEUE
    if over_tcp and scenario.network.loss_percent:
        yield LOSS
    elif any(each.timeouts for each in transfers if each.kind not in ("dns", "icmp")):
        yield TIMEOUT


def _idles(tcp: Tcp) -> bool:
    """Whether Linux finds the connection idle: for a timeout, which has at least ``rto_min_ns``."""
    return tcp.kind is TcpKind.EXCHANGE and tcp.exchanges > 1 and tcp.think_ns >= tcp.rto_min_ns

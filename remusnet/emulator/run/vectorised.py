"""All RTP streams of a scenario through one policy's buffer, many packets at a time.

A packet's way depends on nothing but its own stream and the checkpoints, as long as the plug has
room for all, the transmit ring has slots and the network has no rate: then a stream is a few array
operations. Where one of these may bind, `remusnet.emulator.run.loop` looks at every frame alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from remusnet.emulator.machine.departure import Losses, arrive, early, leave
from remusnet.emulator.machine.failover import passed_over, whole
from remusnet.emulator.machine.timeline import Timeline
from remusnet.emulator.run.passed import (
    Lost,
    Passed,
    measured,
    origin_of,
    sequence_of,
    summary,
    through_network,
    timestamp_of,
)
from remusnet.emulator.traffic.media import Segment, segments
from remusnet.emulator.traffic.rtp import Source, generator
from remusnet.frames import Int64s
from remusnet.metrics.jitter import Float64s
from remusnet.metrics.rtp_meter import Meter
from remusnet.results.comparison import Stream
from remusnet.results.scene import NEVER, PacketSeries
from remusnet.scenario.scenario import Network, Role, Scenario


@dataclass(slots=True)
class Tally:
    """What is counted over all streams of a run: packets."""

    packets: int = 0
    held: int = 0
    bypassed: int = 0
    dropped: int = 0
    violations: int = 0
    unprotected: int = 0

    def add(self, other: Tally) -> None:
        """``other`` on top."""
        self.packets += other.packets
        self.held += other.held
        self.bypassed += other.bypassed
        self.dropped += other.dropped
        self.violations += other.violations
        self.unprotected += other.unprotected


@dataclass(slots=True)
class Keeping:
    """How many packets a run may still keep one by one; a stream is kept whole or not at all."""

    packets: int

    def take(self, packets: int) -> bool:
        """Whether a stream of so many is kept."""
        if packets > self.packets:
            self.packets = 0  # so that which streams are kept doesn't depend on their sizes
            return False
        self.packets -= packets
        return True


@dataclass(slots=True)
class Pieces:
    """A stream's packets, segment by segment, for those who want them all."""

    sent_ns: list[Int64s] = field(default_factory=list)
    left_ns: list[Int64s] = field(default_factory=list)
    arrived_ns: list[Int64s] = field(default_factory=list)
    numbers: list[Int64s] = field(default_factory=list)
    ticks: list[Int64s] = field(default_factory=list)
    jitter_ms: list[Float64s] = field(default_factory=list)
    due_ns: list[Int64s] = field(default_factory=list)

    def passed(self) -> Passed:
        """As one."""
        arrived_ns = _whole(self.arrived_ns)
        lost = np.where(arrived_ns == NEVER, np.int8(Lost.NETWORK), np.int8(Lost.NOWHERE))
        return Passed(
            _whole(self.sent_ns),
            _whole(self.left_ns),
            arrived_ns,
            _whole(self.numbers),
            _whole(self.ticks),
            lost.astype(np.int8),
            _whole(self.due_ns),
        )

    def series(self, source: Source) -> PacketSeries:
        """For the results."""
        passed = self.passed()
        jitter = np.concatenate(self.jitter_ms) if self.jitter_ms else np.zeros(0)
        return PacketSeries(
            passed.sent_ns,
            passed.left_ns,
            passed.arrived_ns,
            sequence_of(source, passed.number),
            timestamp_of(source, passed.tick),
            np.flatnonzero(passed.arrived_ns != NEVER),
            jitter,
            passed.due_ns,
        )


def _whole(pieces: list[Int64s]) -> Int64s:
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)


def media_of(source: Source, scenario: Scenario) -> tuple[Iterable[Segment], np.random.Generator]:
    """The packets of ``source`` as the guest is to send them, and the chance of its network.

    Under every policy the same. What a relay sends on has come over the network already, with its
    delay and jitter.
    """
    rng = generator(scenario.seed, "media", source.number)
    host, network = scenario.host, scenario.network
    jitter_ns = host.jitter_ns if source.from_guest else 0
    if source.from_guest and source.calls.role is Role.RELAY:
        jitter_ns = round(float(np.hypot(jitter_ns, network.jitter_ns)))
    return segments(source, jitter_ns, rng), rng


def run_stream(
    source: Source, scenario: Scenario, timeline: Timeline, *, hold: bool, keep: bool
) -> tuple[Stream, Tally]:
    """One stream by itself. ``keep``: whether its packets are wanted one by one."""
    hold = hold and source.from_guest and timeline.protected
    if timeline.marks is not None or scenario.network.reorder:
        passed = passed_whole(source, scenario, timeline, hold=hold)
        return measured(source, passed, keep=keep), tally_of(source, passed, timeline, hold=hold)
    media, rng = media_of(source, scenario)
    meter = Meter(source.calls.ptime_ns, source.packets)
    pieces = Pieces()
    tally = Tally()
    lost = 0
    way = _Way(scenario.network, rng)
    for segment in media:
        if source.from_guest:
            sent_ns, left_ns = leave(segment.due_ns, timeline.checkpoints, hold)
        else:
            sent_ns = left_ns = segment.due_ns
        arrived_ns, kept = way.arrive(left_ns)
        if kept is None:
            jitter_ms = meter.add(arrived_ns, segment.first, segment.tick)
        else:
            lost += len(segment) - len(kept)
            jitter_ms = meter.add(arrived_ns[kept], segment.numbers[kept], segment.ticks[kept])
        tally.packets += len(segment)
        if hold:
            tally.violations += early(sent_ns, left_ns, timeline.checkpoints)
        if keep:
            if kept is not None:
                gone = np.full(len(segment), NEVER, np.int64)
                gone[kept] = arrived_ns[kept]
                arrived_ns = gone
            pieces.sent_ns.append(sent_ns)
            pieces.left_ns.append(left_ns)
            pieces.arrived_ns.append(arrived_ns)
            pieces.numbers.append(segment.numbers)
            pieces.ticks.append(segment.ticks)
            pieces.jitter_ms.append(jitter_ms)
            pieces.due_ns.append(segment.due_ns)
    if source.from_guest:
        tally.held, tally.bypassed = (tally.packets, 0) if hold else (0, tally.packets)
        tally.unprotected = 0 if timeline.protected else tally.packets
    stream = summary(
        source,
        times=(meter.first_ns, meter.last_ns) if meter.packets else None,
        packets=meter.packets,
        sequence=meter.sequence,
        jitter=meter.jitter,
        bursts=meter.bursts,
        interarrival=meter.interarrival_ms(),
    )
    origin = origin_of(source, sent=tally.packets, lost=(0, 0, lost))
    series = pieces.series(source) if keep else None
    return Stream(stream, source.from_guest, origin, series), tally


class _Way:
    """One stream's way through the network, segment by segment, in order."""

    def __init__(self, network: Network, rng: np.random.Generator) -> None:
        self.network = network
        self.rng = rng
        self.losses = Losses(network, rng) if network.loss_percent else None
        self.latest = 0

    def arrive(self, left_ns: Int64s) -> tuple[Int64s, Int64s | None]:
        """When each packet comes, and which do (int64[m]; None for all).

        What is lost does not hold up what follows.
        """
        arrived_ns = arrive(left_ns, self.network, self.rng)
        kept = None
        if self.losses is not None:
            kept = np.flatnonzero(~self.losses.next(len(left_ns)))
        if self.network.jitter_ns and len(arrived_ns):
            came = arrived_ns if kept is None else arrived_ns[kept]
            if len(came):
                came[0] = max(int(came[0]), self.latest)
                np.maximum.accumulate(came, out=came)
                self.latest = int(came[-1])
            if kept is not None:
                arrived_ns[kept] = came
        return arrived_ns, kept


def passed_whole(source: Source, scenario: Scenario, timeline: Timeline, *, hold: bool) -> Passed:
    """All packets of one stream, through buffer, failure and network."""
    pieces, rng = media_of(source, scenario)
    media = whole(list(pieces))
    if timeline.marks is not None:
        passed = passed_over(source, media, timeline.checkpoints, timeline.marks, hold=hold)
    else:
        sent_ns = left_ns = media.due_ns
        if source.from_guest:
            sent_ns, left_ns = leave(media.due_ns, timeline.checkpoints, hold)
        never = np.full(len(media), NEVER, np.int64)
        lost = np.zeros(len(media), np.int8)
        passed = Passed(sent_ns, left_ns, never, media.numbers, media.ticks, lost, media.due_ns)
    return through_network(passed, scenario.network, rng)


def tally_of(source: Source, passed: Passed, timeline: Timeline, *, hold: bool) -> Tally:
    """What is counted of packets that are all there; after a failure nothing is held."""
    tally = Tally(packets=len(passed), dropped=passed.count(Lost.BUFFER))
    if not source.from_guest:
        return tally
    marks = timeline.marks
    guests = passed.lost != Lost.NOBODY
    guarded = guests & hold
    unprotected = np.full(len(passed), not timeline.protected)
    if marks is not None:
        unprotected = (passed.sent_ns >= marks.resume_ns) & (passed.left_ns != NEVER)
        guarded &= ~unprotected
    tally.held = int(guarded.sum())
    tally.bypassed = int(guests.sum()) - tally.held
    tally.unprotected = int((unprotected & guests).sum())
    went = guarded & (passed.left_ns != NEVER)
    tally.violations = early(passed.sent_ns[went], passed.left_ns[went], timeline.checkpoints)
    return tally

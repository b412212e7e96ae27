"""RTP many packets at a time: each stream of a scenario by itself, through one policy's buffer.

A packet's way depends on nothing but its own stream and the checkpoints, as long as the plug has
room for all, the transmit ring has slots and the network has no rate: then a stream is a few array
operations on each stretch of it. Where packets may overtake each other, or a failure sends some
twice, the stream is taken whole. Where plug, ring or rate may bind, `remusnet.emulator.run.loop`
looks at every frame alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from remusnet.emulator.machine.epochs import Tally, Timeline, depart
from remusnet.emulator.machine.failover import through_failure
from remusnet.emulator.network.link import Link
from remusnet.emulator.traffic.rtp import (
    Lost,
    Source,
    StreamPackets,
    Stretch,
    joined,
    sequence_of,
    stretches,
    timestamp_of,
    together,
)
from remusnet.frames import Int64s
from remusnet.metrics.arrivals import Float64s
from remusnet.metrics.holding import left_early
from remusnet.metrics.payload_types import Medium, PayloadType
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.metrics.rtp import StreamSummary
from remusnet.metrics.rtp_meter import Measures, StreamMeter, measured_whole
from remusnet.results.stream import NEVER, Origin, PacketSeries, Stream
from remusnet.scenario.quantity import generator
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Role


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


def media_of(source: Source, scenario: Scenario) -> tuple[Iterable[Stretch], np.random.Generator]:
    """The packets of ``source`` as the guest is to send them, and the chance of its network.

    Under every policy the same. What a relay sends on has come over the network already, with its
    delay and jitter.
    """
    rng = generator(scenario.seed, "media", source.number)
    host, network = scenario.host, scenario.network
    jitter_ns = host.jitter_ns if source.from_guest else 0
    if source.from_guest and source.calls.role is Role.RELAY:
        jitter_ns = round(float(np.hypot(jitter_ns, network.jitter_ns)))
    return stretches(source, jitter_ns, rng), rng


def run_stream(
    source: Source, scenario: Scenario, timeline: Timeline, *, hold: bool, keep: bool
) -> tuple[Stream, Tally]:
    """One stream by itself. ``keep``: whether its packets are wanted one by one."""
    hold = hold and source.from_guest and timeline.protected
    if timeline.marks is not None or scenario.network.reorder:
        packets = packets_of(source, scenario, timeline, hold=hold)
        return measured(source, packets, keep=keep), tally_of(source, packets, timeline, hold=hold)
    media, rng = media_of(source, scenario)
    planned = timeline.checkpoints
    link = Link(scenario.network, rng)
    meter = StreamMeter(source.calls.ptime_ns, source.packets)
    tally = Tally()
    parts: list[StreamPackets] = []
    jitter_ms: list[Float64s] = []
    for stretch in media:
        sent_ns, left_ns = _left(source, stretch, timeline, hold)
        arrived_ns, kept = link.stretch(left_ns)
        if kept is None:
            series = meter.add(arrived_ns, stretch.first, stretch.tick)
        else:
            series = meter.add(arrived_ns[kept], stretch.numbers[kept], stretch.ticks[kept])
        tally.packets += len(stretch)
        if hold:
            tally.violations += left_early(sent_ns, left_ns, planned.suspend_ns, planned.commit_ns)
        if keep:
            if kept is None:
                parts.append(StreamPackets.of(stretch, sent_ns, left_ns, arrived_ns))
            else:
                left = StreamPackets.of(stretch, sent_ns, left_ns)
                parts.append(_arrived(left, arrived_ns, kept))
            jitter_ms.append(series)
    if source.from_guest:
        tally.held, tally.bypassed = (tally.packets, 0) if hold else (0, tally.packets)
        tally.unprotected = 0 if timeline.protected else tally.packets
    measures = meter.measures
    origin = _origin(source, sent=tally.packets, lost=(0, 0, tally.packets - measures.packets))
    found = None
    if keep:
        nothing = joined([])
        packets = together(parts or [StreamPackets.of(nothing, nothing.due_ns, nothing.due_ns)])
        arrival = np.flatnonzero(packets.arrived_ns != NEVER)
        found = _series(source, packets, arrival, np.concatenate([np.zeros(0), *jitter_ms]))
    return Stream(_summary(source, measures), source.from_guest, origin, found), tally


def packets_of(
    source: Source, scenario: Scenario, timeline: Timeline, *, hold: bool
) -> StreamPackets:
    """All packets of one stream, through buffer, failure and network."""
    parts, rng = media_of(source, scenario)
    media = joined(list(parts))
    if timeline.marks is not None:
        packets = through_failure(source, media, timeline.checkpoints, timeline.marks, hold=hold)
    else:
        packets = StreamPackets.of(media, *_left(source, media, timeline, hold))
    gone = packets.lost != Lost.NOWHERE
    return _arrived(packets, *Link(scenario.network, rng).stretch(packets.left_ns, gone))


def _left(source: Source, media: Stretch, timeline: Timeline, hold: bool) -> tuple[Int64s, Int64s]:
    """When packets are sent, and when they leave for the network: a peer's when they are due."""
    if not source.from_guest:
        return media.due_ns, media.due_ns
    return depart(media.due_ns, timeline.checkpoints, hold)


def _arrived(packets: StreamPackets, arrived_ns: Int64s, kept: Int64s | None) -> StreamPackets:
    """``packets`` after the network, which took those that left and aren't ``kept`` (None: all)."""
    rows = slice(None) if kept is None else kept
    came = packets.arrived_ns.copy()
    came[rows] = arrived_ns[rows]
    lost = np.where((came == NEVER) & (packets.lost == Lost.NOWHERE), Lost.NETWORK, packets.lost)
    return replace(packets, arrived_ns=came, lost=lost.astype(np.int8))


def tally_of(source: Source, packets: StreamPackets, timeline: Timeline, *, hold: bool) -> Tally:
    """Counts packets that are all there; after a failure nothing is held."""
    tally = Tally(packets=len(packets), dropped=packets.count(Lost.BUFFER))
    if not source.from_guest:
        return tally
    marks, planned = timeline.marks, timeline.checkpoints
    guests = packets.lost != Lost.NOBODY
    guarded = guests & hold
    unprotected = np.full(len(packets), not timeline.protected)
    if marks is not None:
        unprotected = (packets.sent_ns >= marks.resume_ns) & (packets.left_ns != NEVER)
        guarded &= ~unprotected
    tally.held = int(guarded.sum())
    tally.bypassed = int(guests.sum()) - tally.held
    tally.unprotected = int((unprotected & guests).sum())
    went = guarded & (packets.left_ns != NEVER)
    tally.violations = left_early(
        packets.sent_ns[went], packets.left_ns[went], planned.suspend_ns, planned.commit_ns
    )
    return tally


def measured(source: Source, packets: StreamPackets, *, keep: bool) -> Stream:
    """The numbers of a stream that is all there; with ``keep``, its packets.

    Packets that come at the same time do so in the order in which they left, then were sent.
    """
    came = np.flatnonzero(packets.arrived_ns != NEVER)
    arrival = came[np.lexsort((came, packets.left_ns[came], packets.arrived_ns[came]))]
    measures, jitter_ms = measured_whole(
        packets.arrived_ns[arrival],
        packets.number[arrival] + source.first_sequence,
        timestamp_of(source, packets.tick[arrival]),
        source.calls.codec.clock_rate,
        source.calls.ptime_ns,
    )
    went = packets.left_ns != NEVER
    origin = _origin(
        source,
        sent=len(packets),
        lost=(
            packets.count(Lost.BUFFER),
            packets.count(Lost.FAILURE) + packets.count(Lost.NOBODY),
            packets.count(Lost.NETWORK),
        ),
        index_reuse=int(went.sum()) - len(np.unique(packets.number[went])),
    )
    series = _series(source, packets, arrival, jitter_ms) if keep else None
    return Stream(_summary(source, measures), source.from_guest, origin, series)


def _series(
    source: Source, packets: StreamPackets, arrival: Int64s, jitter_ms: Float64s
) -> PacketSeries:
    """The results' series: all packets, ``arrival`` of which came, in that order."""
    return PacketSeries(
        packets.sent_ns,
        packets.left_ns,
        packets.arrived_ns,
        sequence_of(source, packets.number),
        timestamp_of(source, packets.tick),
        arrival,
        jitter_ms,
        packets.due_ns,
    )


def _summary(source: Source, measures: Measures) -> StreamSummary:
    """The summary of a simulated stream: what a capture has to guess is known here."""
    codec = source.calls.codec
    first_ns, last_ns = measures.times or (None, None)
    return StreamSummary(
        ssrc=source.ssrc,
        flow=source.flow,
        packets=measures.packets,
        first_ns=first_ns,
        last_ns=last_ns,
        sequence=measures.sequence,
        jitter_ms=measures.jitter,
        interarrival_ms=measures.interarrival_ms,
        bursts=measures.bursts,
        ptime_ms=source.calls.ptime_ns / NS_PER_MS,
        payload_types=(
            PayloadType(codec.payload_type, codec.encoding, codec.clock_rate, codec.source),
        ),
        clock_rate=codec.clock_rate,
        clock_rate_source=codec.source,
        medium=Medium.AUDIO,
        events=None,
        timestamp_jumps=0,
        notes=(),
    )


def _origin(
    source: Source, *, sent: int, lost: tuple[int, int, int], index_reuse: int = 0
) -> Origin:
    """``lost``: by the buffer, the failure and the network."""
    return Origin(
        source.group,
        source.call,
        source.calls.codec.name,
        source.calls.ptime_ns,
        source.calls.srtp,
        sent,
        *lost,
        index_reuse,
    )

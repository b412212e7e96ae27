"""What became of every packet of one stream, and the numbers that come of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from remusnet.emulator.machine.departure import Losses, arrive
from remusnet.emulator.traffic.rtp import Source
from remusnet.frames import Int64s
from remusnet.metrics.bursts import Bursts, burst_sizes, burst_summary
from remusnet.metrics.jitter import Jitter, interarrival_jitter, jitter_summary
from remusnet.metrics.payload_types import Medium, PayloadType
from remusnet.metrics.percentiles import NS_PER_MS, Spread, milliseconds, spread
from remusnet.metrics.rtp import StreamSummary
from remusnet.metrics.sequence import SequenceCounts, sequence_counts
from remusnet.results.comparison import Stream
from remusnet.results.scene import NEVER, Origin, PacketSeries
from remusnet.scenario.scenario import Network


class Lost(IntEnum):
    """Where a packet ended; `NOWHERE` is one that came."""

    NOWHERE = 0
    BUFFER = 1
    FAILURE = 2
    """It was held when the primary died, or sent before the path was back."""
    NETWORK = 3
    NOBODY = 4
    """It was for a guest that was not there; a relay that is down passes nothing on."""


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """n packets in the order of sending; int64[n] each but ``lost``, which is int8[n].

    ``left_ns``, ``arrived_ns``: `NEVER` for packets that didn't. ``number``, ``tick``: see
    `Segment`; a backup that goes on from an older state uses numbers again. ``due_ns``: when the
    source wanted to send them, pause or not.
    """

    sent_ns: Int64s
    left_ns: Int64s
    arrived_ns: Int64s
    number: Int64s
    tick: Int64s
    lost: npt.NDArray[np.int8]
    due_ns: Int64s

    def __len__(self) -> int:
        return len(self.sent_ns)

    def count(self, where: Lost) -> int:
        """How many packets ended there."""
        return int(np.count_nonzero(self.lost == where))


def through_network(passed: Passed, network: Network, rng: np.random.Generator) -> Passed:
    """``passed`` with what the network does to packets that left and are not lost yet."""
    arrival_ns = arrive(passed.left_ns, network, rng)
    lost = passed.lost.copy()
    if network.loss_percent:
        lost[Losses(network, rng).next(len(passed)) & (lost == Lost.NOWHERE)] = Lost.NETWORK
    came = np.flatnonzero(lost == Lost.NOWHERE)
    arrived_ns = np.full(len(passed), NEVER, np.int64)
    if network.reorder:
        arrived_ns[came] = arrival_ns[came]
    else:
        in_order = came[np.argsort(passed.left_ns[came], kind="stable")]
        arrived_ns[in_order] = np.maximum.accumulate(arrival_ns[in_order])
    return replace(passed, arrived_ns=arrived_ns, lost=lost)


def sequence_of(source: Source, number: Int64s) -> Int64s:
    """16-bit sequence numbers of packets."""
    return (source.first_sequence + number) & 0xFFFF


def timestamp_of(source: Source, tick: Int64s) -> Int64s:
    """32-bit timestamps of packets."""
    step = source.calls.codec.timestamp_step(source.calls.ptime_ns)
    return (source.first_timestamp + tick * step) & 0xFFFFFFFF


def measured(source: Source, passed: Passed, *, keep: bool) -> Stream:
    """The numbers of a stream, by the functions that measure captures; with ``keep``, its packets.

    Packets that come at the same time do so in the order in which they left, then were sent.
    """
    came = np.flatnonzero(passed.arrived_ns != NEVER)
    arrival = came[np.lexsort((came, passed.left_ns[came], passed.arrived_ns[came]))]
    arrived_ns = passed.arrived_ns[arrival]
    sequence = sequence_of(source, passed.number)
    timestamp = timestamp_of(source, passed.tick)
    jitter_ms = interarrival_jitter(arrived_ns, timestamp[arrival], source.calls.codec.clock_rate)
    counted = sequence_counts(sequence[arrival])
    # Of packets that a backup sent again the first copies, as of a capture's.
    if counted.duplicates:
        _, first = np.unique(passed.number[arrival], return_index=True)
        sizes = burst_sizes(arrived_ns[np.sort(first)], source.calls.ptime_ns)
    else:
        sizes = burst_sizes(arrived_ns, source.calls.ptime_ns)
    went = passed.left_ns != NEVER
    stream = summary(
        source,
        times=(int(arrived_ns[0]), int(arrived_ns[-1])) if len(arrival) else None,
        packets=len(arrival),
        sequence=counted,
        jitter=jitter_summary(jitter_ms),
        interarrival=spread(milliseconds(np.diff(arrived_ns))),
        bursts=burst_summary(sizes),
    )
    origin = origin_of(
        source,
        sent=len(passed),
        lost=(
            passed.count(Lost.BUFFER),
            passed.count(Lost.FAILURE) + passed.count(Lost.NOBODY),
            passed.count(Lost.NETWORK),
        ),
        index_reuse=int(went.sum()) - len(np.unique(passed.number[went])),
    )
    series = None
    if keep:
        series = PacketSeries(
            passed.sent_ns,
            passed.left_ns,
            passed.arrived_ns,
            sequence,
            timestamp,
            arrival,
            jitter_ms,
            passed.due_ns,
        )
    return Stream(stream, source.from_guest, origin, series)


def summary(
    source: Source,
    *,
    times: tuple[int, int] | None,
    packets: int,
    sequence: SequenceCounts,
    jitter: Jitter,
    interarrival: Spread | None,
    bursts: Bursts,
) -> StreamSummary:
    """The summary of a simulated stream: what a capture has to guess is known here."""
    codec = source.calls.codec
    first_ns, last_ns = times or (None, None)
    return StreamSummary(
        ssrc=source.ssrc,
        flow=source.flow,
        packets=packets,
        first_ns=first_ns,
        last_ns=last_ns,
        sequence=sequence,
        jitter_ms=jitter,
        interarrival_ms=interarrival,
        bursts=bursts,
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


def origin_of(
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

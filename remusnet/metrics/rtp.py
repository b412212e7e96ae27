"""RTP streams of a capture: jitter, loss, order and bursts of each (RFC 3550)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Bools, Frames, Int64s
from remusnet.metrics.arrivals import (
    UNKNOWN,
    Bursts,
    Float64s,
    Jitter,
    SequenceCounts,
    burst_sizes,
    burst_summary,
    clock_jumps,
    interarrival_jitter,
    jitter_summary,
    sequence_counts,
    signed32,
)
from remusnet.metrics.flows import flow_of
from remusnet.metrics.payload_types import STATIC, Medium, PayloadType, RateSource, named_types
from remusnet.metrics.percentiles import NS_PER_MS, Spread, percentile, rounded, spread
from remusnet.metrics.rtp_packets import RtpPackets, rtp_packets, split_streams
from remusnet.metrics.sdp import MediaMap, sdp_media
from remusnet.metrics.telephone_events import TelephoneEvents, events_of

_MANY = 0.1
"""A share of copies that no network makes."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamSummary:
    """The measures of one RTP stream: packets of one SSRC in one direction of one flow.

    ``packets``: how many came, copies included; ``first_ns`` and ``last_ns``: when, the first and
    the last (None where none came). ``jitter_ms``: mean and largest of packets 2..n, telephone
    events left out; unknown without a clock rate. ``interarrival_ms``: gaps between neighbours.
    ``bursts``: see `burst_sizes`. ``ptime_ms``: the median timestamp step of consecutive packets,
    None where there is none. ``payload_types``: in order of appearance; ``clock_rate`` and
    ``medium`` are of the most common one, None where nothing tells. ``timestamp_jumps``: see
    `clock_jumps`. ``notes``: what to know before trusting the numbers.
    """

    ssrc: int
    flow: str
    packets: int
    first_ns: int | None
    last_ns: int | None
    sequence: SequenceCounts
    jitter_ms: Jitter
    interarrival_ms: Spread | None
    bursts: Bursts
    ptime_ms: float | None
    payload_types: tuple[PayloadType, ...]
    clock_rate: int | None
    clock_rate_source: RateSource
    medium: Medium | None
    events: TelephoneEvents | None
    timestamp_jumps: int
    notes: tuple[str, ...]

    @property
    def lost(self) -> int:
        """Packets that never came: a count, not a share."""
        return self.sequence.lost

    @property
    def duplicates(self) -> int:
        """Copies beyond the first."""
        return self.sequence.duplicates

    @property
    def reordered(self) -> int:
        """First copies that came after a packet with a higher number."""
        return self.sequence.reordered

    @property
    def ssrc_text(self) -> str:
        """``0x0000beef``, as tshark prints it."""
        return f"0x{self.ssrc:08x}"

    def to_json(self) -> dict[str, object]:
        """As ``simulate --json`` has it; times in ms say so in their names."""
        return {
            "ssrc": self.ssrc_text,
            "flow": self.flow,
            "packets": self.packets,
            "lost": self.lost,
            "lost_percent": rounded(self.sequence.lost_percent),
            "duplicates": self.duplicates,
            "reordered": self.reordered,
            "restarts": self.sequence.restarts,
            "strays": self.sequence.strays,
            "timestamp_jumps": self.timestamp_jumps,
            "jitter_ms": self.jitter_ms.to_json(),
            "interarrival_ms": self.interarrival_ms and self.interarrival_ms.to_json(),
            "burst": {"median": self.bursts.median, "max": self.bursts.max},
            "ptime_ms": None if self.ptime_ms is None else rounded(self.ptime_ms),
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "payload_types": [payload_type.to_json() for payload_type in self.payload_types],
            "clock_rate": self.clock_rate,
            "clock_rate_source": str(self.clock_rate_source),
            "medium": self.medium and str(self.medium),
            "events": self.events and self.events.to_json(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, eq=False)
class RtpStream(StreamSummary):
    """A stream of a capture, with its packets in order of arrival.

    ``frames``: int64[n], indices into the capture. ``arrival_ns``: int64[n]. ``jitter_series_ms``:
    float64[n], the estimate after each packet. ``numbers`` (16 bits), ``timestamps`` (32 bits):
    int64[n], as in the packets. ``event``: bool[n], telephone events; None where there are none.
    """

    frames: Int64s
    arrival_ns: Int64s
    numbers: Int64s
    timestamps: Int64s
    event: Bools | None
    jitter_series_ms: Float64s


def rtp_streams(
    frames: Frames, columns: Columns, recorded_ns: Int64s | None = None
) -> list[RtpStream]:
    """All plausible RTP streams of a capture, in order of their first packets.

    ``columns`` are those of ``frames``. Order of arrival is order of time; frames of equal times
    keep the order of the file. Clock rates come from RFC 3551, from SDP in the capture, and last
    from how timestamps advance in time: that of the recording (``recorded_ns``: int64[n]) where a
    replay has moved the frames, so that all policies are measured by one clock.
    """
    streams = split_streams(rtp_packets(frames, columns, recorded_ns), columns)
    # Only a dynamic type needs SDP, and the search for it reads all bytes of the capture.
    dynamic = any(not np.isin(packets.payload_type, list(STATIC)).all() for packets in streams)
    media = sdp_media(frames, columns) if dynamic else MediaMap()
    return [_stream(packets, frames, columns, media) for packets in streams]


def _stream(packets: RtpPackets, frames: Frames, columns: Columns, media: MediaMap) -> RtpStream:
    named = named_types(packets, frames, columns, media.encoding)
    rates = np.zeros(128, np.int64)
    pressed = np.zeros(128, np.bool_)
    for each in named.types:
        rates[each.number] = each.clock_rate or 0
        pressed[each.number] = each.is_event
    rate = rates[packets.payload_type]
    event = pressed[packets.payload_type]
    timing = _timing(packets, rate, event)
    of_events = np.flatnonzero(event)
    media_of = np.flatnonzero(~event) if len(of_events) < len(packets) else of_events
    common = int(np.bincount(packets.payload_type[media_of]).argmax())
    main = next(each for each in named.types if each.number == common)
    sequence = sequence_counts(packets.sequence)
    events = None
    if len(of_events):
        own = packets.take(of_events)
        clock = next(each.clock_rate for each in named.types if each.is_event)
        events = events_of(own, frames, columns, clock)
    return RtpStream(
        ssrc=int(packets.ssrc[0]),
        flow=flow_of(columns, int(packets.frame[0])),
        packets=len(packets),
        first_ns=int(packets.arrival_ns[0]),
        last_ns=int(packets.arrival_ns[-1]),
        frames=packets.frame,
        arrival_ns=packets.arrival_ns,
        numbers=packets.sequence,
        timestamps=packets.timestamp,
        event=event if len(of_events) else None,
        sequence=sequence,
        jitter_series_ms=timing.series_ms,
        jitter_ms=timing.jitter_ms,
        interarrival_ms=spread(np.diff(packets.arrival_ns), NS_PER_MS),
        bursts=timing.bursts,
        ptime_ms=timing.ptime_ms,
        payload_types=named.types,
        clock_rate=main.clock_rate,
        clock_rate_source=main.source,
        medium=main.medium,
        events=events,
        timestamp_jumps=timing.jumps,
        notes=(*named.notes, *_notes(named.types, main, events, timing.jumps, sequence)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Timing:
    """What times and timestamps tell of one stream; ``series_ms``: NaN where there is no rate."""

    series_ms: Float64s
    jitter_ms: Jitter
    bursts: Bursts
    ptime_ms: float | None
    jumps: int


def _timing(packets: RtpPackets, rate: Int64s, event: Bools) -> _Timing:
    """The timing of packets that are media, and whose clock rate (``rate``, else 0) is known."""
    whole = not event.any() and bool(rate.all())
    rows = np.arange(len(packets)) if whole else np.flatnonzero(~event & (rate > 0))
    counted = packets if whole else packets.take(rows)
    if len(rows) == 0:
        sizes = burst_sizes(packets.arrival_ns, None)
        none = np.full(len(packets), np.nan)
        return _Timing(none, UNKNOWN, burst_summary(sizes), None, 0)
    own = rate[rows]
    fresh, jumps = clock_jumps(counted.arrival_ns, counted.timestamp, counted.sequence, own)
    estimates = interarrival_jitter(counted.arrival_ns, counted.timestamp, own, fresh)
    series = estimates
    if not whole:
        # A packet that doesn't count leaves the estimate as it was.
        last = np.searchsorted(rows, np.arange(len(packets)), side="right") - 1
        series = np.where(last < 0, 0.0, estimates[np.maximum(last, 0)])
    ptime_ms = _ptime_ms(counted, own, fresh)
    sizes = burst_sizes(
        counted.arrival_ns[_units(counted.timestamp, fresh)],
        None if ptime_ms is None else ptime_ms * NS_PER_MS,
    )
    return _Timing(series, jitter_summary(estimates), burst_summary(sizes), ptime_ms, jumps)


def _units(timestamp: Int64s, fresh: Bools) -> Int64s:
    """The first packet of each timestamp, in order of arrival.

    What shares one is sent at once: the packets of a video frame, and what a mirror port copied.
    """
    step = signed32(np.diff(timestamp, prepend=timestamp[0]))
    if (step[1:] > 0).all():
        return np.arange(len(timestamp))
    # Clocks that begin anew lie apart: no two of them have a tick in common.
    ticks = np.cumsum(np.where(fresh, 0, step)) + np.cumsum(fresh) * 2**40
    _, first = np.unique(ticks, return_index=True)
    return np.sort(first)


def _notes(
    types: tuple[PayloadType, ...],
    main: PayloadType,
    events: TelephoneEvents | None,
    jumps: int,
    sequence: SequenceCounts,
) -> Iterator[str]:
    media = {each.clock_rate for each in types if not each.is_event}
    if len(media) > 1:
        yield "clock rates differ: no jitter is counted from one to the other"
    if events is not None:
        yield (
            f"{_count(events.count, 'telephone event')} in {_count(events.packets, 'packet')}: "
            "they share timestamps, and are no part of jitter, bursts or MOS (RFC 4733, 2.2.1)"
        )
    if jumps:
        yield (
            f"timestamps jump {_count(jumps, 'time')}: each time the clock begins anew, as with "
            "a first packet (RFC 3550, A.1)"
        )
    if sequence.restarts:
        yield (
            f"sequence numbers begin anew {_count(sequence.restarts, 'time')}: what lies between "
            "isn't lost (RFC 3550, A.1)"
        )
    if sequence.duplicates >= _MANY * (sequence.expected - sequence.lost):
        yield (
            f"{_count(sequence.duplicates, 'copy', 'copies')} of packets, as a mirror port makes "
            "them: bursts count each packet once, jitter all (RFC 3550, A.8)"
        )
    if main.medium is Medium.VIDEO:
        yield (
            "video: no MOS, which is of speech (ITU-T G.107), and bursts are of frames; packets "
            "of one frame share its timestamp, so their pacing is jitter (RFC 3550, 6.4.1)"
        )
    elif main.medium not in (Medium.AUDIO, None):
        yield f"{main.medium}: no MOS, which is of speech (ITU-T G.107)"


def _count(number: int, what: str, many: str = "") -> str:
    return f"{number} {what if number == 1 else many or what + 's'}"


def _ptime_ms(packets: RtpPackets, rate: Int64s, fresh: Bools) -> float | None:
    """The median timestamp step from one packet to the next in sequence, in ms.

    Steps of 0 are left out, the packets of one video frame, and those to where a clock begins.
    """
    step = signed32(np.diff(packets.timestamp))
    next_one = (np.diff(packets.sequence) % 2**16 == 1) & (step > 0) & ~fresh[1:]
    if not next_one.any():
        return None
    return percentile(step[next_one] * 1000 / rate[1:][next_one], 0.5)

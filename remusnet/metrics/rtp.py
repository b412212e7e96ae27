"""RTP streams of a capture: jitter, loss, order and bursts of each (RFC 3550)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Frames, Int64s
from remusnet.metrics.bursts import Bursts, burst_sizes, burst_summary
from remusnet.metrics.flows import address, flow_of
from remusnet.metrics.jitter import (
    Float64s,
    Jitter,
    interarrival_jitter,
    jitter_summary,
    signed32,
)
from remusnet.metrics.payload_types import (
    ASSUMED_CLOCK_RATE,
    STATIC,
    Encoding,
    PayloadType,
    RateSource,
    common_clock_rate,
)
from remusnet.metrics.percentiles import Spread, milliseconds, rounded, spread
from remusnet.metrics.rtp_packets import RtpPackets, rtp_packets, split_streams
from remusnet.metrics.sdp import MediaMap, sdp_media
from remusnet.metrics.sequence import SequenceCounts, sequence_counts


@dataclass(frozen=True, slots=True, eq=False)
class StreamSummary:
    """What is reported of one RTP stream: packets of one SSRC in one direction of one flow.

    ``packets``: how many came, copies included; ``first_ns`` and ``last_ns``: when, the first and
    the last (None where none came). ``jitter_ms``: mean and largest of packets 2..n.
    ``interarrival_ms``: gaps between neighbours. ``bursts``: see `burst_sizes`. ``ptime_ms``: the
    median timestamp step of consecutive packets, None where there is none. ``payload_types``: in
    order of appearance. ``notes``: what to know before trusting the numbers.
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
    clock_rate: int
    clock_rate_source: RateSource
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
            "jitter_ms": {
                "mean": rounded(self.jitter_ms.mean),
                "max": rounded(self.jitter_ms.max),
            },
            "interarrival_ms": self.interarrival_ms and self.interarrival_ms.to_json(),
            "burst": {"median": self.bursts.median, "max": self.bursts.max},
            "ptime_ms": None if self.ptime_ms is None else rounded(self.ptime_ms),
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "payload_types": [payload_type.to_json() for payload_type in self.payload_types],
            "clock_rate": self.clock_rate,
            "clock_rate_source": str(self.clock_rate_source),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, eq=False)
class RtpStream(StreamSummary):
    """A stream of a capture, with its packets in order of arrival.

    ``frames``: int64[n], indices into the capture. ``arrival_ns``: int64[n]. ``jitter_series_ms``:
    float64[n], the estimate after each packet. ``numbers`` (16 bits), ``timestamps`` (32 bits):
    int64[n], as in the packets.
    """

    frames: Int64s
    arrival_ns: Int64s
    numbers: Int64s
    timestamps: Int64s
    jitter_series_ms: Float64s


def rtp_streams(frames: Frames, columns: Columns) -> list[RtpStream]:
    """All plausible RTP streams of a capture, in order of their first packets.

    ``columns`` are those of ``frames``. Order of arrival is order of time; frames of equal times
    keep the order of the file. Clock rates come from RFC 3551 and from SDP in the capture.
    """
    streams = split_streams(rtp_packets(frames, columns), columns)
    # Only a dynamic type needs SDP, and the search for it reads all bytes of the capture.
    dynamic = any(not np.isin(packets.payload_type, list(STATIC)).all() for packets in streams)
    media = sdp_media(frames, columns) if dynamic else MediaMap()
    return [_stream(packets, columns, media) for packets in streams]


def _stream(packets: RtpPackets, columns: Columns, media: MediaMap) -> RtpStream:
    first = int(packets.frame[0])
    types, notes = _payload_types(packets, columns, media)
    rates = np.zeros(128, np.int64)
    for payload_type in types:
        rates[payload_type.number] = payload_type.clock_rate
    rate = rates[packets.payload_type]
    series = interarrival_jitter(packets.arrival_ns, packets.timestamp, rate)
    ptime_ms = _ptime_ms(packets, rate)
    sizes = burst_sizes(packets.arrival_ns, None if ptime_ms is None else ptime_ms * 1e6)
    common = int(np.bincount(packets.payload_type).argmax())
    main = next(payload_type for payload_type in types if payload_type.number == common)
    return RtpStream(
        ssrc=int(packets.ssrc[0]),
        flow=flow_of(columns, first),
        packets=len(packets),
        first_ns=int(packets.arrival_ns[0]),
        last_ns=int(packets.arrival_ns[-1]),
        frames=packets.frame,
        arrival_ns=packets.arrival_ns,
        numbers=packets.sequence,
        timestamps=packets.timestamp,
        sequence=sequence_counts(packets.sequence),
        jitter_series_ms=series,
        jitter_ms=jitter_summary(series),
        interarrival_ms=spread(milliseconds(np.diff(packets.arrival_ns))),
        bursts=burst_summary(sizes),
        ptime_ms=ptime_ms,
        payload_types=types,
        clock_rate=main.clock_rate,
        clock_rate_source=main.source,
        notes=notes,
    )


def _payload_types(
    packets: RtpPackets, columns: Columns, media: MediaMap
) -> tuple[tuple[PayloadType, ...], tuple[str, ...]]:
    """The payload types of one stream, in order of appearance, and notes on what is a guess."""
    index = int(packets.frame[0])
    source = address(columns, index, source=True), int(columns.sport[index])
    destination = address(columns, index, source=False), int(columns.dport[index])
    numbers, first, count = np.unique(packets.payload_type, return_index=True, return_counts=True)

    known: dict[int, tuple[Encoding, RateSource]] = {}
    for number in numbers.tolist():
        if number in STATIC:
            known[number] = STATIC[number], RateSource.STATIC
        elif announced := media.encoding(number, source, destination):
            known[number] = announced, RateSource.SDP
    by_count = numbers[np.argsort(-count, kind="stable")].tolist()
    guess, guess_source = _guessed_rate(packets, [known[n][0] for n in by_count if n in known])

    types, notes = [], []
    for number in numbers[np.argsort(first)].tolist():
        if number in known:
            encoding, rate_source = known[number]
            types.append(PayloadType(number, encoding.name, encoding.clock_rate, rate_source))
        else:
            types.append(PayloadType(number, None, guess, guess_source))
            notes.append(f"payload type {number}: no SDP, clock rate {guess} Hz {guess_source}")
    if len({payload_type.clock_rate for payload_type in types}) > 1:
        notes.append("clock rates differ: no jitter is counted from one to the other")
    return tuple(types), tuple(notes)


def _guessed_rate(packets: RtpPackets, known: list[Encoding]) -> tuple[int, RateSource]:
    """A clock rate for types that nothing describes; ``known``: the stream's others."""
    if known:
        return known[0].clock_rate, RateSource.ASSUMED
    ticks = int(signed32(np.diff(packets.timestamp)).sum())
    seconds = (packets.arrival_ns[-1] - packets.arrival_ns[0]) / 1e9
    paced = common_clock_rate(ticks / seconds) if seconds > 0 else None
    if paced is None:
        return ASSUMED_CLOCK_RATE, RateSource.ASSUMED
    return paced, RateSource.ESTIMATED


def _ptime_ms(packets: RtpPackets, rate: Int64s) -> float | None:
    """The median timestamp step from one packet to the next in sequence, in ms.

    Steps of 0 are left out: the packets of one video frame, or of one telephone event.
    """
    step = signed32(np.diff(packets.timestamp))
    next_one = (np.diff(packets.sequence) % 2**16 == 1) & (step > 0) & (rate[1:] == rate[:-1])
    if not next_one.any():
        return None
    return float(np.median(step[next_one] * 1000 / rate[1:][next_one]))

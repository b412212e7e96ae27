"""RTP payload types: what they encode, and at which clock rate timestamps count.

By RFC 3551, by what SDP announced, or by how the stream behaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Frames, Int64s
from remusnet.metrics.arrivals import JUMP_MS, Float64s, signed32
from remusnet.metrics.flows import address
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.metrics.rtp_packets import RtpPackets
from remusnet.metrics.telephone_events import looks_like_events


class RateSource(StrEnum):
    """Where a clock rate is known from."""

    STATIC = "static"
    """RFC 3551's table."""
    SDP = "sdp"
    """An rtpmap attribute in the capture (RFC 8866, section 6.6)."""
    ESTIMATED = "estimated"
    """How fast the stream's timestamps advance: the common rate that comes closest."""
    ASSUMED = "assumed"
    """Of telephone events that nothing describes: the clock of the audio beside them."""
    UNKNOWN = "unknown"
    """Nowhere: there is no rate, and so no jitter in ms."""


class Medium(StrEnum):
    """What a payload is, as an ``m=`` line has it (RFC 8866, section 5.14)."""

    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    APPLICATION = "application"
    MESSAGE = "message"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A payload format and its RTP clock rate in Hz."""

    name: str
    clock_rate: int
    medium: Medium | None = Medium.AUDIO

    @property
    def is_event(self) -> bool:
        """Whether it carries key presses or tones, not sound (RFC 4733)."""
        return self.name.lower() in _EVENTS


@dataclass(frozen=True, slots=True)
class PayloadType:
    """A payload type as one stream uses it.

    ``encoding``, ``clock_rate``, ``medium``: None where nothing tells. ``is_event``: RFC 4733.
    """

    number: int
    encoding: str | None
    clock_rate: int | None
    source: RateSource
    medium: Medium | None = Medium.AUDIO
    is_event: bool = False

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "number": self.number,
            "encoding": self.encoding,
            "clock_rate": self.clock_rate,
            "source": str(self.source),
            "medium": self.medium and str(self.medium),
        }


_EVENTS = ("telephone-event", "tone")

VIDEO_CLOCK_RATE = 90_000
"""Of nearly all video, and of next to no audio without a static type (RFC 3551, section 5)."""
COMMON_CLOCK_RATES = (
    8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, VIDEO_CLOCK_RATE,
)  # fmt: skip
OFF_BY_AT_MOST = 0.04
"""Less than half of the 8.8 % between 11,025 and 12,000, or 44,100 and 48,000."""


def common_clock_rate(ticks_per_second: float) -> int | None:
    """The common clock rate closest to a measured one; None where none is within 4 %.

    >>> common_clock_rate(47_500.0), common_clock_rate(3.0)
    (48000, None)
    """
    rate = min(COMMON_CLOCK_RATES, key=lambda rate: abs(rate - ticks_per_second))
    return rate if abs(ticks_per_second - rate) <= rate * OFF_BY_AT_MOST else None


STATIC = {
    0: Encoding("PCMU", 8000),
    3: Encoding("GSM", 8000),
    4: Encoding("G723", 8000),
    5: Encoding("DVI4", 8000),
    6: Encoding("DVI4", 16000),
    7: Encoding("LPC", 8000),
    8: Encoding("PCMA", 8000),
    # It samples at 16000 Hz; its RTP clock runs at 8000 by an old mistake (RFC 3551, 4.5.2).
    9: Encoding("G722", 8000),
    10: Encoding("L16", 44100),
    11: Encoding("L16", 44100),
    12: Encoding("QCELP", 8000),
    13: Encoding("CN", 8000),
    14: Encoding("MPA", 90000),
    15: Encoding("G728", 8000),
    16: Encoding("DVI4", 11025),
    17: Encoding("DVI4", 22050),
    18: Encoding("G729", 8000),
    25: Encoding("CelB", 90000, Medium.VIDEO),
    26: Encoding("JPEG", 90000, Medium.VIDEO),
    28: Encoding("nv", 90000, Medium.VIDEO),
    31: Encoding("H261", 90000, Medium.VIDEO),
    32: Encoding("MPV", 90000, Medium.VIDEO),
    33: Encoding("MP2T", 90000, Medium.VIDEO),
    34: Encoding("H263", 90000, Medium.VIDEO),
}
"""The static assignments of RFC 3551, tables 4 and 5. Nothing may redefine them."""


@dataclass(frozen=True, slots=True)
class Named:
    """``types``: a stream's payload types in order of appearance. ``notes``: what is a guess."""

    types: tuple[PayloadType, ...]
    notes: tuple[str, ...]


Announced = Callable[[int, tuple[int, int], tuple[int, int]], Encoding | None]
"""What SDP says of a number, in packets from one (address, port) endpoint to another."""


def named_types(
    packets: RtpPackets, frames: Frames, columns: Columns, announced: Announced
) -> Named:
    """The payload types of one stream.

    A type that nothing describes takes its clock rate from its own packets. Where those are all
    key presses beside sound, it is taken for telephone events, with the sound's clock: they are
    sent on it (RFC 4733, section 2.1). What can't be told is None.
    """
    index = int(packets.frame[0])
    source = address(columns, index, source=True), int(columns.sport[index])
    destination = address(columns, index, source=False), int(columns.dport[index])
    numbers, first = np.unique(packets.payload_type, return_index=True)
    found: dict[int, PayloadType] = {}
    notes: dict[int, str] = {}
    unnamed = []
    for number in numbers.tolist():
        if number in STATIC:
            known, rate_source = STATIC[number], RateSource.STATIC
        elif described := announced(number, source, destination):
            known, rate_source = described, RateSource.SDP
        else:
            unnamed.append(number)
            continue
        found[number] = PayloadType(
            number, known.name, known.clock_rate, rate_source, known.medium, known.is_event
        )
    pressed = []
    for number in unnamed:
        own = packets.take(np.flatnonzero(packets.payload_type == number))
        if len(numbers) > 1 and looks_like_events(own, frames, columns):
            pressed.append(number)
            continue
        rate = guessed_clock_rate(own.recorded_ns, own.timestamp)
        rate_source = RateSource.UNKNOWN if rate is None else RateSource.ESTIMATED
        # Sound has 90,000 Hz in static types alone (RFC 3551, section 5).
        medium = Medium.VIDEO if rate == VIDEO_CLOCK_RATE else None
        found[number] = PayloadType(number, None, rate, rate_source, medium)
        notes[number] = (
            f"payload type {number}: no SDP, and its clock rate can't be told: no jitter, no MOS"
            if rate is None
            else f"payload type {number}: no SDP, clock rate {rate} Hz estimated"
            + (", so taken for video" if medium is Medium.VIDEO else "")
        )
    count = np.bincount(packets.payload_type, minlength=128)
    sound = [each for each in found.values() if each.clock_rate is not None and not each.is_event]
    beside = max(sound, key=lambda each: int(count[each.number]), default=None)
    for number in pressed:
        rate = None if beside is None else beside.clock_rate
        rate_source = RateSource.UNKNOWN if rate is None else RateSource.ASSUMED
        found[number] = PayloadType(
            number, "telephone-event", rate, rate_source, Medium.AUDIO, is_event=True
        )
        clock = "" if rate is None else f", clock rate {rate} Hz assumed"
        notes[number] = f"payload type {number}: no SDP, taken for telephone events{clock}"
    order = numbers[np.argsort(first)].tolist()
    return Named(
        tuple(found[number] for number in order),
        tuple(notes[number] for number in order if number in notes),
    )


_FEWEST_PACKETS = 8
"""Fewer tell no clock rate: a late one among them moves any estimate."""


def guessed_clock_rate(arrival_ns: Int64s, timestamp: Int64s) -> int | None:
    """The common clock rate at which timestamps advance; None where that can't be told.

    Both int64[n], in order of arrival. From packets two thirds of a stretch apart, the median of
    how fast timestamps advanced: neither a burst nor a pause moves that far. A stretch ends where
    timestamps run faster than any common clock, or go back. Where packets came later and sooner, by
    that rate, than it and its neighbours differ by in all that time, it isn't told.
    """
    slopes, weights = [], []
    stretches = _stretches(arrival_ns, timestamp)
    for stretch in stretches:
        apart = 2 * len(stretch) // 3
        ticks = np.cumsum(signed32(np.diff(timestamp[stretch], prepend=timestamp[stretch[0]])))
        passed_ns = arrival_ns[stretch][apart:] - arrival_ns[stretch][:-apart]
        advanced = (ticks[apart:] - ticks[:-apart])[passed_ns > 0]
        slopes.append(advanced * 1e9 / passed_ns[passed_ns > 0])
        weights.append(np.full(len(slopes[-1]), len(stretch) / max(1, len(slopes[-1]))))
    if not slopes or not sum(map(len, slopes)):
        return None
    found = _middle(np.concatenate(slopes), np.concatenate(weights))
    rate = common_clock_rate(found[1])
    # Where a quarter says otherwise, chance said the rest.
    if rate is None or any(common_clock_rate(each) != rate for each in found):
        return None
    spread_s = passed_s = 0.0
    for stretch in stretches:
        ticks = np.cumsum(signed32(np.diff(timestamp[stretch], prepend=timestamp[stretch[0]])))
        own_s = (arrival_ns[stretch] - arrival_ns[stretch[0]]) / 1e9
        lowest, highest = np.percentile(own_s - ticks / rate, (5, 95))
        spread_s, passed_s = max(spread_s, float(highest - lowest)), passed_s + float(own_s[-1])
    return rate if spread_s <= OFF_BY_AT_MOST * passed_s else None


def _stretches(arrival_ns: Int64s, timestamp: Int64s) -> list[Int64s]:
    """Rows of each stretch without a jump that is one at any clock rate."""
    step = signed32(np.diff(timestamp))
    fastest = COMMON_CLOCK_RATES[-1] / 1000
    room_ms = np.maximum(np.diff(arrival_ns) / NS_PER_MS, 0) + JUMP_MS
    jumps = (step > fastest * room_ms) | (step < -fastest * JUMP_MS)
    parts = np.split(np.arange(len(timestamp)), np.flatnonzero(jumps) + 1)
    return [part for part in parts if len(part) >= _FEWEST_PACKETS]


def _middle(values: Float64s, weights: Float64s) -> list[float]:
    """The quartiles of weighted values."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    places = np.searchsorted(share, (0.25, 0.5, 0.75)).clip(0, len(values) - 1)
    return [float(value) for value in values[order][places]]

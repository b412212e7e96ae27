"""Telephone events in a stream: key presses and tones, in packets of their own (RFC 4733).

All packets of one event have its beginning as their timestamp (section 2.2.1), and the last is sent
three times (2.5.1.4). So they are neither late sound nor a network's jitter. What tells when one
was due is timestamp + duration: how far the event had come when it was sent (2.3.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Frames, Int64s, numbers
from remusnet.metrics.arrivals import (
    UNKNOWN,
    Jitter,
    clock_jumps,
    interarrival_jitter,
    jitter_summary,
)
from remusnet.metrics.rtp_packets import RtpPackets

_BODY = 4
_FLASH = 16
"""DTMF's events are 0 to 15, and hook flash is 16 (RFC 4733, section 3.2)."""


@dataclass(frozen=True, slots=True)
class TelephoneEvents:
    """``packets`` of ``count`` events. ``jitter_ms``: unknown where durations can't be read."""

    packets: int
    count: int
    jitter_ms: Jitter

    def to_json(self) -> dict[str, object]:
        """``events`` of a stream."""
        return {
            "packets": self.packets,
            "count": self.count,
            "jitter_ms": self.jitter_ms.to_json(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Bodies:
    """int64[n] each: the event's code, its end bit, its duration; whole: bool[n], all was there."""

    code: Int64s
    end: Int64s
    duration: Int64s
    whole: np.ndarray[tuple[int], np.dtype[np.bool_]]


def looks_like_events(packets: RtpPackets, frames: Frames, columns: Columns) -> bool:
    """Whether packets of a type that nothing names are all key presses, by their four bytes."""
    bodies = _bodies(packets, frames, columns)
    return bool(bodies.whole.all() and (bodies.code <= _FLASH).all())


def events_of(
    packets: RtpPackets, frames: Frames, columns: Columns, clock_rate: int | None
) -> TelephoneEvents:
    """The measures of a stream's event packets; at least one. ``clock_rate``: in Hz."""
    count = len(np.unique(packets.timestamp))
    bodies = _bodies(packets, frames, columns)
    if clock_rate is None or not bodies.whole.all():
        return TelephoneEvents(len(packets), count, UNKNOWN)
    # The copies of an end were not due when it was.
    ends = np.flatnonzero(bodies.end)
    _, first = np.unique(packets.timestamp[ends], return_index=True)
    once = np.ones(len(packets), np.bool_)
    once[np.setdiff1d(ends, ends[first])] = False
    due = (packets.timestamp + bodies.duration)[once] % 2**32
    arrival_ns = packets.arrival_ns[once]
    rates = np.full(len(due), clock_rate, np.int64)
    fresh, _ = clock_jumps(arrival_ns, due, packets.sequence[once], rates)
    series = interarrival_jitter(arrival_ns, due, clock_rate, fresh)
    return TelephoneEvents(len(packets), count, jitter_summary(series))


def _bodies(packets: RtpPackets, frames: Frames, columns: Columns) -> _Bodies:
    """Payloads behind header, contributing sources and extension (RFC 3550, 5.1, 5.3.1).

    Encrypted payload is longer than four bytes, by its tag at least, and so isn't whole.
    """
    data = frames.data
    start = columns.payload[packets.frame]
    end = start + columns.payload_present[packets.frame]

    flags = numbers(data, start, 1)
    body = start + 12 + 4 * (flags & 0x0F)
    extended = (flags & 0x10) != 0
    body = np.where(extended, body + 4 + 4 * numbers(data, body + 2, 2), body)
    cut = columns.payload_present[packets.frame] < columns.payload_length[packets.frame]
    second = numbers(data, body + 1, 1)
    whole = ~cut & (body + _BODY == end) & (second & 0x40 == 0)
    return _Bodies(numbers(data, body, 1), second >> 7, numbers(data, body + 2, 2), whole)

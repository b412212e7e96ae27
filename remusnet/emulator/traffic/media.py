"""When an RTP source sends: packet after packet, with its clock's drift and its silences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from remusnet.emulator.traffic.rtp import Source
from remusnet.frames import Int64s

SEGMENT = 1 << 16
"""Packets that are worked on at a time: what they take fits into a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """n packets of a source. ``due_ns``: int64[n], ascending, when it wants to send them.

    ``first``: the number of the first one; numbers count packets. ``tick``: int64[n], which count
    packetization times, silent ones too, from the source's first; None where both are the same.
    """

    due_ns: Int64s
    first: int
    tick: Int64s | None

    def __len__(self) -> int:
        return len(self.due_ns)

    @property
    def numbers(self) -> Int64s:
        """int64[n], counted from the source's first packet."""
        return np.arange(self.first, self.first + len(self), dtype=np.int64)

    @property
    def ticks(self) -> Int64s:
        """int64[n]; the numbers where nothing is left out."""
        return self.numbers if self.tick is None else self.tick


def segments(source: Source, jitter_ns: int, rng: np.random.Generator) -> Iterator[Segment]:
    """The packets of ``source``, `SEGMENT` at a time, until its end.

    ``jitter_ns``: the standard deviation of its times of sending. A packet never overtakes the one
    before: a late one delays what follows at most until it is sent itself.
    """
    ticks = talk_ticks(source, rng) if source.calls.vad else None
    total = source.packets if ticks is None else len(ticks)
    latest = 0
    for first in range(0, total, SEGMENT):
        last = min(first + SEGMENT, total)
        tick = None if ticks is None else ticks[first:last]
        count = np.arange(first, last, dtype=np.int64) if tick is None else tick
        due_ns = count * source.interval_ns
        due_ns += source.first_ns
        if jitter_ns:
            due_ns += noise(rng, len(due_ns), jitter_ns)
            due_ns[0] = max(due_ns[0], latest)
            np.maximum.accumulate(due_ns, out=due_ns)
            latest = int(due_ns[-1])
        yield Segment(due_ns, first, tick)


def noise(rng: np.random.Generator, count: int, deviation_ns: int) -> Int64s:
    """Normal, around 0: int64[count]."""
    drawn = rng.standard_normal(count)
    drawn *= deviation_ns
    return drawn.astype(np.int64)


def talk_ticks(source: Source, rng: np.random.Generator) -> Int64s:
    """The packetization times in which ``source`` talks: int64[n], ascending.

    Talk spurts and silences take turns, both exponential and at least one packet long; it begins
    talking. (ITU-T P.59 has such a model of speech.)
    """
    calls, total = source.calls, source.packets
    per_turn = (calls.talk_ns + calls.silence_ns) / source.interval_ns
    pieces, at = [], 0
    while at < total:
        turns = int((total - at) / per_turn * 1.1) + 16
        talk = _lengths(rng, turns, calls.talk_ns / source.interval_ns)
        silence = _lengths(rng, turns, calls.silence_ns / source.interval_ns)
        starts = at + np.concatenate([[0], np.cumsum(talk + silence)[:-1]])
        # Ticks within a spurt count on; from one spurt to the next they skip the silence.
        skipped = np.repeat(starts - np.concatenate([[0], np.cumsum(talk)[:-1]]), talk)
        pieces.append(skipped + np.arange(len(skipped), dtype=np.int64))
        at = int(starts[-1] + talk[-1] + silence[-1])
    ticks = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
    return ticks[: int(np.searchsorted(ticks, total))]


def _lengths(rng: np.random.Generator, count: int, mean: float) -> Int64s:
    return 1 + np.floor(rng.standard_exponential(count) * mean).astype(np.int64)


def spurt_starts(ticks: Int64s) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool[n]: which packets begin a talk spurt (RFC 3551, 4.1: they carry the marker bit)."""
    return np.concatenate([[True], np.diff(ticks) > 1])[: len(ticks)]

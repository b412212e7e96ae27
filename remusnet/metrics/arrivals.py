"""In what order, and in what rhythm, the packets of one RTP stream came.

Order, from sequence numbers: loss, duplicates and reordering, each counted apart: a late packet
isn't lost, and a second copy doesn't make up for a loss. Rhythm, from times: bursts, which is what
a released buffer does to packets that were sent evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from remusnet.frames import Int64s

MAX_DROPOUT = 3000
MAX_MISORDER = 100
"""RFC 3550, A.1: steps up to which the sender is taken to count on."""


@dataclass(frozen=True, slots=True)
class SequenceCounts:
    """Packets of one stream; ``lost_percent`` is a share of ``expected``, the rest are counts.

    ``expected``: from the lowest to the highest sequence number, wraps included. ``lost``: those of
    them that never came. ``duplicates``: further copies. ``reordered``: first copies that came
    after a higher number (RFC 4737, section 3). ``restarts``: how often the sender began to count
    from another number. ``strays``: lone packets with a number far off, counted in nothing else.
    """

    expected: int
    lost: int
    duplicates: int
    reordered: int
    restarts: int
    strays: int

    @property
    def lost_percent(self) -> float:
        """Lost packets in percent of the expected ones: 0 to 100."""
        return 100 * self.lost / self.expected if self.expected else 0.0


def sequence_counts(sequence: Int64s) -> SequenceCounts:
    """Counts of int64[n] 16-bit sequence numbers, in order of arrival.

    Expected and lost follow RFC 3550 A.3 with two differences: copies are counted once, so loss is
    never negative (the RFC allows that), and the lowest number counts from, not the first that
    came. A jump of `MAX_DROPOUT` and more, or back by `MAX_MISORDER`, that a second packet confirms
    is a restart (A.1): what lies between isn't lost.
    """
    strays = np.zeros(len(sequence), bool)
    for run in _runs(sequence):
        # RFC 3550 A.1 believes a jump when two packets in a row confirm it.
        strays[run] = run.stop - run.start == 1
    if strays.all():
        strays[:] = False
    kept = sequence[~strays]
    runs = _runs(kept)
    expected = lost = duplicates = reordered = 0
    for run in runs:
        number = np.concatenate([np.zeros(1, np.int64), np.cumsum(steps16(kept[run]))])
        seen, first = np.unique(number, return_index=True)
        span = int(seen[-1] - seen[0]) + 1
        expected += span
        lost += span - len(seen)
        duplicates += len(number) - len(seen)
        reordered += int((seen < np.maximum.accumulate(number)[first]).sum())
    restarts = max(0, len(runs) - 1)
    return SequenceCounts(expected, lost, duplicates, reordered, restarts, int(strays.sum()))


def steps16(sequence: Int64s) -> Int64s:
    """Differences of neighbours, the short way round: -2**15 to 2**15 - 1."""
    return (np.diff(sequence) + 2**15) % 2**16 - 2**15


def _runs(sequence: Int64s) -> list[slice]:
    """Stretches of one numbering."""
    if len(sequence) == 0:
        return []
    steps = steps16(sequence)
    jumps = np.flatnonzero((steps >= MAX_DROPOUT) | (steps <= -MAX_MISORDER)) + 1
    edges = [0, *jumps.tolist(), len(sequence)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


@dataclass(frozen=True, slots=True)
class Bursts:
    """Packets a burst: the median over bursts, and the largest."""

    median: float
    max: int


def burst_sizes(arrival_ns: Int64s, ptime_ns: float | None) -> Int64s:
    """Packets in each burst, in order: a run of packets with gaps below half of ``ptime_ns``.

    ``arrival_ns``: int64[n], ascending; of what was sent at once (a video frame's packets, the
    copies of a mirror port) the first. Half of the packetization time parts what was sent apart
    from what waited together: jitter below it makes no burst, and a queue drains far faster. An
    even stream has bursts of 1; so has one without a known packetization time (None).
    """
    if len(arrival_ns) == 0:
        return np.zeros(0, np.int64)
    starts = _starts(np.diff(arrival_ns), ptime_ns) + 1
    return np.diff(np.concatenate([[0], starts, [len(arrival_ns)]]))


def burst_summary(sizes: Int64s) -> Bursts:
    """Median and maximum of burst sizes; both 0 where there are none."""
    return _of_counts(np.bincount(sizes).tolist())


class BurstCounter:
    """The bursts of a stream whose packets come a stretch at a time; the last one stays open."""

    def __init__(self, ptime_ns: float | None) -> None:
        self._ptime_ns = ptime_ns
        self._counts = np.zeros(2, np.int64)  # how many bursts of each size there were
        self._open = 0

    def add(self, gaps_ns: Int64s) -> None:
        """int64[n]: the gap before each packet. The one before the stream's first counts for 0."""
        starts = _starts(gaps_ns, self._ptime_ns)
        begun = self._open > 0
        if not begun and (len(starts) == 0 or starts[0] != 0):
            starts = np.concatenate([[0], starts])
        if len(starts) == 0:
            self._open += len(gaps_ns)
            return
        closed = np.diff(starts)
        if begun:
            closed = np.concatenate([[self._open + starts[0]], closed])
        counts = np.bincount(closed, minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts
        self._open = len(gaps_ns) - int(starts[-1])

    @property
    def bursts(self) -> Bursts:
        """Median and largest burst so far, the open one included."""
        counts = self._counts.tolist() + [0] * (self._open + 1 - len(self._counts))
        counts[self._open] += 1
        return _of_counts(counts)


def _starts(gaps_ns: Int64s, ptime_ns: float | None) -> Int64s:
    """The gaps that begin a burst."""
    return np.flatnonzero(gaps_ns >= (0.0 if ptime_ns is None else ptime_ns / 2))


def _of_counts(counts: Sequence[int]) -> Bursts:
    """``counts``: how many bursts there are of each size from 0 on; of size 0 none count.

    Few sizes: plain Python is done before an array is made.
    """
    total = sum(counts[1:])
    if total == 0:
        return Bursts(0.0, 0)
    lower, upper = (_ranked(counts, rank) for rank in ((total - 1) // 2, total // 2))
    largest = max(size for size, count in enumerate(counts) if size and count)
    return Bursts((lower + upper) / 2, largest)


def _ranked(counts: Sequence[int], rank: int) -> int:
    """The value at ``rank``, from 0, of sorted values of which there are ``counts`` of each."""
    for value, count in enumerate(counts):
        rank -= count if value else 0
        if rank < 0:
            return value
    raise ValueError("a rank past the last value")

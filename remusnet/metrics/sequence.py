"""Loss, duplicates and reordering, from the sequence numbers of one RTP stream.

Each is counted apart: a late packet isn't lost, and a second copy doesn't make up for a loss.
"""

from __future__ import annotations

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

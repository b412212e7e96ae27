"""A speed as a ratio: ours against theirs, in turns, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """``what`` is to be at least ``goal`` times as fast as ``than``.

    ``reset``: takes back what either did, and is not timed.
    """

    what: str
    than: str
    goal: float
    ours: Callable[[], object]
    theirs: Callable[[], object]
    reset: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Result:
    """The best times of both, in seconds; ``where``: the kernel they were taken on."""

    what: str
    than: str
    goal: float
    ours: float
    theirs: float
    where: str

    @property
    def times_as_fast(self) -> float:
        """Theirs by ours: 2 is twice as fast."""
        return self.theirs / self.ours


def measure(ratio: Ratio, rounds: int, where: str) -> Result:
    """The best of ``rounds`` of each, taken in turns so that a noisy minute hits both."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_seconds(ratio.ours))
        ratio.reset()
        theirs.append(_seconds(ratio.theirs))
        ratio.reset()
    return Result(ratio.what, ratio.than, ratio.goal, min(ours), min(theirs), where)


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start

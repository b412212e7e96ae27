"""A speed as a ratio: ours against theirs, in turns, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """``what`` is to be at least ``goal`` times as fast as ``than``."""

    what: str
    than: str
    goal: float
    ours: Callable[[], object]
    theirs: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Result:
    """The best times of both, in seconds."""

    ratio: Ratio
    ours: float
    theirs: float

    @property
    def times_as_fast(self) -> float:
        """Theirs by ours: 2 is twice as fast."""
        return self.theirs / self.ours


def measure(ratio: Ratio, rounds: int) -> Result:
    """The best of ``rounds`` of each, taken in turns so that a noisy minute hits both."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_seconds(ratio.ours))
        theirs.append(_seconds(ratio.theirs))
    return Result(ratio, min(ours), min(theirs))


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start

"""A speed as a ratio: ours against theirs, in turns, in one run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Ratio:
    """``what`` is to be at least ``goal`` times as fast as ``than`` (0: no goal).

    ``turns``: how often a round runs both. With one, the best round of each counts. With more,
    their medians: for what is short and whose ratio is near 1. ``reset``: takes back what either
    did, and is not timed. ``unit`` other than ``s``: instead of being timed, both return
    how much of it they took (``CPU s``, ``MB``). ``name``: what ``--only`` calls it.
    ``most_rounds``: no more than so many, where a round takes minutes.
    """

    what: str
    than: str
    goal: float
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    reset: Callable[[], object] = lambda: None
    turns: int = 1
    unit: str = "s"
    name: str = ""
    most_rounds: int = sys.maxsize


@dataclass(frozen=True, slots=True)
class Result:
    """What both took, in ``unit``; ``where``: the kernel they were taken on.

    ``lowest``, ``highest``: `times_as_fast` of single rounds.
    """

    what: str
    than: str
    goal: float
    ours: float
    theirs: float
    where: str
    lowest: float
    highest: float
    unit: str = "s"

    @property
    def times_as_fast(self) -> float:
        """Theirs by ours: 2 is twice as fast."""
        return self.theirs / self.ours


def measure(ratio: Ratio, rounds: int, where: str) -> Result:
    """``rounds`` of each, taken in turns so that a noisy minute hits both."""
    found = [_round(ratio) for _ in range(min(rounds, ratio.most_rounds))]
    typical: Callable[[Sequence[float]], float] = min if ratio.turns == 1 else median
    ratios = [typical(theirs) / typical(ours) for ours, theirs in found]
    return Result(
        ratio.what,
        ratio.than,
        ratio.goal,
        ours=typical([seconds for ours, _ in found for seconds in ours]),
        theirs=typical([seconds for _, theirs in found for seconds in theirs]),
        where=where,
        lowest=min(ratios),
        highest=max(ratios),
        unit=ratio.unit,
    )


def _round(ratio: Ratio) -> tuple[list[float], list[float]]:
    ours, theirs = [], []
    for _ in range(ratio.turns):
        ours.append(_taken(ratio.ours, ratio.unit))
        ratio.reset()
        theirs.append(_taken(ratio.theirs, ratio.unit))
        ratio.reset()
    return ours, theirs


def _taken(action: Callable[[], Any], unit: str) -> float:
    start = time.perf_counter()
    told = action()
    return time.perf_counter() - start if unit == "s" else float(told)

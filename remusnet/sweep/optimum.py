"""The best interval: the one that keeps all requirements, and has the least (or most) of a metric.

A grid first, then ever finer ones around the best point that keeps all requirements, until its
neighbours are closer than the tolerance. That needs no derivative, and finds the optimum where the
metric has one valley in the range, as costs of checkpoints do; where several requirements leave
islands, the grid finds those that are wider than its steps, and a finer one those of 3 % that are
near the best. Their edges are looked for as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from remusnet.sweep.grid import logarithmic
from remusnet.sweep.running import Kept

FLAT: Final = 0.05
"""An interval whose metric is within this share of the optimum's is as good."""
_TOLERANCE: Final = 0.005
_INNER: Final = 5
_STEP_NS: Final = 10_000
_MOST_ROUNDS: Final = 20
_NEAR: Final = 1.4
_COARSE: Final = 1.03
"""Up to how many times the best interval islands are looked for, and how wide they are."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one interval came to. ``value``: of the metric; None where nothing was seen of it."""

    interval_ns: int
    value: float | None
    requirements: tuple[Kept, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether all requirements hold, and there is a number to compare."""
        return (
            self.value is not None
            and not math.isnan(self.value)
            and all(each.holds for each in self.requirements)
        )

    @property
    def violated(self) -> tuple[str, ...]:
        """The requirements that don't hold."""
        return tuple(each.text for each in self.requirements if not each.holds)


Judge = Callable[[Sequence[int]], list[Judged]]
"""From intervals to what each came to, in their order."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """The answer. ``flat_ns``: the shortest and longest interval around it that are as good.

    ``binding``: the requirements that would not hold where the metric is better still;
    ``at_end``: whether the optimum is an end of the range that was asked for. ``tried``: all.
    """

    best: Judged
    flat_ns: tuple[int, int]
    binding: tuple[str, ...]
    at_end: bool
    tried: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """No interval keeps all requirements.

    ``never``: those that no interval of the range keeps. ``apart``: if there are none such, how
    many intervals each one keeps, of ``tried``: they exclude each other.
    """

    never: tuple[Kept, ...]
    apart: tuple[tuple[str, int], ...]
    tried: tuple[Judged, ...]

    @property
    def unread(self) -> bool:
        """Whether no run had anything to measure."""
        return all(each.value is None for each in self.tried)


def optimum(judge: Judge, grid: Sequence[int], *, maximise: bool = False) -> Optimum | Nothing:
    """The best interval between the first and last of ``grid``, whose points are tried first.

    ``judge`` may get intervals in any order, each once. Raises what it raises.
    """
    search = _Search(judge, maximise)
    search.look(grid)
    if search.best() is None:
        return _nothing(search.tried)
    for _ in range(_MOST_ROUNDS):
        best = search.best()
        assert best is not None
        inner = [*search.around(best.interval_ns), *search.edges(best)]
        if not inner:
            inner = search.islands(best)
        if not inner:
            break
        search.look(inner)
    best = search.best()
    assert best is not None
    flat = search.flat(best)
    ends = (grid[0], grid[-1])
    at_end = best.interval_ns in ends and len(grid) > 1
    return Optimum(best, flat, search.binding(best), at_end, search.tried)


class _Search:
    def __init__(self, judge: Judge, maximise: bool) -> None:
        self._judge = judge
        self._sign = -1.0 if maximise else 1.0
        self._seen: dict[int, Judged] = {}

    @property
    def tried(self) -> tuple[Judged, ...]:
        return tuple(self._seen[each] for each in sorted(self._seen))

    def look(self, intervals: Sequence[int]) -> None:
        new = [each for each in dict.fromkeys(intervals) if each not in self._seen]
        if new:
            self._seen |= {each.interval_ns: each for each in self._judge(new)}

    def cost(self, judged: Judged) -> float:
        return math.inf if judged.value is None else self._sign * judged.value

    def best(self) -> Judged | None:
        """The best interval, of equally good ones the longest: it asks least of the host."""
        able = [each for each in self._seen.values() if each.feasible]
        return min(able, key=lambda each: (self.cost(each), -each.interval_ns), default=None)

    def neighbours(self, interval_ns: int) -> tuple[int | None, int | None]:
        below = [each for each in self._seen if each < interval_ns]
        above = [each for each in self._seen if each > interval_ns]
        return max(below, default=None), min(above, default=None)

    def around(self, interval_ns: int) -> list[int]:
        """Points between the best one and its neighbours, where those are not close enough."""
        found: list[int] = []
        for other in self.neighbours(interval_ns):
            if other is None:
                continue
            low, high = sorted((other, interval_ns))
            if high / low > 1 + _TOLERANCE:
                found += logarithmic(low, high, _INNER // 2 + 2)[1:-1]
        return found

    def edges(self, best: Judged) -> list[int]:
        """Points between those that keep all requirements and those beside them that don't.

        Where the metric is better on the other side, the best may be at such an edge, even if by
        chance it is worse a little before it, as a high percentile is of few packets.
        """
        found = []
        for one, other in pairwise(self.tried):
            low, high = one.interval_ns, other.interval_ns
            if one.feasible != other.feasible and high / low > 1 + _TOLERANCE:
                beyond = one if other.feasible else other
                if self.cost(beyond) <= self.cost(best):
                    found.append(round(math.sqrt(low * high) / _STEP_NS) * _STEP_NS)
        return [each for each in found if each not in self._seen]

    def islands(self, best: Judged) -> list[int]:
        """Points beyond the edge that the best one is at, where the metric is better still.

        A high percentile of few packets moves in steps: a requirement of it may hold again a little
        further on, between two points that don't keep it.
        """
        found = []
        for one, other in pairwise(self.tried):
            low, high = one.interval_ns, other.interval_ns
            near = max(low / best.interval_ns, best.interval_ns / high) <= _NEAR
            better = max(self.cost(one), self.cost(other)) <= self.cost(best)
            if near and better and not (one.feasible and other.feasible) and high / low > _COARSE:
                found.append(round(math.sqrt(low * high) / _STEP_NS) * _STEP_NS)
        return [each for each in found if each not in self._seen]

    def flat(self, best: Judged) -> tuple[int, int]:
        """How far from the best interval others are as good."""
        return self._flat_end(best, up=False), self._flat_end(best, up=True)

    def _flat_end(self, best: Judged, *, up: bool) -> int:
        good = best.interval_ns
        for each in self.tried if up else self.tried[::-1]:
            beyond = each.interval_ns > good if up else each.interval_ns < good
            if not beyond:
                continue
            if self._as_good(each, best):
                good = each.interval_ns
                continue
            bad = each.interval_ns
            while max(good, bad) / min(good, bad) > 1 + 4 * _TOLERANCE:
                middle = round(math.sqrt(good * bad) / _STEP_NS) * _STEP_NS
                if middle in (good, bad):
                    break
                self.look([middle])
                if self._as_good(self._seen[middle], best):
                    good = middle
                else:
                    bad = middle
            break
        return good

    def _as_good(self, each: Judged, best: Judged) -> bool:
        worst = self.cost(best) + FLAT * abs(self.cost(best)) + 1e-12
        return each.feasible and self.cost(each) <= worst

    def binding(self, best: Judged) -> tuple[str, ...]:
        """The constraints that a neighbour violates, if the metric is better there."""
        found: list[str] = []
        for other in self.neighbours(best.interval_ns):
            if other is not None:
                judged = self._seen[other]
                if not judged.feasible and self.cost(judged) <= self.cost(best):
                    found += judged.violated
        return tuple(dict.fromkeys(found))


def _nothing(tried: Sequence[Judged]) -> Nothing:
    texts = dict.fromkeys(each.text for judged in tried for each in judged.requirements)
    never, apart = [], []
    for text in texts:
        own = [each for judged in tried for each in judged.requirements if each.text == text]
        kept = sum(each.holds for each in own)
        apart.append((text, kept))
        if kept == 0:
            never.append(own[_nearest(own)])
    return Nothing(tuple(never), () if never else tuple(apart), tuple(tried))


def _nearest(own: Sequence[Kept]) -> int:
    """The one that is nearest to holding: the requirement says which way that is."""
    values = [each.worst for each in own]
    floor = any(sign in own[0].text for sign in (">",))
    keyed = [
        (value if value is not None else (-math.inf if floor else math.inf), number)
        for number, value in enumerate(values)
    ]
    return (max(keyed) if floor else min(keyed))[1]

"""The trade: throughput that checkpoints cost, for the time that they hold TCP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from remusnet.metrics.percentiles import NS_PER_MS, rounded
from remusnet.sweep.running import finite
from remusnet.sweep.table import Mean
from remusnet.units import format_duration

COST: Final = "overhead"
WAIT: Final = "tcp.hold.p99"
"""The two ends of the trade, as metrics."""

LEAST_POINTS: Final = 3
"""Two ends, and what may lie below the line between them."""

Line = tuple[str, list[Mean]]
"""A policy and setting, and its means in the order of intervals."""


@dataclass(frozen=True, slots=True)
class Point:
    """An interval: throughput lost (percent), and the 99th percentile of held TCP's delay (ms)."""

    interval_ns: int
    cost: float
    wait: float


@dataclass(frozen=True, slots=True)
class Knee:
    """The knee of a policy and setting, ``name``."""

    name: str
    point: Point

    def to_json(self) -> dict[str, object]:
        """An element of ``knees``."""
        return {
            "of": self.name,
            "interval_ms": self.point.interval_ns / NS_PER_MS,
            COST: rounded(self.point.cost),
            WAIT: rounded(self.point.wait),
        }


def trades(means: Sequence[Mean]) -> dict[str, list[Point]]:
    """The points of each policy and setting that has both ends of the trade."""
    waits = dict(lines_of(means, WAIT))
    found = {}
    for name, costs in lines_of(means, COST):
        wait = {each.interval_ns: float(each.mean or 0) for each in waits.get(name, ())}
        found[name] = [
            Point(each.interval_ns, float(each.mean or 0), wait[each.interval_ns])
            for each in costs
            if each.interval_ns in wait
        ]
    return {name: points for name, points in found.items() if len(points) > 1}


def front(points: Iterable[Point]) -> list[Point]:
    """Those that no other is better than in both, by cost: Pareto's."""
    found: list[Point] = []
    for each in sorted(points, key=lambda point: (point.cost, point.wait)):
        if not found or each.wait < found[-1].wait:
            found.append(each)
    return found


def knee(points: Iterable[Point]) -> Point | None:
    """The point of the front that is farthest below the line between its ends, both axes 0 to 1.

    There a little less of one end begins to cost much of the other (Satopää et al., "Finding a
    Kneedle in a Haystack", 2011). None where the front has no bend.
    """
    best = front(points)
    if len(best) < LEAST_POINTS:
        return None
    first, last = best[0], best[-1]

    def below(each: Point) -> float:
        along = (each.cost - first.cost) / (last.cost - first.cost)
        return 1 - along - (each.wait - last.wait) / (first.wait - last.wait)

    found = max(best, key=below)
    return found if below(found) > 1e-9 else None


def knees(means: Sequence[Mean]) -> list[Knee]:
    """The knee of each policy and setting that has one."""
    found = [(name, knee(points)) for name, points in trades(means).items()]
    return [Knee(name, point) for name, point in found if point is not None]


def lines_of(means: Sequence[Mean], metric: str) -> list[Line]:
    """The means of ``metric`` that are there, a line for each policy and setting."""
    found: dict[str, list[Mean]] = {}
    for each in means:
        if each.metric == metric and finite(each.mean):
            found.setdefault(name_of(each), []).append(each)
    return [(name, sorted(own, key=lambda each: each.interval_ns)) for name, own in found.items()]


def name_of(each: Mean) -> str:
    """The policy, and what was set: ``tcp-only, network.loss 1``."""
    return ", ".join([each.policy, *(f"{key} {value}" for key, value in each.settings)])


def short(ns: int) -> str:
    """An interval to four digits: 86.56ms."""
    digits = len(str(ns)) - 4
    return format_duration(round(ns, -digits) if digits > 0 else ns)

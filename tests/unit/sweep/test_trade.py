from __future__ import annotations

from math import inf

import pytest

from remusnet.sweep.choice import of_trade
from remusnet.sweep.table import Mean
from remusnet.sweep.trade import COST, WAIT, Point, front, knee

MS = 1_000_000


def mean(interval_ms: int, metric: str, value: float | None, policy: str = "tcp-only") -> Mean:
    return Mean(interval_ms * MS, (), policy, metric, value, None, None, 1)


def test_the_front_has_what_no_other_is_better_than_in_both() -> None:
    points = [Point(1, 3, 1), Point(2, 2, 5), Point(3, 1, 4), Point(4, 1, 9)]
    assert [each.interval_ns for each in front(points)] == [3, 1]


def test_the_knee_of_a_hyperbola_is_where_it_has_the_slope_of_its_chord() -> None:
    # cost x wait = 100 from 1 to 100: the chord falls by 1, as the hyperbola does at 10.
    points = [Point(number, cost, 100 / cost) for number, cost in enumerate((1, 5, 10, 20, 100))]
    found = knee(points)
    assert found is not None
    assert found.cost == 10


@pytest.mark.parametrize("costs", [(1, 2), (1, 2, 3)])
def test_two_points_or_a_straight_line_have_no_knee(costs: tuple[int, ...]) -> None:
    assert knee([Point(cost, cost, 10 - cost) for cost in costs]) is None


def test_policies_that_bend_at_one_interval_are_told_together_and_others_apart() -> None:
    curve = {20: (10, 80), 100: (6, 100), 1000: (3, 1000)}
    means = [
        mean(interval, metric, value, policy)
        for policy in ("tcp-only", "hold-all")
        for interval, both in curve.items()
        for metric, value in zip((COST, WAIT), both, strict=True)
    ]
    words = of_trade(means)
    assert words is not None
    assert words.headline == "Best trade: 100ms"
    assert words.interval_ns == 100 * MS
    assert words.lines[0] == (
        "At 100ms overhead is 6 % and tcp.hold.p99 is 100 ms, under tcp-only and 1 more."
    )
    other = [mean(at, COST, 9 - at, "odd") for at in (1, 2, 8)]
    other += [mean(at, WAIT, wait, "odd") for at, wait in ((1, 1), (2, 2), (8, 90))]
    words = of_trade([*means, *other])
    assert words is not None
    assert words.headline == "Best trade: 2ms to 100ms"
    assert words.interval_ns is None


@pytest.mark.parametrize(
    ("costs", "waits", "why"),
    [
        ({20: 9, 100: 1}, {20: 1, 100: 9}, "A trade needs 3 intervals at least; these are 2."),
        ({20: 9, 50: 2, 100: 1}, {20: None, 50: None, 100: None}, "no TCP was held here"),
        ({20: 3, 50: 2, 100: 1}, {20: 1, 50: 2, 100: 3}, "No interval stands out"),
        ({20: 1, 50: 2, 100: 3}, {20: 1, 50: 2, 100: 3}, "No interval stands out"),
        # What never leaves is held, too.
        ({20: 9, 50: 2, 100: 1}, {20: inf, 50: inf, 100: inf}, "No interval stands out"),
    ],
)
def test_without_a_trade_it_says_why(
    costs: dict[int, float], waits: dict[int, float | None], why: str
) -> None:
    means = [mean(at, COST, cost) for at, cost in costs.items()]
    means += [mean(at, WAIT, wait) for at, wait in waits.items()]
    words = of_trade(means)
    assert words is not None
    assert not words.found
    assert not words.asked
    assert words.headline == "No best trade"
    assert why in words.lines[0]
    assert "remusnet tune" in words.lines[1]


def test_of_other_metrics_nothing_is_said() -> None:
    assert of_trade([mean(at, COST, 1 / at) for at in (20, 100, 1000)]) is None
    assert of_trade([mean(at, WAIT, at) for at in (20, 100, 1000)]) is None

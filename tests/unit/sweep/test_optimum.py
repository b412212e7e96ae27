from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest

from remusnet.sweep.grid import logarithmic
from remusnet.sweep.optimum import Judged, Nothing, Optimum, optimum
from remusnet.sweep.running import Kept

MS = 1_000_000
GRID = logarithmic(20 * MS, 1000 * MS, 12)
Limit = tuple[str, Callable[[float], float], float]


def judge(
    metric: Callable[[float], float], limits: Sequence[Limit] = ()
) -> Callable[[Sequence[int]], list[Judged]]:
    """Of functions of the interval in ms; a limit is (text, function, most)."""

    def judged(intervals: Sequence[int]) -> list[Judged]:
        return [
            Judged(
                each,
                metric(each / MS),
                tuple(
                    Kept(text, (worst := function(each / MS)) <= most, worst)
                    for text, function, most in limits
                ),
            )
            for each in intervals
        ]

    return judged


def found(result: Optimum | Nothing) -> Optimum:
    assert isinstance(result, Optimum)
    return result


@pytest.mark.parametrize(
    ("metric", "best_ms"),
    [
        # What a checkpoint costs each epoch, and what an epoch costs: a/T + bT, at sqrt(a/b).
        (lambda t: 400 / t + t / 100, 200.0),
        # A fixed pause p beside lost work qT^2: p/T + qT^2, at cbrt(p / 2q).
        (lambda t: 30 / t + 1e-6 * t * t, (30 / 2e-6) ** (1 / 3)),
        # Pages that are written again (1 - exp(-t/W)) against a linear cost: -W ln(W c).
        (lambda t: 0.002 * t + math.exp(-t / 100), -100 * math.log(100 * 0.002)),
    ],
)
def test_an_optimum_that_has_a_closed_form_is_found_within_1_percent(
    metric: Callable[[float], float], best_ms: float
) -> None:
    seen = found(optimum(judge(metric), GRID))
    assert seen.best.interval_ns / MS == pytest.approx(best_ms, rel=0.01)
    assert seen.binding == ()
    assert not seen.at_end


def test_a_requirement_that_binds_is_named_and_met_to_half_a_percent() -> None:
    limit = ("tcp.hold.p99 < 300ms", lambda t: 1.2 * t, 300.0)
    seen = found(optimum(judge(lambda t: 100 / t, [limit]), GRID))
    assert 248 <= seen.best.interval_ns / MS <= 250
    assert seen.binding == ("tcp.hold.p99 < 300ms",)


def test_intervals_within_5_percent_of_the_optimum_are_as_good() -> None:
    seen = found(optimum(judge(lambda t: 400 / t + t / 100), GRID))
    low, high = (each / MS for each in seen.flat_ns)
    # 400/t + t/100 = 4.2 at 200 (1.05 -+ sqrt(1.05^2 - 1)).
    assert low == pytest.approx(200 * (1.05 - math.sqrt(1.05**2 - 1)), rel=0.025)
    assert high == pytest.approx(200 * (1.05 + math.sqrt(1.05**2 - 1)), rel=0.025)
    assert low >= 200 * (1.05 - math.sqrt(1.05**2 - 1)) * 0.999
    assert high <= 200 * (1.05 + math.sqrt(1.05**2 - 1)) * 1.001


def test_an_optimum_at_the_end_of_the_range_says_so() -> None:
    seen = found(optimum(judge(lambda t: 100 / t), GRID))
    assert seen.best.interval_ns == 1000 * MS
    assert seen.at_end


def test_the_most_of_a_metric_is_found_too() -> None:
    seen = found(optimum(judge(lambda t: -abs(math.log(t / 77))), GRID, maximise=True))
    assert seen.best.interval_ns / MS == pytest.approx(77, rel=0.01)


def test_a_requirement_that_no_interval_keeps_is_named_with_the_nearest_that_was_seen() -> None:
    limits: list[Limit] = [
        ("tcp.hold.p99 < 10ms", lambda t: t, 10.0),
        ("overhead < 90%", lambda _: 1.0, 90.0),
    ]
    seen = optimum(judge(lambda t: t, limits), GRID)
    assert isinstance(seen, Nothing)
    assert [(each.text, each.worst) for each in seen.never] == [("tcp.hold.p99 < 10ms", 20.0)]


def test_requirements_that_exclude_each_other_are_all_named() -> None:
    limits: list[Limit] = [
        ("tcp.hold.p99 < 100ms", lambda t: t, 100.0),
        ("overhead < 1%", lambda t: 200 / t, 1.0),
    ]
    seen = optimum(judge(lambda t: t, limits), GRID)
    assert isinstance(seen, Nothing)
    assert seen.never == ()
    assert [text for text, _ in seen.apart] == ["tcp.hold.p99 < 100ms", "overhead < 1%"]
    assert all(0 < kept < len(seen.tried) for _, kept in seen.apart)


def test_it_agrees_with_a_fine_grid_in_twenty_random_cases() -> None:
    chance = random.Random(19)
    fine = logarithmic(20 * MS, 1000 * MS, 4000)
    for _ in range(20):
        cost, wait, most = (chance.uniform(*ends) for ends in ((1, 900), (0.001, 1), (0.1, 2)))

        def metric(t: float, cost: float = cost, wait: float = wait) -> float:
            return cost / t + wait * t

        limit = ("hold", lambda t, most=most: t * most, 400.0)
        ask = judge(metric, [limit])
        best = min((each for each in ask(fine) if each.feasible), key=lambda each: each.value or 0)
        seen = found(optimum(ask, GRID))
        assert seen.best.interval_ns == pytest.approx(best.interval_ns, rel=0.01)


def test_an_island_beyond_the_edge_that_the_grid_has_missed_is_found() -> None:
    """A percentile moves in steps: the requirement holds up to 115 ms, and from 126 to 131 ms."""

    def holds(t: float) -> float:
        return 0.0 if t <= 115 or 126 <= t <= 131 else 1.0

    limits: list[Limit] = [("hold", holds, 0.5)]
    seen = found(optimum(judge(lambda t: 1000 / t, limits), GRID))
    assert 126 * MS <= seen.best.interval_ns <= 131 * MS

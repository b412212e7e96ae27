from __future__ import annotations

import numpy as np
import pytest

from remusnet.availability.distributions import Lognormal, Uniform
from remusnet.availability.intervals import ratios, student
from remusnet.availability.measures import Method
from remusnet.availability.module import Module
from remusnet.availability.net import Memory
from remusnet.availability.sampling import Sampling
from remusnet.availability.simulation import Chunk
from remusnet.availability.solve import Question, solve
from tests.lib.long import count
from tests.unit.availability import nets


@pytest.mark.parametrize(("freedom", "quantile"), [(8, 2.306), (31, 2.0395), (1000, 1.9623)])
def test_students_quantile_is_the_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, rel=1e-3)


def test_a_ratio_of_equal_batches_has_students_interval() -> None:
    values = np.random.default_rng(3).normal(5.0, 1.0, 32)
    (seen,) = ratios([Chunk(2.0, (2 * value,), (1,)) for value in values.tolist()])
    assert seen.value == pytest.approx(values.mean())
    assert seen.half == pytest.approx(student(31) * values.std(ddof=1) / 32**0.5)
    assert seen.changes == 32


@pytest.mark.parametrize(
    ("net", "truth"),
    [
        (nets.alternating(Lognormal(1000.0, 0.4), Uniform(30, 300)), 1000 / 1165),
        (nets.sections(3, Memory.AGE, 1000.0), 1 - 3 * 165 / (1000 + 3 * 165)),
    ],
    ids=["cycles", "batches"],
)
def test_intervals_cover_the_truth_as_often_as_they_say_though_the_error_stops_the_run(
    net: Module, truth: float
) -> None:
    seeds = count(sample=20, long=1000)
    covered = 0
    for seed in range(seeds):
        sampling = Sampling(relative_error=count(sample=5, long=2) / 100, seed=seed)
        (seen,) = solve(net, [nets.UP], Question(sampling, Method.SIMULATION))
        assert seen.reached
        assert seen.low is not None
        assert seen.high is not None
        covered += seen.low <= truth <= seen.high
    print(f"{covered} of {seeds} intervals cover the truth")
    if seeds == 1000:
        assert 0.93 <= covered / seeds <= 0.97
    else:
        # 3.5 standard deviations below 95 %: 20 seeds tell no more.
        assert covered >= 15

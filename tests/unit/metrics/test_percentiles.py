from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from remusnet.metrics.percentiles import NS_PER_MS, Spread, milliseconds, percentile, spread


def test_percentiles_lie_between_the_closest_ranks() -> None:
    assert spread(np.arange(101.0)) == Spread(50, 95, 99, 100)
    assert spread(np.array([1.0, 2.0])) == Spread(1.5, 1.95, 1.99, 2.0)


def test_the_order_of_values_does_not_matter() -> None:
    assert spread(np.array([3.0, 1.0, 2.0])) == spread(np.array([1.0, 2.0, 3.0]))


def test_no_values_have_no_percentiles() -> None:
    assert spread(np.zeros(0)) is None


def test_json_shows_whole_nanoseconds() -> None:
    found = spread(milliseconds(np.array([100_000, 300_000])))
    assert found is not None
    assert json.dumps(found.to_json()) == '{"p50": 0.2, "p95": 0.29, "p99": 0.298, "max": 0.3}'


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_a_spread_is_numpys_percentiles_to_the_last_bit(nanoseconds: list[int]) -> None:
    values = milliseconds(np.array(nanoseconds, np.int64))
    assert spread(np.array(nanoseconds), NS_PER_MS) == spread(values)
    assert spread(values) == Spread(*np.percentile(values, (50, 95, 99, 100)).tolist())


@given(
    st.lists(st.floats(-1e9, 1e9) | st.just(1e300), min_size=1, max_size=50),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_a_percentile_is_numpys(values: list[float], share: float) -> None:
    found = percentile(np.array(values), share)
    assert found == np.quantile(np.array(values), share)

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.errors import InvalidInput
from remusnet.sweep.grid import Axis, axis, intervals, logarithmic, points

MS = 1_000_000


def test_a_range_is_as_far_apart_on_a_logarithmic_scale_both_ends_included() -> None:
    found = intervals("20ms..1s", 12)
    assert (found[0], found[-1], len(found)) == (20 * MS, 1000 * MS, 12)
    steps = [math.log(after / before) for before, after in pairwise(found)]
    # 10 us of 20 ms.
    assert max(steps) - min(steps) < 1e-3


def test_a_list_is_in_order_and_has_each_interval_once() -> None:
    assert intervals("100ms, 40ms,100ms", 12) == (40 * MS, 100 * MS)


@given(st.integers(MS, 10**9), st.integers(2, 10**9), st.integers(2, 50))
def test_any_grid_ascends_from_its_first_to_its_last(first: int, more: int, count: int) -> None:
    found = logarithmic(first, first + more, count)
    assert found[0] == first
    assert found[-1] == first + more
    assert list(found) == sorted(set(found))
    assert len(found) <= count


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("network.loss=1%", "network.loss", ("1%",)),
        ("calls.codec=g711a,opus", "calls.codec", ("g711a", "opus")),
        ("network.loss=0..2%", "network.loss", ("0%", "0.5%", "1%", "1.5%", "2%")),
        ("network.delay=1ms..3ms:3", "network.delay", ("1ms", "2ms", "3ms")),
    ],
)
def test_an_axis_is_a_value_a_list_or_a_range(text: str, key: str, values: tuple[str, ...]) -> None:
    assert axis(text) == Axis(key, values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1s..20ms", "from the shorter to the longer"),
        ("20ms..", "invalid time"),
        ("200", "invalid time"),
        ("10us..1s", "expected 1ms"),
    ],
)
def test_intervals_that_are_none_are_named(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        intervals(text, 12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network.loss", "expected KEY=VALUE"),
        ("=1", "expected KEY=VALUE"),
        ("network.loss=2%..0%", "from the smaller"),
        ("network.delay=1ms..3s", "same unit"),
        ("network.loss=a..b", "of numbers"),
        ("network.loss=0..1:1", "2 to 1000 values"),
        ("network.loss=0..1:x", "LOW..HIGH:COUNT"),
        ("checkpoint.interval=40ms", "--interval"),
    ],
)
def test_axes_that_are_none_are_named(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        axis(text)


def test_too_many_points_are_refused_before_any_is_run() -> None:
    axes = [Axis(f"a.k{number}", tuple(map(str, range(100)))) for number in range(3)]
    with pytest.raises(InvalidInput, match="12,000,000 points"):
        points(logarithmic(MS, 1000 * MS, 12), axes, 1)

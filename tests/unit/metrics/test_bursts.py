from __future__ import annotations

import numpy as np
import pytest

from remusnet.metrics.bursts import Bursts, burst_sizes, burst_summary
from tests.unit.metrics.packets import MS


def sizes(*arrival_ms: float, ptime_ms: float | None = 20) -> list[int]:
    arrival = np.array([round(at * MS) for at in arrival_ms], np.int64)
    return [int(size) for size in burst_sizes(arrival, ptime_ms and ptime_ms * MS)]


def test_packets_that_are_released_together_are_one_burst() -> None:
    assert sizes(400, 400.01, 400.02, 800, 800, 1200) == [3, 2, 1]


def test_an_even_stream_has_bursts_of_one() -> None:
    assert sizes(0, 20, 40, 60) == [1, 1, 1, 1]


@pytest.mark.parametrize(("gap", "bursts"), [(9.999, [2]), (10, [1, 1])])
def test_half_a_packet_interval_parts_bursts(gap: float, bursts: list[int]) -> None:
    assert sizes(0, gap) == bursts


def test_without_a_packet_interval_nothing_is_a_burst() -> None:
    assert sizes(0, 0, 1, ptime_ms=None) == [1, 1, 1]


def test_nothing_has_no_bursts() -> None:
    assert sizes() == []
    assert burst_summary(np.zeros(0, np.int64)) == Bursts(0, 0)


def test_the_median_is_over_bursts_and_not_over_packets() -> None:
    assert burst_summary(np.array([1, 1, 20])) == Bursts(1, 20)

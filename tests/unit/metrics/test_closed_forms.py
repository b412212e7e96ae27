"""The closed forms against the estimator on streams that a schedule has disturbed."""

from __future__ import annotations

import numpy as np
import pytest

from remusnet.frames import Int64s
from remusnet.metrics.arrivals import Float64s, interarrival_jitter
from remusnet.metrics.closed_forms import (
    burst_size,
    bypass_mean,
    held_mean,
    held_peak,
    held_trough,
    locked_bypass_mean,
)
from tests.unit.metrics.packets import MS

THESIS = [(40, 2, 20.0, 20.0, 20.0), (200, 10, 36.0, 31.8, 41.0), (300, 15, 37.3, 30.6, 46.2)]
THESIS += [(400, 20, 38.0, 29.1, 51.0)]


def sent(seconds: int, ptime_ms: int) -> Int64s:
    return np.arange(seconds * 1000 // ptime_ms, dtype=np.int64) * ptime_ms * MS


def settled(arrival_ns: Int64s, ptime_ms: int) -> Float64s:
    """The jitter series, less its first 10 s, in which the estimator climbs from zero."""
    timestamp = np.arange(len(arrival_ns), dtype=np.int64) * ptime_ms * 8
    return interarrival_jitter(arrival_ns, timestamp, 8000)[10_000 // ptime_ms :]


@pytest.mark.parametrize(("period", "burst", "mean", "trough", "peak"), THESIS)
def test_they_give_the_thesis_numbers(
    period: int, burst: int, mean: float, trough: float, peak: float
) -> None:
    assert burst_size(period) == burst
    assert held_mean(period) == pytest.approx(mean, abs=0.05)
    assert held_trough(period) == pytest.approx(trough, abs=0.05)
    assert held_peak(period) == pytest.approx(peak, abs=0.05)


@pytest.mark.parametrize("ptime", [10, 20, 30, 40])
@pytest.mark.parametrize("bursts_of", [2, 5, 15])
def test_held_packets_have_this_mean_peak_and_trough(ptime: int, bursts_of: int) -> None:
    period = ptime * bursts_of
    released = -(-(sent(400, ptime) + 1) // (period * MS)) * period * MS
    series = settled(released, ptime)
    whole = series[: len(series) // bursts_of * bursts_of]
    # Exact but for the rest of the climb, (15/16)**250 at the worst.
    assert whole.mean() == pytest.approx(held_mean(period, ptime), rel=1e-5)
    assert series.max() == pytest.approx(held_peak(period, ptime), rel=1e-5)
    assert series.min() == pytest.approx(held_trough(period, ptime), rel=1e-5)


def test_the_mean_needs_no_whole_burst() -> None:
    """455 ms, as xl's schedule makes of 400/50/5: bursts of 22 and 23."""
    released = -(-(sent(400, 20) + 1) // (455 * MS)) * 455 * MS
    assert settled(released, 20).mean() == pytest.approx(held_mean(455), rel=0.002)


def fitting(*periods: int) -> list[tuple[int, int]]:
    """Periods with the pauses that leave the guest some time to run."""
    pauses = (0, 5, 15, 20, 25, 30, 35, 39, 50, 75, 100, 290)
    return [(period, pause) for period in periods for pause in pauses if pause < period]


def paused(due: Int64s, cycle: int, pause_ms: int) -> Int64s:
    """When packets leave a guest that stands for ``pause_ms`` at the beginning of each cycle."""
    into = due % cycle
    return np.where(into < pause_ms * MS, due - into + pause_ms * MS, due)


@pytest.mark.parametrize(("period", "pause"), fitting(40, 300, 400))
def test_a_pause_under_bypass_has_this_mean(period: int, pause: int) -> None:
    # 137 us of drift a period: the packets' phase passes through all of the 20 ms, many times.
    cycle = period * MS + 137_003
    arrival = paused(sent(4000, 20), cycle, pause)
    # The mean over phases; 4,000 s have 10,000 pauses.
    assert settled(arrival, 20).mean() == pytest.approx(bypass_mean(period, pause), rel=0.01)


@pytest.mark.parametrize("phase", [0, 5, 12, 19])
@pytest.mark.parametrize(("period", "pause"), fitting(20, 40, 200, 300, 400))
def test_a_pause_that_is_locked_to_the_packets_has_this_mean(
    period: int, pause: int, phase: int
) -> None:
    series = settled(paused(sent(400, 20) + phase * MS, period * MS, pause), 20)
    whole = series[: len(series) // (period // 20) * (period // 20)]
    expected = locked_bypass_mean(period, pause, phase)
    # Exact but for the rest of the climb.
    assert whole.mean() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("period", "pause"), [(40, 5), (40, 25), (40, 39), (200, 190), (300, 50)])
def test_the_mean_of_locked_clocks_over_all_phases_is_that_of_drifting_ones(
    period: int, pause: int
) -> None:
    phases = (np.arange(20_000) + 0.5) / 1000
    means = [locked_bypass_mean(period, pause, phase) for phase in phases.tolist()]
    assert np.mean(means) == pytest.approx(bypass_mean(period, pause), rel=1e-6)


def test_a_pause_of_nearly_the_period_is_as_if_all_were_held() -> None:
    for period in (40, 300, 455):
        assert bypass_mean(period, period - 1e-9) == pytest.approx(held_mean(period))
    assert locked_bypass_mean(40, 39.999, 0) == pytest.approx(held_mean(40), rel=1e-3)


def test_locked_clocks_may_miss_every_pause() -> None:
    """300 = 15 x 20: each pause of 15 ms hits the same packet, or each misses all of them."""
    due = sent(400, 20) + 17 * MS
    assert settled(paused(due, 300 * MS, 15), 20).max() == 0
    assert locked_bypass_mean(300, 15, 17) == 0
    assert bypass_mean(300, 15) == pytest.approx(0.75)


def test_both_forms_for_a_pause_meet_at_one_packet_interval() -> None:
    assert bypass_mean(300, 20) == pytest.approx(bypass_mean(300, 20.000001), rel=1e-6)
    assert bypass_mean(300, 50) == pytest.approx(5.33, abs=0.01)


def test_what_has_no_steady_state_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        held_peak(455)
    with pytest.raises(ValueError, match="holds no packets"):
        held_mean(10)
    with pytest.raises(ValueError, match="holds no packets"):
        held_mean(400, 0)
    for pause in (-1, 400):
        with pytest.raises(ValueError, match="doesn't fit"):
            bypass_mean(400, pause)
        with pytest.raises(ValueError, match="doesn't fit"):
            locked_bypass_mean(400, pause, 0)
    with pytest.raises(ValueError, match="no multiple"):
        locked_bypass_mean(455, 50, 0)
    for phase in (-1, 20):
        with pytest.raises(ValueError, match="isn't within"):
            locked_bypass_mean(400, 50, phase)

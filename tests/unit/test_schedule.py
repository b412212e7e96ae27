from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.errors import InvalidInput
from remusnet.schedule import Schedule, ScheduleKind

XL, XEND = ScheduleKind.XL, ScheduleKind.XEND


def test_the_period_is_counted_from_the_commit_by_xl_and_from_the_suspend_by_xend() -> None:
    assert Schedule(100, 20, 5, XL).period_ns == 125
    assert Schedule(100, 20, 5, XEND).period_ns == 100


def test_xend_is_late_where_the_checkpoint_takes_longer_than_the_interval() -> None:
    assert Schedule(100, 80, 50, XEND).period_ns == 130


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((0, 1, 1), "invalid interval: 0 ns; expected more than 0"),
        ((-1, 1, 1), "invalid interval: -1 ns; expected more than 0"),
        ((1, -1, 1), "invalid pause: -1 ns; expected 0 or more"),
        ((1, 1, -1), "invalid commit delay: -1 ns; expected 0 or more"),
        ((1, 1, 3_601_000_000_000), "invalid commit delay: 3601s; expected 1 h at most"),
    ],
)
def test_impossible_times_are_refused(times: tuple[int, int, int], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Schedule(*times)


@given(
    st.integers(2, 10**9), st.integers(0, 10**8), st.integers(0, 10**8), st.sampled_from((XL, XEND))
)
def test_a_schedule_of_a_period_has_that_period_or_is_refused(
    period: int, pause: int, delay: int, kind: ScheduleKind
) -> None:
    try:
        schedule = Schedule.of_period(period, pause, delay, kind)
    except InvalidInput:
        assert period < pause + delay + (kind is XL) or pause == period
    else:
        assert schedule.period_ns == period
        assert schedule.kind is kind


@given(st.integers(1, 10**9), st.integers(0, 10**8), st.sampled_from((XL, XEND)))
def test_an_interval_and_its_period_lead_to_each_other(
    interval: int, busy: int, kind: ScheduleKind
) -> None:
    period = kind.period_ns(interval, busy)
    assert period >= busy
    assert kind.interval_ns(period, busy) == (max(interval, busy) if kind is XEND else interval)
    assert kind.period_ns(kind.interval_ns(period, busy), busy) == period


def test_a_guest_that_never_runs_is_refused() -> None:
    with pytest.raises(InvalidInput, match="never run: it pauses for 50ms in every 50ms"):
        Schedule(50_000_000, 50_000_000, 0, XEND)
    assert Schedule(50_000_000, 50_000_000, 1, XEND).period_ns == 50_000_001


def test_a_schedule_needs_no_numpy() -> None:
    """Whoever drives a plug in a small Dom0 would wait seconds for it."""
    code = "import remusnet.schedule, sys; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.emulator.machine.epochs import Checkpoints, checkpoints_between, depart, step_by_step
from remusnet.frames import Int64s
from remusnet.metrics.holding import left_early, output_commit
from remusnet.schedule import Schedule, ScheduleKind
from tests.unit.emulator.recorded import checkpoints

TWO = checkpoints((100, 120, 125), (225, 245, 250), (350, 370, 375))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], Checkpoints]:
    times = sorted(draw(st.lists(st.integers(0, 400), min_size=1, max_size=40)))
    kind = draw(st.sampled_from(list(ScheduleKind)))
    schedule = Schedule(draw(st.integers(20, 90)), draw(st.integers(0, 19)), 3, kind)
    return times, checkpoints_between(schedule, 0, 400)


def violations(sent_ns: Int64s, left_ns: Int64s, planned: Checkpoints) -> int:
    return left_early(sent_ns, left_ns, planned.suspend_ns, planned.commit_ns)


@given(cases(), st.booleans())
def test_packets_in_order_leave_as_the_plug_lets_them(
    case: tuple[list[int], Checkpoints], hold: bool
) -> None:
    """`depart` looks up epochs, the vif takes frames; the vif is tested against the kernel's."""
    due_ns, planned = np.array(case[0], np.int64), case[1]
    sent_ns, left_ns = depart(due_ns, planned, hold)
    for due, sent in zip(case[0], sent_ns.tolist(), strict=True):
        pauses = zip(planned.suspend_ns.tolist(), planned.resume_ns.tolist(), strict=True)
        waits = [resume for suspend, resume in pauses if suspend <= due < resume]
        assert sent == (waits[0] if waits else due)
    ones = np.ones(len(due_ns), np.int64)
    expected, dropped = step_by_step(sent_ns, ones, ones == hold, planned, 10**6)
    assert left_ns.tolist() == expected.tolist()
    assert not dropped.any()
    assert violations(sent_ns, left_ns, planned) == 0 or not hold


@given(cases(), st.integers(1, 30))
def test_packets_that_leave_too_early_are_counted_as_output_commit_counts_them(
    case: tuple[list[int], Checkpoints], too_early: int
) -> None:
    sent_ns, left_ns = depart(np.array(case[0], np.int64), case[1], hold=True)
    left_ns = left_ns - too_early
    every = np.ones(len(sent_ns), np.bool_)
    counted = output_commit(sent_ns, left_ns, every, ~every, case[1].suspend_ns, case[1].commit_ns)
    assert violations(sent_ns, left_ns, case[1]) == counted.violations > 0


def test_packets_after_the_last_checkpoint_are_an_error() -> None:
    with pytest.raises(IndexError, match="after the last checkpoint"):
        depart(np.array([10, 400], np.int64), TWO, hold=True)


def test_a_frame_of_a_pause_is_sent_at_the_resume_and_belongs_to_the_next_epoch() -> None:
    sent_ns, left_ns = depart(np.array([99, 100, 119, 120], np.int64), TWO, hold=True)
    assert sent_ns.tolist() == [99, 120, 120, 120]
    assert left_ns.tolist() == [125, 250, 250, 250]

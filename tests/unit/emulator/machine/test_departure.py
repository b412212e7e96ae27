from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.emulator.machine.checkpoints import Checkpoints, checkpoints_between
from remusnet.emulator.machine.departure import Losses, arrive, early, leave
from remusnet.emulator.machine.replay import after_pauses, through_buffer
from remusnet.metrics.output_commit import output_commit
from remusnet.scenario.scenario import Network
from remusnet.schedule import Schedule, ScheduleKind
from tests.unit.emulator.recorded import checkpoints

RNG = np.random.default_rng
TWO = checkpoints((100, 120, 125), (225, 245, 250), (350, 370, 375))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], Checkpoints]:
    times = sorted(draw(st.lists(st.integers(0, 400), min_size=1, max_size=40)))
    kind = draw(st.sampled_from(list(ScheduleKind)))
    schedule = Schedule(draw(st.integers(20, 90)), draw(st.integers(0, 19)), 3, kind)
    return times, checkpoints_between(schedule, 0, 400)


@given(cases(), st.booleans())
def test_packets_in_order_leave_as_the_replay_lets_them(
    case: tuple[list[int], Checkpoints], hold: bool
) -> None:
    """`leave` looks up epochs, the replay frames; the replay is tested against the plug itself."""
    due_ns, planned = np.array(case[0], np.int64), case[1]
    sent_ns, left_ns = leave(due_ns, planned, hold)
    replayed = after_pauses(due_ns, planned)
    assert sent_ns.tolist() == replayed.tolist()
    ones = np.ones(len(due_ns), np.int64)
    expected, _ = through_buffer(replayed, ones, ones == hold, planned, 10**6)
    assert left_ns.tolist() == expected.tolist()
    assert early(sent_ns, left_ns, planned) == 0 or not hold


@given(cases(), st.integers(1, 30))
def test_packets_that_leave_too_early_are_counted_as_output_commit_counts_them(
    case: tuple[list[int], Checkpoints], too_early: int
) -> None:
    sent_ns, left_ns = leave(np.array(case[0], np.int64), case[1], hold=True)
    left_ns = left_ns - too_early
    every = np.ones(len(sent_ns), np.bool_)
    counted = output_commit(sent_ns, left_ns, every, ~every, case[1].suspend_ns, case[1].commit_ns)
    assert early(sent_ns, left_ns, case[1]) == counted.violations > 0


def test_packets_after_the_last_checkpoint_are_an_error() -> None:
    with pytest.raises(IndexError, match="after the last checkpoint"):
        leave(np.array([10, 400], np.int64), TWO, hold=True)


def test_a_frame_of_a_pause_is_sent_at_the_resume_and_belongs_to_the_next_epoch() -> None:
    sent_ns, left_ns = leave(np.array([99, 100, 119, 120], np.int64), TWO, hold=True)
    assert sent_ns.tolist() == [99, 120, 120, 120]
    assert left_ns.tolist() == [125, 250, 250, 250]


def test_no_packet_comes_before_it_left() -> None:
    left_ns = np.arange(1000, dtype=np.int64) * 1000
    arrival_ns = arrive(left_ns, Network(delay_ns=5, jitter_ns=1000), RNG(1))
    assert (arrival_ns >= left_ns).all()
    assert (arrival_ns > left_ns + 5).any()


@pytest.mark.parametrize("burst", [1.0, 4.0])
@pytest.mark.parametrize("percent", [1.0, 10.0, 30.0])
def test_losses_have_their_share_and_their_bursts(percent: float, burst: float) -> None:
    losses = Losses(Network(loss_percent=percent, loss_burst=burst), RNG(7))
    lost = np.concatenate([losses.next(10_000) for _ in range(40)])
    assert 100 * lost.mean() == pytest.approx(percent, rel=0.06)
    runs = np.diff(np.flatnonzero(np.diff(lost.astype(int), prepend=0, append=0)))[::2]
    # Independent losses at share p make runs of 1 / (1 - p).
    expected = burst if burst > 1 else 1 / (1 - percent / 100)
    assert runs.mean() == pytest.approx(expected, rel=0.06)


def test_all_or_nothing_is_lost_at_the_ends_of_the_scale() -> None:
    for percent, share in ((0.0, 0.0), (100.0, 1.0)):
        lost = Losses(Network(loss_percent=percent, loss_burst=3.0), RNG(1)).next(100)
        assert lost.mean() == share

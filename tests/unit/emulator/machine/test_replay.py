from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from remusnet.emulator.machine.epochs import (
    NO_EPOCH,
    Checkpoints,
    Deliveries,
    checkpoints_between,
    depart,
    depart_within,
    step_by_step,
)
from remusnet.schedule import Schedule, ScheduleKind
from tests.unit.emulator.recorded import checkpoints, replayed

TWO = checkpoints((100, 120, 125), (225, 245, 250), (350, 370, 375))


# -- one thing at a time ---------------------------------------------------------------------------


def test_a_held_frame_leaves_at_the_commit_of_its_epoch() -> None:
    found = replayed([0, 99, 130, 224], TWO)
    assert found.time_ns.tolist() == [125, 125, 250, 250]
    assert found.epoch.tolist() == [0, 0, 1, 1]


def test_a_frame_of_the_pause_leaves_the_guest_at_the_resume() -> None:
    found = replayed([99, 100, 119, 120, 121], TWO, hold=[False] * 5)
    assert found.time_ns.tolist() == [99, 120, 120, 120, 121]
    assert found.order.tolist() == [0, 1, 2, 3, 4]


def test_a_held_frame_of_the_pause_belongs_to_the_next_epoch() -> None:
    found = replayed([99, 100, 119], TWO)
    assert found.time_ns.tolist() == [125, 250, 250]
    assert found.epoch.tolist() == [0, 1, 1]


def test_without_a_pause_a_frame_at_the_suspend_belongs_to_the_epoch_that_begins() -> None:
    found = replayed([9, 10, 11], checkpoints((10, 10, 10), (20, 20, 20)))
    assert found.time_ns.tolist() == [10, 20, 20]


def test_frames_of_others_keep_their_times() -> None:
    found = replayed([50, 110, 130], TWO, guest=[False, False, True])
    assert found.time_ns.tolist() == [50, 110, 250]
    assert found.epoch.tolist() == [NO_EPOCH, NO_EPOCH, 1]


def test_frames_out_of_time_order_are_sent_in_order_of_time() -> None:
    found = replayed([130, 50, 60], TWO)
    assert found.time_ns.tolist() == [250, 125, 125]
    assert found.order.tolist() == [1, 2, 0]


def test_frames_of_equal_times_keep_the_order_of_the_capture() -> None:
    found = replayed([7, 7, 7], TWO, hold=[True, False, True])
    assert found.order.tolist() == [1, 0, 2]


def test_what_a_commit_releases_leaves_before_what_is_sent_at_that_moment() -> None:
    found = replayed([125, 50], TWO, guest=[False, True])
    assert found.time_ns.tolist() == [125, 125]
    assert found.order.tolist() == [1, 0]


def test_a_full_plug_drops_at_the_tail_and_the_dropped_frame_leaves_never() -> None:
    found = replayed([1, 2, 3, 130], TWO, length=[60, 60, 40, 100], limit=100)
    assert found.dropped.tolist() == [False, True, False, False]
    assert found.order.tolist() == [0, 2, 3]


def test_a_commit_makes_room_before_a_frame_of_the_same_moment_arrives() -> None:
    found = replayed([1, 124, 125], TWO, length=[100] * 3, limit=100)
    assert found.dropped.tolist() == [False, True, False]


def test_no_frames_and_no_checkpoints_give_nothing() -> None:
    none = checkpoints()
    assert replayed([], none).order.tolist() == []
    assert depart(np.array([5], np.int64), none, hold=True)[0].tolist() == [5]


# -- what holds for all traffic --------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Some frames, and checkpoints that cover them."""

    times: list[int]
    hold: list[bool]
    guest: list[bool]
    length: list[int]
    limit: int
    checkpoints: Checkpoints

    def replay(self) -> Deliveries:
        return replayed(
            self.times,
            self.checkpoints,
            hold=self.hold,
            guest=self.guest,
            length=self.length,
            limit=self.limit,
        )

    def own_epoch(self, frame: int) -> int:
        """The first checkpoint whose suspend comes after the frame was recorded."""
        suspends = self.checkpoints.suspend_ns.tolist()
        return next(k for k, suspend in enumerate(suspends) if suspend > self.times[frame])

    def leaves_guest(self, frame: int) -> int:
        """When the guest sends the frame: it stands still between suspend and resume."""
        for k in range(len(self.checkpoints)):
            if self.checkpoints.suspend_ns[k] <= self.times[frame] < self.checkpoints.resume_ns[k]:
                return int(self.checkpoints.resume_ns[k])
        return self.times[frame]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Few distinct times and sizes, so that ties, full plugs and empty epochs come often."""
    kind = draw(st.sampled_from(ScheduleKind))
    interval, pause = draw(st.integers(1, 20)), draw(st.integers(0, 12))
    # At least 1 where xend would leave the guest no time to run.
    least = 1 if kind is ScheduleKind.XEND and pause >= interval else 0
    schedule = Schedule(interval, pause, draw(st.integers(least, 12)), kind)
    n = draw(st.integers(0, 25))

    def column(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=n, max_size=n))

    times = column(st.integers(0, 80))
    return Case(
        times,
        [bool(each) for each in column(st.integers(0, 3))],
        [bool(each) for each in column(st.integers(0, 3))],
        column(st.integers(1, 5)),
        draw(st.integers(1, 40)),
        checkpoints_between(schedule, min(times, default=0), max(times, default=0)),
    )


@given(cases())
def test_the_fast_way_gives_what_the_plug_gives_frame_by_frame(case: Case) -> None:
    times = np.sort(np.array(case.times, np.int64))
    length, hold = np.array(case.length, np.int64), np.array(case.hold, np.bool_)
    for limit in (case.limit, 10**6):  # the second is never reached
        sent, fast_ns, fast_dropped = depart_within(times, length, hold, case.checkpoints, limit)
        ns, dropped = step_by_step(sent, length, hold, case.checkpoints, limit)
        assert fast_dropped.tolist() == dropped.tolist()
        assert fast_ns[~dropped].tolist() == ns[~dropped].tolist()


@given(cases())
def test_every_held_frame_leaves_exactly_at_the_commit_of_its_epoch_or_is_dropped(
    case: Case,
) -> None:
    found = case.replay()
    for frame in range(len(case.times)):
        if case.guest[frame] and case.hold[frame] and not found.dropped[frame]:
            assert found.time_ns[frame] == case.checkpoints.commit_ns[case.own_epoch(frame)]
            assert frame in found.order


@given(cases())
def test_nothing_but_a_pause_delays_what_bypasses(case: Case) -> None:
    found = case.replay()
    for frame in range(len(case.times)):
        if not case.guest[frame]:
            assert found.time_ns[frame] == case.times[frame]
        elif not case.hold[frame]:
            assert found.time_ns[frame] == case.leaves_guest(frame)
        else:
            continue
        assert not found.dropped[frame]


@given(cases())
def test_a_frame_is_dropped_exactly_where_it_would_not_have_fitted(case: Case) -> None:
    """Counted anew for each frame from what lies in the plug when it comes."""
    found = case.replay()
    held = [f for f in range(len(case.times)) if case.guest[f] and case.hold[f]]
    held.sort(key=lambda frame: case.times[frame])
    for position, frame in enumerate(held):
        now = case.leaves_guest(frame)
        inside = sum(
            case.length[other]
            for other in held[:position]
            if not found.dropped[other] and found.time_ns[other] > now
        )
        assert found.dropped[frame] == (inside + case.length[frame] > case.limit)


@given(cases())
def test_frames_leave_in_order_of_time_and_what_is_held_in_the_order_of_sending(
    case: Case,
) -> None:
    found = case.replay()
    assert (np.diff(found.time_ns[found.order]) >= 0).all()
    assert len(set(found.order.tolist())) == len(case.times) - found.dropped.sum()
    for kind in (True, False):
        left = [f for f in found.order.tolist() if case.guest[f] and case.hold[f] is kind]
        assert left == sorted(left, key=lambda frame: (case.times[frame], frame))

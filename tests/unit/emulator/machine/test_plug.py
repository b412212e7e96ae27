"""The plug, step by step, as net/sched/sch_plug.c has it."""

from __future__ import annotations

import pytest

from remusnet.emulator.machine.vif import Plug


@pytest.fixture
def plug() -> Plug[str]:
    return Plug(limit=1000)


def fill(plug: Plug[str], frames: str, length: int = 10) -> None:
    for frame in frames:
        assert plug.enqueue(frame, length)


def test_it_starts_plugged(plug: Plug[str]) -> None:
    fill(plug, "ab")
    assert plug.drain() == []
    assert (len(plug), plug.backlog, plug.pkts_current_epoch) == (2, 20, 2)


def test_a_commit_releases_what_came_before_the_suspend(plug: Plug[str]) -> None:
    fill(plug, "ab")
    plug.buffer()
    fill(plug, "cd")
    plug.release_one()
    assert plug.drain() == ["a", "b"]
    assert (len(plug), plug.backlog, plug.throttled) == (2, 20, True)
    plug.buffer()
    plug.release_one()
    assert plug.drain() == ["c", "d"]


def test_a_release_without_a_suspend_releases_nothing(plug: Plug[str]) -> None:
    fill(plug, "ab")
    plug.release_one()
    assert plug.drain() == []


def test_a_second_release_of_the_same_epoch_releases_nothing(plug: Plug[str]) -> None:
    fill(plug, "a")
    plug.buffer()
    fill(plug, "b")
    plug.release_one()
    plug.release_one()
    assert plug.drain() == ["a"]


def test_a_release_waits_for_the_device_to_dequeue(plug: Plug[str]) -> None:
    """Two commits can come before the device is scheduled: both are owed then."""
    fill(plug, "a")
    plug.buffer()
    plug.release_one()
    fill(plug, "b")
    plug.buffer()
    plug.release_one()
    fill(plug, "c")
    assert plug.pkts_to_release == 2
    assert [plug.dequeue(), plug.dequeue(), plug.dequeue()] == ["a", "b", None]


def test_a_suspend_without_a_commit_strands_an_epoch_and_makes_the_rest_late(
    plug: Plug[str],
) -> None:
    """BUFFER overwrites pkts_last_epoch: the release of c lets a out instead."""
    fill(plug, "ab")
    plug.buffer()
    fill(plug, "c")
    plug.buffer()
    fill(plug, "d")
    plug.release_one()
    assert plug.drain() == ["a"]
    plug.buffer()
    plug.release_one()
    assert plug.drain() == ["b"]
    assert len(plug) == 2


def test_an_indefinite_release_lets_everything_pass_and_counts_nothing(plug: Plug[str]) -> None:
    fill(plug, "ab")
    plug.release_indefinite()
    assert plug.drain() == ["a", "b"]
    fill(plug, "c")
    assert plug.pkts_current_epoch == 0
    assert plug.drain() == ["c"]
    assert not plug.throttled


def test_a_suspend_ends_an_indefinite_release(plug: Plug[str]) -> None:
    plug.release_indefinite()
    plug.buffer()
    assert plug.throttled
    fill(plug, "a")
    assert plug.drain() == []
    plug.buffer()
    plug.release_one()
    assert plug.drain() == ["a"]


def test_a_frame_that_passed_uncounted_but_was_not_dequeued_is_left_behind(
    plug: Plug[str],
) -> None:
    """The device was busy when the plug closed again; the next epoch's release pays for it."""
    plug.release_indefinite()
    fill(plug, "a")
    plug.buffer()
    fill(plug, "b")
    plug.buffer()
    plug.release_one()
    assert plug.drain() == ["a"]


def test_a_suspend_does_not_stop_a_release_that_is_owed(plug: Plug[str]) -> None:
    fill(plug, "a")
    plug.buffer()
    plug.release_one()
    plug.buffer()
    assert plug.drain() == ["a"]


def test_the_limit_counts_bytes_and_drops_at_the_tail() -> None:
    plug: Plug[str] = Plug(limit=100)
    assert plug.enqueue("a", 60)
    assert plug.enqueue("b", 40), "exactly full is not too full"
    assert not plug.enqueue("c", 1)
    assert (plug.backlog, plug.drops, plug.pkts_current_epoch) == (100, 1, 2)


def test_a_dropped_frame_is_not_counted_into_its_epoch() -> None:
    plug: Plug[str] = Plug(limit=10)
    plug.enqueue("a", 10)
    plug.enqueue("lost", 10)
    plug.buffer()
    plug.release_one()
    assert plug.drain() == ["a"]
    plug.enqueue("b", 10)
    assert plug.drain() == [], "the drop owes nothing to a later epoch"


def test_room_comes_back_when_frames_leave() -> None:
    plug: Plug[str] = Plug(limit=10)
    plug.enqueue("a", 10)
    plug.buffer()
    plug.release_one()
    assert not plug.enqueue("b", 10), "released, but still in the queue"
    plug.drain()
    assert plug.enqueue("b", 10)


def test_a_smaller_limit_keeps_what_is_in_the_queue(plug: Plug[str]) -> None:
    fill(plug, "ab", length=400)
    plug.set_limit(100)
    assert not plug.enqueue("c", 1)
    assert (len(plug), plug.backlog) == (2, 800)


def test_a_dequeue_from_an_empty_plug_uses_up_what_is_owed() -> None:
    """As the kernel has it: the counter goes down before the queue is looked at."""
    plug: Plug[str] = Plug(limit=10)
    plug.pkts_to_release, plug.throttled = 1, False
    assert plug.dequeue() is None
    assert plug.pkts_to_release == 0

"""How long TCP frames were held, and output commit."""

from __future__ import annotations

import numpy as np
import pytest

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.holding import (
    HoldTimes,
    OutputCommit,
    hold_percentiles,
    output_commit,
    tcp_connections,
)
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import MS, Flow

THERE, BACK = Flow(), Flow("10.0.0.2", 20002, "10.0.0.1", 20000)
OTHER = Flow(sport=30000)


def test_hold_times_are_in_ms() -> None:
    sent = np.arange(101, dtype=np.int64) * 5 * MS
    found = hold_percentiles(sent, sent + np.arange(101) * MS)
    assert found == HoldTimes(101, median=50, p99=99, max=100)
    assert found.to_json() == {"median": 50, "p99": 99, "max": 100}


def test_times_of_this_century_keep_their_nanoseconds() -> None:
    """A date as a float of ms would be rounded to 0.2 us."""
    sent = np.array([make.START_NS])
    assert hold_percentiles(sent, sent + 1).to_json() == {"median": 1e-6, "p99": 1e-6, "max": 1e-6}


def test_what_was_not_held_has_null_and_not_zero() -> None:
    nothing = np.zeros(0, np.int64)
    found = hold_percentiles(nothing, nothing)
    assert found.to_json() == {"median": None, "p99": None, "max": None}


def test_a_frame_is_not_delivered_before_it_was_sent() -> None:
    with pytest.raises(ValueError, match="frame 1 is delivered before it was sent"):
        hold_percentiles(np.array([0, 5, 5]), np.array([0, 4, 5]))
    with pytest.raises(ValueError, match="times of sending"):
        hold_percentiles(np.array([0, 5]), np.array([0]))


def test_a_connection_has_both_directions_and_its_own_held_frames() -> None:
    frames = Frames.of(
        [
            make.tcp(b"", 1, THERE),
            make.tcp(b"", 1, BACK),
            make.udp(b"", THERE),
            make.tcp(b"", 1, OTHER),
            make.tcp(b"", 2, THERE),
        ]
    )
    held = np.array([0, 2, 4])
    sent = frames.time_ns[held]
    found = tcp_connections(columns(frames), held, sent, sent + np.array([10, 999, 30]) * MS)
    assert [(c.flow, c.frames, c.hold.frames, c.hold.median) for c in found] == [
        ("tcp 10.0.0.1:20000 > 10.0.0.2:20002", 3, 2, 20.0),
        ("tcp 10.0.0.1:30000 > 10.0.0.2:20002", 1, 0, None),
    ]


def test_a_capture_without_tcp_has_no_connections() -> None:
    nothing = np.zeros(0, np.int64)
    for frames in ([], [make.udp(b"", THERE)], [make.tcp(b"", 1, THERE)[:36]]):
        assert tcp_connections(columns(Frames.of(frames)), nothing, nothing, nothing) == []


def counted(*frames: tuple[int, int, bool, bool]) -> OutputCommit:
    """Frames as (sent, left, hold, dropped); suspends at 10, 20 and 30, each committed 5 later."""
    columns = np.array(frames, np.int64).reshape(-1, 4)
    return output_commit(
        columns[:, 0],
        columns[:, 1],
        columns[:, 2].astype(np.bool_),
        columns[:, 3].astype(np.bool_),
        np.array([10, 20, 30], np.int64),
        np.array([15, 25, 35], np.int64),
    )


def violations(sent: int, left: int) -> int:
    return counted((sent, left, True, False)).violations


def test_leaving_at_the_commit_is_in_time_and_a_nanosecond_before_is_not() -> None:
    assert violations(9, 15) == 0
    assert violations(9, 14) == 1


def test_the_commit_of_an_earlier_epoch_is_not_enough() -> None:
    assert violations(10, 15) == 1, "sent at the suspend: the saved state does not have it"
    assert violations(10, 25) == 0
    assert violations(29, 25) == 1


def test_what_no_checkpoint_closed_may_not_leave() -> None:
    assert violations(30, 10**6) == 1


def test_frames_that_bypass_or_were_dropped_violate_nothing() -> None:
    found = counted((1, 1, False, False), (2, 2, True, True), (3, 15, True, False))
    assert found == OutputCommit(held=2, bypassed=1, dropped=1, violations=0)


def test_no_frames_count_nothing() -> None:
    assert counted() == OutputCommit(0, 0, 0, 0)

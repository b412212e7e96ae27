"""How long TCP frames were held."""

from __future__ import annotations

import numpy as np
import pytest

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.tcp import HoldTimes, hold_percentiles, tcp_connections
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

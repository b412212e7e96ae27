"""Windows: slow start, Reno, CUBIC's curve, HyStart's two ways out."""

from __future__ import annotations

import pytest

from remusnet.tcp.congestion import Cubic, HyStart, Reno, Window, control
from remusnet.tcp.stack import MS, Congestion, Stack

S = 1000 * MS


def test_slow_start_opens_by_what_is_acknowledged_and_stops_at_the_threshold() -> None:
    window = Window(10, threshold=14)
    assert window.open(3) == 0
    assert (window.size, window.open(3), window.size) == (13, 2, 14)


def test_reno_adds_one_segment_a_round_trip() -> None:
    window = Window(20, threshold=20)
    for _ in range(3):
        size = window.size
        for _ in range(size):
            Reno().grow(window, 1, 0)
        assert window.size == size + 1


def test_cubic_is_back_at_its_largest_after_k_seconds() -> None:
    """RFC 9438, 4.2: K = cbrt((W_max - cwnd) / C), 4.2 s from 70 to 100 segments."""
    cubic, window = Cubic(None), Window(100)
    window.size = window.threshold = cubic.after_loss(100)
    assert window.size == 70
    at_ns = 10 * S
    while window.size < 99:
        cubic.grow(window, window.size, at_ns)
        at_ns += 400 * MS
    # The curve is flat there: 0.4 segments a second before K. Steps are of 0.4 s.
    assert (at_ns - 10 * S) / S == pytest.approx((30 / 0.4) ** (1 / 3), abs=1.2)


def test_hystart_leaves_where_round_trips_are_longer_than_the_shortest() -> None:
    """A tail loss probe that leaves late in an epoch had a short one; the next burst has not."""
    for first_ms, leaves in ((205, False), (195, False), (60, True)):
        cubic, window = Cubic(HyStart()), Window(20)
        cubic.measured(window, first_ms * MS, 2, 100, 0)
        for number in range(9):
            cubic.measured(window, 205 * MS, 101 + number, 300, 205 * MS)
        assert (window.threshold == 20) == leaves


def test_hystart_leaves_where_a_train_of_acknowledgements_is_half_a_path_long() -> None:
    cubic, window = Cubic(HyStart()), Window(100)
    for number in range(100):
        cubic.measured(window, 20 * MS, 2 + number, 1000, number * MS // 5)
    assert window.threshold == 100


def test_below_16_segments_hystart_waits() -> None:
    cubic, window = Cubic(HyStart()), Window(15)
    cubic.measured(window, 10 * MS, 2, 100, 0)
    for number in range(50):
        cubic.measured(window, 205 * MS, 101 + number, 300, 205 * MS)
    assert window.slow_start


def test_a_stack_has_the_control_that_it_says() -> None:
    assert isinstance(control(Stack(congestion=Congestion.RENO)), Reno)
    found = control(Stack(hystart=False))
    assert isinstance(found, Cubic)
    assert found.hystart is None

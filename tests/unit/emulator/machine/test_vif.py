from __future__ import annotations

from remusnet.emulator.machine.buffer import (
    Committed,
    Delivered,
    Dropped,
    Event,
    Output,
    Sent,
    Suspended,
)
from remusnet.emulator.machine.vif import Vif


def fed(vif: Vif, *events: Event) -> list[Output]:
    return [output for event in events for output in vif.handle(event)]


def held(time_ns: int, frame: int) -> Sent:
    return Sent(time_ns, frame, 100, hold=True)


def let_pass(time_ns: int, frame: int) -> Sent:
    return Sent(time_ns, frame, 100, hold=False)


def test_without_a_ring_it_is_the_buffer() -> None:
    vif = Vif(10_000, None)
    found = fed(vif, held(1, 0), let_pass(2, 1), Suspended(3), Committed(4))
    assert found == [Delivered(2, 1), Delivered(4, 0)]
    assert (vif.stalls, vif.stall_max_ns) == (0, 0)


def test_a_full_ring_stops_what_would_bypass() -> None:
    vif = Vif(10_000, 2)
    assert fed(vif, held(1, 0), held(2, 1), let_pass(3, 2), let_pass(4, 3)) == []
    assert vif.stalls == 2
    found = fed(vif, Suspended(5), Committed(9))
    assert found == [Delivered(9, 0), Delivered(9, 1), Delivered(9, 2), Delivered(9, 3)]
    assert vif.stall_max_ns == 6


def test_what_is_let_pass_has_its_slot_back_at_once() -> None:
    vif = Vif(10_000, 1)
    assert len(fed(vif, *(let_pass(t, t) for t in range(100)))) == 100
    assert vif.stalls == 0


def test_what_waited_is_in_the_epoch_in_which_it_got_in() -> None:
    """It waited in the guest's own queue, so the checkpoint has it there, not as output."""
    vif = Vif(10_000, 1)
    assert fed(vif, held(1, 0), held(2, 1), Suspended(3), Committed(4)) == [Delivered(4, 0)]
    assert fed(vif, Suspended(5), Committed(6)) == [Delivered(6, 1)]


def test_order_is_kept_among_those_that_wait() -> None:
    vif = Vif(10_000, 1)
    fed(vif, held(1, 0), let_pass(2, 1), held(3, 2), let_pass(4, 3))
    assert fed(vif, Suspended(5), Committed(6)) == [Delivered(6, 0), Delivered(6, 1)]
    assert vif.inside == {2, 3}
    assert fed(vif, Suspended(7), Committed(8)) == [Delivered(8, 2), Delivered(8, 3)]


def test_a_dropped_frame_keeps_no_slot() -> None:
    vif = Vif(100, 2)
    assert fed(vif, held(1, 0), held(2, 1), let_pass(3, 2)) == [Dropped(2, 1), Delivered(3, 2)]

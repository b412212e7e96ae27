"""A checkpoint cycle as a transcript: ``>>`` an event, ``<<`` what it causes."""

from __future__ import annotations

from remusnet.emulator.machine.vif import (
    Committed,
    Delivered,
    Dropped,
    Sent,
    Suspended,
    Vif,
    VifEvent,
    VifOutput,
)


class Playbook:
    """Feeds events to a vif and compares what comes out, in order and without rest."""

    def __init__(self, vif: Vif) -> None:
        self._vif = vif
        self._out: list[VifOutput] = []

    def __rshift__(self, event: VifEvent) -> Playbook:
        assert self._out == [], "nothing more was expected before this event"
        self._out = list(self._vif.handle(event))
        return self

    def __lshift__(self, expected: VifOutput) -> Playbook:
        assert self._out, f"expected {expected}"
        assert self._out.pop(0) == expected
        return self

    def end(self) -> None:
        assert self._out == []


def hold(time_ns: int, frame: int, length: int = 100) -> Sent:
    return Sent(time_ns, frame, length, hold=True)


def bypass(time_ns: int, frame: int) -> Sent:
    return Sent(time_ns, frame, 100, hold=False)


def test_held_frames_wait_for_the_commit_of_their_epoch_and_others_do_not() -> None:
    (
        Playbook(Vif(limit=1000))
        >> hold(1, frame=1)
        >> bypass(2, frame=2)
        << Delivered(2, 2)
        >> hold(3, frame=3)
        >> Suspended(10)
        >> hold(15, frame=4)
        >> Committed(20)
        << Delivered(20, 1)
        << Delivered(20, 3)
        >> Suspended(30)
        >> Committed(40)
        << Delivered(40, 4)
    ).end()


def test_a_full_plug_drops_what_is_held_and_lets_the_rest_pass() -> None:
    (
        Playbook(Vif(limit=150))
        >> hold(1, frame=1)
        >> hold(2, frame=2)
        << Dropped(2, 2)
        >> bypass(3, frame=3)
        << Delivered(3, 3)
        >> Suspended(10)
        >> Committed(20)
        << Delivered(20, 1)
    ).end()


def test_the_epoch_that_waits_for_its_commit_takes_room_from_the_next() -> None:
    (
        Playbook(Vif(limit=150))
        >> hold(1, frame=1)
        >> Suspended(10)
        >> hold(11, frame=2)
        << Dropped(11, 2)
        >> Committed(20)
        << Delivered(20, 1)
        >> hold(21, frame=3)
        >> Suspended(30)
        >> Committed(40)
        << Delivered(40, 3)
    ).end()


def fed(vif: Vif, *events: VifEvent) -> list[VifOutput]:
    return [output for event in events for output in vif.handle(event)]


def held(time_ns: int, frame: int) -> Sent:
    return Sent(time_ns, frame, 100, hold=True)


def let_pass(time_ns: int, frame: int) -> Sent:
    return Sent(time_ns, frame, 100, hold=False)


def test_without_a_ring_nothing_stalls() -> None:
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

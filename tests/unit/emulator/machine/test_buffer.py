"""A checkpoint cycle as a transcript: ``>>`` an event, ``<<`` what it causes."""

from __future__ import annotations

from remusnet.emulator.machine.buffer import (
    Buffer,
    Committed,
    Delivered,
    Dropped,
    Event,
    Output,
    Sent,
    Suspended,
)


class Playbook:
    """Feeds events to a buffer and compares what comes out, in order and without rest."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._out: list[Output] = []

    def __rshift__(self, event: Event) -> Playbook:
        assert self._out == [], "nothing more was expected before this event"
        self._out = list(self._buffer.handle(event))
        return self

    def __lshift__(self, expected: Output) -> Playbook:
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
        Playbook(Buffer(limit=1000))
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
        Playbook(Buffer(limit=150))
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
        Playbook(Buffer(limit=150))
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

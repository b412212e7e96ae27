"""When a receiver acknowledges, and how far its window opens."""

from __future__ import annotations

from remusnet.tcp.receiver import ATO_NS, Receiver
from remusnet.tcp.stack import LINUX, MS, Stack
from remusnet.tcp.window import ReceiveWindow

MSS = LINUX.mss
RTO_NS = 500 * MS


def after_the_first(stack: Stack = LINUX) -> Receiver:
    """One that has used up its sixteen immediate acknowledgements."""
    receiver = Receiver(stack, next=1, acknowledged=1)
    for number in range(16):
        assert receiver.take(1 + number * MSS, 1 + (number + 1) * MSS, 0, RTO_NS, pushed=False)
        receiver.told()
    receiver.due(0, RTO_NS)
    return receiver


def test_the_first_sixteen_are_acknowledged_at_once() -> None:
    receiver = after_the_first()
    assert not receiver.take(receiver.next, receiver.next + MSS, MS, RTO_NS, pushed=False)


def test_a_single_one_waits_40_ms_and_a_second_one_is_read_and_acknowledged() -> None:
    receiver = after_the_first()
    receiver.take(receiver.next, receiver.next + MSS, MS, RTO_NS, pushed=False)
    assert receiver.due_ns == MS
    assert not receiver.due(MS, RTO_NS)
    assert receiver.due_ns == MS + ATO_NS
    receiver.take(receiver.next, receiver.next + MSS, 2 * MS, RTO_NS, pushed=False)
    assert receiver.due(2 * MS, RTO_NS)


def test_the_end_of_something_is_acknowledged_once_it_is_read() -> None:
    receiver = after_the_first()
    receiver.take(receiver.next, receiver.next + MSS, MS, RTO_NS, pushed=True)
    assert receiver.due(MS, RTO_NS)


def test_a_burst_has_one_acknowledgement_for_64_frames() -> None:
    receiver = after_the_first()
    acknowledged = [
        receiver.take(receiver.next, receiver.next + MSS, MS, RTO_NS, pushed=False)
        for _ in range(70)
    ]
    assert [at for at, each in enumerate(acknowledged) if each] == [63]


def test_who_answers_soon_lets_the_answer_acknowledge() -> None:
    receiver = after_the_first()
    receiver.answered(MS)
    receiver.take(receiver.next, receiver.next + 100, 2 * MS, RTO_NS, pushed=True)
    assert not receiver.due(2 * MS, RTO_NS)
    receiver.told()
    assert receiver.due_ns is None


def test_what_comes_twice_is_told_first_and_what_came_early_behind_it() -> None:
    receiver = Receiver(LINUX, next=1, acknowledged=1)
    assert receiver.take(1 + 2 * MSS, 1 + 3 * MSS, 0, RTO_NS, pushed=False)
    assert receiver.blocks() == (((1 + 2 * MSS, 1 + 3 * MSS),), False)
    receiver.take(1, 1 + MSS, 0, RTO_NS, pushed=False)
    receiver.told()
    assert receiver.take(1, 1 + MSS, 0, RTO_NS, pushed=False)
    assert receiver.blocks() == (((1, 1 + MSS), (1 + 2 * MSS, 1 + 3 * MSS)), True)
    assert receiver.take(1 + MSS, 1 + 2 * MSS, 0, RTO_NS, pushed=False)
    assert receiver.next == 1 + 3 * MSS


def test_without_sack_nothing_is_told_of_what_came_early() -> None:
    receiver = Receiver(Stack(sack=False), next=1)
    receiver.take(1 + 2 * MSS, 1 + 3 * MSS, 0, RTO_NS, pushed=False)
    assert receiver.blocks() == ((), False)


def test_the_window_opens_to_more_than_twice_what_came_in_a_round_trip() -> None:
    window = ReceiveWindow(MSS)
    first = window.offered
    assert not window.take(MSS)
    window.measured(200 * MS)
    window.read(40 * MSS, 200 * MS)
    assert window.most > 2 * 40 * MSS > first
    assert window.take(MSS)
    assert window.offered == first + 2 * MSS
    window.read(10_000 * MSS, 400 * MS)
    assert window.most == 3 << 20

"""When a receiver acknowledges, and how far its window opens."""

from __future__ import annotations

from remusnet.tcp.receiver import ATO_NS, Receiver
from remusnet.tcp.stack import LINUX, MS, Stack, stamp_of
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


def test_a_burst_that_the_window_cannot_grow_by_has_one_acknowledgement() -> None:
    receiver = after_the_first()
    for _ in range(70):
        assert not receiver.take(receiver.next, receiver.next + MSS, MS, RTO_NS, pushed=False)
    assert receiver.due(MS, RTO_NS)


def bursts(sizes: list[int], period_ms: int, apart_ns: int) -> list[int]:
    """The window after each burst. Its segments echo the burst before, those of the first a SYN."""
    receiver = Receiver(LINUX, next=1, acknowledged=1)
    offered = []
    for number, size in enumerate(sizes):
        began_ns = (number + 1) * period_ms * MS
        for at in range(size):
            now_ns = began_ns + at * apart_ns
            answered_ns = now_ns - period_ms * MS if number else 0
            receiver.window.echoed(stamp_of(answered_ns), now_ns)
            if receiver.take(receiver.next, receiver.next + MSS, now_ns, RTO_NS, pushed=False):
                receiver.told()
            if (apart_ns or at == size - 1) and receiver.due(now_ns, RTO_NS):
                receiver.told()
        offered.append(receiver.window.offered)
    return offered


def test_a_window_grows_as_linux_has_it_where_bursts_come_at_one_moment() -> None:
    """tcpi_rcv_ssthresh of Linux 6.1.192 at an interval of 400 ms."""
    assert bursts([10, 20, 40, 80, 160], 405, 0) == [64_088, 64_088, 179_928, 374_068, 414_612]


def test_a_window_grows_as_linux_has_it_where_segments_come_one_by_one() -> None:
    """The same at 200 ms over 100 Mbit/s: one each 121 us, and each is read before the next."""
    seen = bursts([10, 20, 40, 80, 160], 205, 121_120)
    assert seen == [64_088, 66_032, 178_976, 410_656, 786_668]


def test_without_timestamps_a_window_of_data_tells_the_round_trip() -> None:
    window = ReceiveWindow(MSS)
    for number in range(100):
        window.came(1 + number * MSS, number // 10 * 100 * MS)
    assert window.rtt_ns == 400 * MS


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
    assert not window.take(MSS, 1)
    window.echoed(stamp_of(0), 200 * MS)
    assert not window.rtt_ns  # the first one tells nothing
    window.echoed(stamp_of(10 * MS), 210 * MS)
    assert window.rtt_ns == 200 * MS
    window.read(40 * MSS, 200 * MS)
    assert window.most > 2 * 40 * MSS > first
    assert window.take(MSS, 1)
    assert window.offered == first + 2 * MSS
    window.read(10_000 * MSS, 400 * MS)
    assert window.most == 3 << 20

"""The write queue: which segments share a buffer, which carry PSH, and when its writer waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remusnet.tcp.output import Transmit
from remusnet.tcp.queue import SendQueue
from remusnet.tcp.sender import Ack, Sender
from remusnet.tcp.stack import LINUX, MS

MSS = LINUX.mss
RTT_NS = 200 * MS
WINDOW = 64_088


def talking(segments: int) -> Sender:
    """Connected a round trip ago, to a peer with Linux's first window."""
    sender = Sender(LINUX)
    sender.open(0)
    sender.acknowledged(Ack(1, window=WINDOW), RTT_NS)
    sender.established(RTT_NS)
    sender.orders.clear()
    sender.write(segments * MSS, RTT_NS)
    return sender


def pushed(sender: Sender) -> list[tuple[int, bool]]:
    """(number of the segment, whether with PSH), as ordered since the last call."""
    found = [
        ((each.start - 1) // MSS, each.push) for each in sender.orders if isinstance(each, Transmit)
    ]
    sender.orders.clear()
    return found


def test_segments_leave_in_pairs_and_the_second_has_the_flag_psh() -> None:
    """So its receiver acknowledges it when it has read it."""
    assert pushed(talking(100)) == [(number, number % 2 == 1) for number in range(10)]


def test_a_segment_alone_at_a_buffers_end_has_none() -> None:
    """So its receiver waits for another, 40 ms, where it is the last of a burst."""
    queue = SendQueue(MSS, most_window=1 << 20)
    queue.widen(100)
    queue.append(1 + 1000 * MSS, 1, 0)
    # 64 KB with headers are 45 segments.
    assert (queue.end - 1) // MSS == 45
    assert [queue.take(2 * MSS) for _ in range(22)] == 22 * [True]
    assert not queue.take(MSS)


def test_a_small_rest_of_the_window_waits_for_the_next_acknowledgement() -> None:
    """Where one is due within a millisecond, Linux rather sends two segments then than one now."""
    sender = talking(100)
    pushed(sender)
    sender.window.threshold = sender.window.size  # a window that grows by less than what has come
    for number, now_ns in ((3, 2 * RTT_NS), (4, 2 * RTT_NS + MS // 8)):
        sender.acknowledged(Ack(1 + number * MSS, window=WINDOW), now_ns)
        if number == 3:
            assert [each for each, _ in pushed(sender)] == [10, 11]
    assert [each for each, _ in pushed(sender)] == [12, 13]


def test_a_writer_waits_while_the_send_buffer_is_full_and_goes_on_when_a_third_is_free() -> None:
    queue = SendQueue(MSS, most_window=WINDOW)
    queue.widen(10)
    given = 1 + 1000 * MSS
    while queue.append(given, 1, 0):
        pass
    # 46,080 bytes of room: a second buffer of 22 segments began before it was full.
    assert queue.end == 1 + 44 * MSS
    assert not queue.is_writable(1, 0)
    assert not queue.is_writable(1 + 20 * MSS, 0)
    assert queue.is_writable(1 + 24 * MSS, 0)
    queue.widen(100)
    assert queue.append(given, 1, 0)
    assert queue.end == 1 + 66 * MSS


@given(
    st.lists(st.integers(1, 40_000), min_size=1, max_size=6),
    st.integers(2_000, 200_000),
    st.integers(1, 4),
)
def test_all_that_is_written_is_sent_in_order_whatever_the_window(
    sizes: list[int], window: int, together: int
) -> None:
    sender = talking(0)
    now_ns, told, out = RTT_NS, 1, []
    for size in sizes:
        sender.write(size, now_ns)
    for _ in range(10_000):
        out += [each for each in sender.orders if isinstance(each, Transmit)]
        sender.orders.clear()
        assert out, "nothing leaves"
        if told == sender.given:
            break
        waiting = [each.end for each in out if each.end > told]
        assert waiting, "it waits for an acknowledgement that can't come"
        told = waiting[min(together, len(waiting)) - 1]
        now_ns += MS // 4
        sender.acknowledged(Ack(told, window=window), now_ns)
    assert told == 1 + sum(sizes)
    assert [each.start for each in out][1:] == [each.end for each in out][:-1]

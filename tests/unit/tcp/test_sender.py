"""A sender's mechanisms one by one, and what holds whatever happens to its segments."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.tcp.output import Arm, State, Transmit
from remusnet.tcp.sender import Ack, Sender
from remusnet.tcp.stack import LINUX, MS, Stack, stamp_of

MSS = LINUX.mss
RTT_NS = 10 * MS


def talking(
    segments: int, stack: Stack = LINUX, rtt_ns: int = RTT_NS, then_ns: int | None = None
) -> Sender:
    """Connected by a handshake that took ``rtt_ns``; ``segments`` full ones are written then."""
    sender = Sender(stack)
    sender.open(0)
    sender.acknowledged(Ack(1), rtt_ns)
    sender.established(rtt_ns)
    sender.orders.clear()
    if segments:
        sender.write(segments * MSS, rtt_ns if then_ns is None else then_ns)
    return sender


def sent(sender: Sender) -> list[tuple[int, bool]]:
    """(number of the segment, whether it was a copy), as ordered since the last call."""
    found = [
        ((each.start - 1) // MSS, each.copy) for each in sender.orders if isinstance(each, Transmit)
    ]
    sender.orders.clear()
    return found


def timer_ns(sender: Sender) -> int | None:
    """What the timer was set to last."""
    return [each.after_ns for each in sender.orders if isinstance(each, Arm)][-1]


def at(number: int) -> int:
    return 1 + number * MSS


def test_a_tail_loss_probe_sends_new_data_after_two_round_trips() -> None:
    """The probe has a short round trip in the epoch: it is what HyStart then compares with."""
    sender = talking(20)
    assert timer_ns(sender) == 2 * RTT_NS + 8 * MS
    assert [number for number, _ in sent(sender)] == list(range(10))
    sender.expired(RTT_NS + 28 * MS)
    assert sent(sender) == [(10, False)]
    sender.expired(RTT_NS + 300 * MS)
    assert sender.state is State.LOSS


def test_without_new_data_the_probe_is_the_last_segment_again_and_reduces_nothing() -> None:
    sender = talking(3)
    sent(sender)
    sender.expired(40 * MS)
    assert sent(sender) == [(2, True)]
    sender.acknowledged(Ack(at(3)), 50 * MS)
    sender.acknowledged(Ack(at(3), ((at(2), at(3)),), duplicate=True), 51 * MS)
    assert (sender.state.name, sender.window.slow_start) == ("OPEN", True)


@pytest.mark.parametrize(("tick_ms", "left"), [(4, 20), (10, 40)])
def test_idle_time_halves_the_window_by_whole_timeouts_of_whole_ticks(
    tick_ms: int, left: int
) -> None:
    """591 ms are 592 or 600; 1,200 after the last segment that is two of them, and one."""
    sender = talking(0, Stack(tick_ns=tick_ms * MS))
    sender.timing.smoothed_ns, sender.timing._variance_ns = 191 * MS, 400 * MS
    sender.timing._set()
    sender.window.size = 80
    sender.write(MSS, RTT_NS + 1_200 * MS)
    assert sender.window.size == left


def test_a_single_segment_has_200_ms_more_for_a_delayed_acknowledgement() -> None:
    sender = talking(1)
    assert timer_ns(sender) == 212 * MS  # the timeout itself is earlier than 20 + 200


def test_rack_repeats_what_is_older_than_three_that_arrived_and_halves_nothing_twice() -> None:
    sender = talking(10)
    sent(sender)
    for number in (2, 3, 4):
        sender.acknowledged(Ack(at(1), ((at(2), at(number + 1)),)), 20 * MS)
    assert sender.state.name == "RECOVERY"
    assert (1, True) in sent(sender)
    threshold = sender.window.threshold
    assert threshold == 8  # 717/1024 of twelve
    sender.acknowledged(Ack(sender.next), 30 * MS)
    assert sender.state.name == "OPEN"
    assert sender.window.size == threshold


@pytest.mark.parametrize("what", ["timestamps", "frto", "dsack", "nothing"])
def test_a_false_timeout_is_undone_by_any_one_of_three(what: str) -> None:
    """At 400 ms Linux's transfers took 11 s with any one of them, and 33 s with none."""
    stack = Stack(
        timestamps=what == "timestamps",
        frto=what == "frto",
        sack=what in ("frto", "dsack"),
        tail_loss_probe=False,
    )
    sender = talking(30, stack, then_ns=RTT_NS)
    mss = stack.mss
    sent(sender)
    sender.expired(RTT_NS + 210 * MS)
    assert (sender.state, sender.window.size) == (State.LOSS, 1)
    late = RTT_NS + 400 * MS
    # The originals come, then the copy of the first.
    for number in range(1, 12):
        sender.acknowledged(Ack(1 + number * mss, echo=stamp_of(RTT_NS)), late)
    if what == "dsack":
        for number in [each for each, copy in sent(sender) if copy]:
            twice = 1 + number * mss, 1 + (number + 1) * mss
            sender.acknowledged(Ack(sender.una, (twice,), duplicate=True), late)
    undone = sender.window.threshold > 100
    assert undone == (what != "nothing")


def test_after_idle_the_window_is_halved_for_each_timeout_unless_that_is_off() -> None:
    for restarts, size in ((True, 10), (False, 100)):
        sender = talking(0, Stack(slow_start_after_idle=restarts))
        sender.window.size = 100
        sender.write(MSS, 20 * MS)
        sender.acknowledged(Ack(at(1)), 30 * MS)
        sender.write(MSS, 5000 * MS)
        assert sender.window.size == size


def test_without_sack_three_duplicates_repeat_the_first() -> None:
    sender = talking(10, Stack(sack=False))
    sent(sender)
    sender.acknowledged(Ack(at(1)), 20 * MS)
    sent(sender)
    for _ in range(3):
        sender.acknowledged(Ack(at(1)), 20 * MS)
    assert (1, True) in sent(sender)
    assert sender.state is State.RECOVERY


def test_held_without_a_copy_nothing_is_repeated_while_the_host_has_it() -> None:
    sender = talking(0)
    sender.couple(coupled=True)
    sender.write(50 * MSS, 20 * MS)
    assert len(sent(sender)) == 4
    sender.expired(200 * MS)
    sender.expired(900 * MS)
    assert sent(sender) == []
    for number in range(4):
        sender.left_host(at(number), at(number + 1))
    sender.push(1000 * MS)
    assert sent(sender)


def test_what_waits_is_corked_while_the_host_has_as_much_of_it() -> None:
    """A 180 waits behind a 100 of its size; with a 200 behind it, it goes, as Linux 6.1's does."""
    sender = talking(0, Stack(nagle=False))
    sender.couple(coupled=True)
    for size, leaves in ((330, 1), (330, 0), (550, 1)):
        sender.write(size, 20 * MS)
        assert len(sent(sender)) == leaves
    sender.write(330, 21 * MS)
    assert sent(sender) == []
    sender.left_host(1, 331)
    sender.left_host(331, 1211)
    sender.push(22 * MS)
    assert len(sent(sender)) == 1


def test_a_copy_is_not_lost_because_of_what_was_sent_before_it_at_the_same_moment() -> None:
    sender = talking(30)
    sent(sender)
    for number in range(2, 5):
        sender.acknowledged(Ack(at(1), ((at(2), at(number + 1)),)), 20 * MS)
    fresh = [number for number, copy in sent(sender) if not copy]
    # What went out with the copy, before it, has come.
    blocks = ((at(2), at(fresh[0] + 1)),)
    sender.acknowledged(Ack(at(1), blocks), 30 * MS)
    assert (1, True) not in sent(sender)


def test_without_sack_a_recovery_goes_on_until_more_than_it_has_come() -> None:
    """Else the duplicates of copies that were for nothing begin another, as RFC 6582 warns."""
    stack = Stack(timestamps=False, frto=False, sack=False)
    sender = talking(0, stack)
    sender.write(10 * stack.mss, RTT_NS)
    sent(sender)
    sender.expired(RTT_NS + 210 * MS)
    for number in range(1, 11):
        sender.acknowledged(Ack(1 + number * stack.mss), 400 * MS)
    copies = sum(copy for _, copy in sent(sender))
    assert copies
    sender.write(50 * stack.mss, 401 * MS)
    for _ in range(copies):
        sender.acknowledged(Ack(sender.una), 500 * MS)
    assert not any(copy for _, copy in sent(sender))
    assert sender.state is State.LOSS
    sender.acknowledged(Ack(sender.una + stack.mss), 600 * MS)
    assert sender.state.name == "OPEN"


@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.01, 0.2]),
    held_ns=st.sampled_from([0, 200 * MS]),
    sack=st.booleans(),
    timestamps=st.booleans(),
    frto=st.booleans(),
)
def test_everything_arrives_and_the_counts_agree(
    seed: int, loss: float, held_ns: int, sack: bool, timestamps: bool, frto: bool
) -> None:
    """Over a path that loses segments and acknowledgements, and holds them until a commit."""
    rng = random.Random(seed)
    stack = Stack(sack=sack, timestamps=timestamps, frto=frto)
    sender = talking(60, stack)
    size = sender.given - 1
    got: set[int] = {0}
    next_, now_ns, due_ns = 1, RTT_NS, None
    arrivals: list[tuple[int, int, int, int]] = []
    for _ in range(20_000):
        for order in sender.orders:
            if isinstance(order, Transmit) and rng.random() >= loss:
                leaves_ns = now_ns if not held_ns else (now_ns // held_ns + 1) * held_ns
                arrivals.append((leaves_ns + RTT_NS, order.start, order.end, now_ns))
            elif isinstance(order, Arm):
                due_ns = None if order.after_ns is None else now_ns + order.after_ns
        sender.orders.clear()
        board = sender.board
        assert board.lost == sum(piece.lost for piece in board.pieces)
        assert board.again == sum(piece.again for piece in board.pieces)
        if sack:
            assert board.sacked == sum(piece.sacked for piece in board.pieces)
        assert board.in_flight >= 0
        assert sender.window.size >= 1
        if sender.una == sender.given:
            break
        arrivals.sort()
        if arrivals and (due_ns is None or arrivals[0][0] <= due_ns):
            now_ns, start, end, stamp_ns = arrivals.pop(0)
            twice = start < next_
            got.update(range(start, end))
            while next_ in got:
                next_ += 1
            if rng.random() >= loss:
                blocks = ((start, end),) if sack and (twice or end > next_) else ()
                sender.acknowledged(
                    Ack(next_, blocks, twice and bool(blocks), stamp_of(stamp_ns)), now_ns
                )
        else:
            assert due_ns is not None, "nobody would ever send again"
            now_ns, due_ns = due_ns, None
            sender.expired(now_ns)
    assert sender.una == size + 1

"""Which order was given: told by what leaves and by turns, or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remusnet.kernel.watch.orders import Told, infer, period
from remusnet.results.driving import PlugOrder

MS = 1_000_000


def told(*passed: int, gap_ms: int = 100) -> list[Told]:
    return [Told(at * gap_ms * MS, each, 0) for at, each in enumerate(passed)]


def test_what_leaves_behind_an_order_makes_it_a_release_and_every_second_one_with_it() -> None:
    found = infer(told(0, 0, 5, 5, 5, 5))
    assert found == [PlugOrder.BUFFER, PlugOrder.RELEASE] * 3


def test_what_leaves_behind_the_last_one_counts_too() -> None:
    assert infer(told(0, 0), passed_now=1) == [PlugOrder.BUFFER, PlugOrder.RELEASE]
    assert infer(told(0, 0), passed_now=0) == [None, None]


def test_where_nothing_leaves_or_always_something_does_nobody_can_tell() -> None:
    assert infer(told(3, 3, 3, 3)) == [None] * 4
    assert infer(told(0, 1, 2, 3, 4, 5)) == [None] * 6
    assert infer([]) == []


def test_a_release_that_was_quicker_than_its_event_does_not_turn_the_rest_over() -> None:
    found = infer(told(0, 0, 1, 1, 2, 3, 3, 3, 4))
    assert found[:2] == [PlugOrder.BUFFER, PlugOrder.RELEASE]


def test_a_period_is_two_orders_and_not_known_before_the_third() -> None:
    assert period(told(0, 0)) is None
    assert period(told(0, 0, 0)) == 200 * MS
    late = [*told(*range(8)), Told(5_000 * MS, 9, 0)]
    assert period(late) == 200 * MS


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.booleans(),
)
def test_a_true_driver_is_never_told_wrong(arrivals: list[int], starts_with_release: bool) -> None:
    """Against the plug as sch_plug.c has it: an order that is told is the one that was given."""
    current = last = waiting = passed = 0
    orders, events = [], []
    for turn, arriving in enumerate(arrivals):
        release = (turn % 2 == 0) is starts_with_release
        orders.append(PlugOrder.RELEASE if release else PlugOrder.BUFFER)
        events.append(Told(turn * MS, passed, waiting))
        if release:
            passed, waiting, last = passed + last, waiting - last, 0
        else:
            last, current = current, 0
        current, waiting = current + arriving, waiting + arriving
    for found, given_ in zip(infer(events, passed), orders, strict=True):
        assert found in (None, given_)

"""When a repair is a fight, and how long it is paused then."""

from __future__ import annotations

from remusnet.kernel.repair.patience import CALM_NS, Patience

S = 1_000_000_000


def test_the_fifth_repair_of_the_same_in_a_row_is_a_fight_and_pauses_double() -> None:
    patience = Patience()
    assert [patience.mended(at * S, "vif1.0 ingress") for at in range(5)] == [False] * 4 + [True]
    waits = []
    for _ in range(9):
        waits.append(patience.wait_ns())
        assert patience.mended(patience.due_ns(), "vif1.0 ingress")
    assert waits[:4] == [S // 5, 2 * S // 5, 4 * S // 5, 8 * S // 5]
    assert waits[-1] == 30 * S


def test_damages_of_many_kinds_are_no_fight_unless_they_come_without_end() -> None:
    patience = Patience()
    assert not any(patience.mended(at * S // 2, f"kind {at % 3}") for at in range(100))
    patience = Patience()
    found = [patience.mended(at * S // 5, f"kind {at % 3}") for at in range(20)]
    assert found == [False] * 19 + [True]


def test_the_same_damage_now_and_then_is_no_fight() -> None:
    patience = Patience()
    assert not any(patience.mended(3 * at * S, "vif1.0 ingress") for at in range(50))


def test_a_repair_that_fails_is_tried_at_once_then_later_and_said_the_second_time() -> None:
    """At first somebody may have been at it at the same time: frames must not wait for that."""
    patience = Patience()
    assert not patience.failed(0)
    assert patience.due_ns() < S // 100
    assert patience.failed(S)
    assert patience.due_ns() == S + S // 5
    assert patience.failed(2 * S)
    assert patience.due_ns() == 2 * S + 2 * S // 5
    patience.forgive()
    assert not patience.failed(3 * S)


def test_a_failure_in_a_fight_waits_as_a_repair_would() -> None:
    patience = Patience()
    for at in range(5):
        patience.mended(at, "vif1.0 ingress")
    assert not patience.failed(S)
    assert patience.due_ns() == S + 2 * S // 5


def test_after_half_a_minute_without_damage_all_is_forgiven() -> None:
    patience = Patience()
    for at in range(5):
        patience.mended(at, "vif1.0 ingress")
    assert not patience.is_calm(CALM_NS)
    assert patience.is_calm(CALM_NS + 5)
    patience.forgive()
    assert (patience.wait_ns(), patience.due_ns()) == (0, 0)
    assert not patience.mended(CALM_NS + 6, "vif1.0 ingress")

from __future__ import annotations

from remusnet.plan.limits import (
    LARGEST_LIMIT,
    RUNT_COST,
    SMALLEST_LIMIT,
    memory_limit,
    memory_needed,
    plug_limit,
)


def test_a_plug_holds_two_intervals_of_the_link() -> None:
    assert plug_limit(1_000_000_000, 200_000_000) == 2 * 125_000_000 // 5


def test_a_slow_link_still_gets_room_for_large_frames() -> None:
    assert plug_limit(1_000_000, 40_000_000) == SMALLEST_LIMIT == 262_144


def test_a_fast_link_gets_no_more_than_the_kernel_can_be_told() -> None:
    """The kernel's field has 32 bits: a larger number would come out small."""
    assert plug_limit(100_000_000_000, 1_000_000_000) == LARGEST_LIMIT


def test_parts_of_a_byte_are_rounded_up() -> None:
    # 2 x (8e9 + 1) bit/s x 1 ms = 2,000,000.00025 bytes
    assert plug_limit(8_000_000_001, 1_000_000) == 2_000_001


def test_a_budget_is_never_exceeded_by_the_limit_made_from_it() -> None:
    for budget in range(819_375, 820_375):
        assert (
            memory_needed(memory_limit(budget)) <= budget < memory_needed(memory_limit(budget) + 1)
        )


def test_what_frames_cost_is_rounded_up() -> None:
    assert (memory_needed(2), memory_needed(3)) == (25, 38)
    assert memory_needed(5_120_000, RUNT_COST) == 281_600_000

"""Loss, duplicates and reordering, each counted apart; bursts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.metrics.arrivals import (
    Bursts,
    SequenceCounts,
    burst_sizes,
    burst_summary,
    sequence_counts,
)
from tests.unit.metrics.packets import MS


def counts(*numbers: int) -> SequenceCounts:
    return sequence_counts(np.array(numbers, np.int64) % 2**16)


def test_a_whole_stream_lacks_nothing() -> None:
    assert counts(*range(100, 200)) == SequenceCounts(100, 0, 0, 0, 0, 0)


def test_missing_numbers_are_lost() -> None:
    found = counts(1, 2, 5, 6)
    assert (found.expected, found.lost) == (6, 2)


def test_lost_packets_are_a_count_and_the_percentage_has_its_own_name() -> None:
    """Mistake: the loss count used where a percentage was meant."""
    found = counts(*range(50), *range(150, 200))
    assert (found.lost, found.lost_percent) == (100, 50.0)


def test_a_late_packet_is_reordered_and_not_lost() -> None:
    """Mistake: reordering counted as loss."""
    assert counts(1, 2, 4, 3, 5) == SequenceCounts(5, 0, 0, 1, 0, 0)


def test_a_packet_three_numbers_late_is_one_reordered_packet() -> None:
    """RFC 4737: the late packet is out of order, not the three that overtook it."""
    assert counts(1, 3, 4, 5, 2, 6).reordered == 1


def test_a_copy_is_neither_reordered_nor_a_gain() -> None:
    assert counts(1, 2, 3, 3, 2, 4) == SequenceCounts(4, 0, 2, 0, 0, 0)


def test_copies_do_not_make_up_for_losses() -> None:
    """RFC 3550 A.3 and tshark would count 1 - 3 = -2 lost."""
    found = counts(1, 1, 1, 1, 3)
    assert (found.lost, found.duplicates) == (1, 3)


def test_numbers_wrap() -> None:
    assert counts(*range(65_530, 65_550)) == SequenceCounts(20, 0, 0, 0, 0, 0)
    assert counts(65_533, 65_534, 0, 65_535, 1) == SequenceCounts(5, 0, 0, 1, 0, 0)


def test_a_stream_of_more_than_65536_packets_is_whole() -> None:
    assert sequence_counts(np.arange(200_000) % 2**16) == SequenceCounts(200_000, 0, 0, 0, 0, 0)


def test_the_first_packet_may_be_late_itself() -> None:
    """RFC 3550 counts from the first that came, and would lose -1 packets."""
    assert counts(2, 1, 3) == SequenceCounts(3, 0, 0, 1, 0, 0)


def test_a_jump_that_is_confirmed_is_a_restart() -> None:
    """RFC 3550 A.1: the sender chose a new number; nobody lost 20,000 packets."""
    found = counts(1, 2, 4, 20_004, 20_005, 20_007)
    assert (found.expected, found.lost, found.restarts, found.strays) == (8, 2, 1, 0)


def test_a_jump_that_is_not_confirmed_is_a_stray() -> None:
    found = counts(1, 2, 3, 40_000, 4, 5)
    assert found == SequenceCounts(5, 0, 0, 0, 0, 1)


@pytest.mark.parametrize(("jump", "restarts"), [(2999, 0), (3000, 1), (-99, 0), (-100, 1)])
def test_the_rfc_says_how_far_a_sender_may_jump(jump: int, restarts: int) -> None:
    first = range(1000, 1010)
    second = range(1009 + jump, 1019 + jump)
    assert counts(*first, *second).restarts == restarts


def test_a_rollback_of_300_ms_is_15_duplicates() -> None:
    assert counts(*range(100), *range(85, 200)) == SequenceCounts(200, 0, 15, 0, 0, 0)


def test_nothing_and_chance_have_counts_too() -> None:
    assert counts() == SequenceCounts(0, 0, 0, 0, 0, 0)
    assert counts().lost_percent == 0
    assert counts(1, 20_000, 40_000) == SequenceCounts(3, 0, 0, 0, restarts=2, strays=0)


@given(st.data(), st.integers(0, 65_535), st.integers(2, 90))
def test_counts_do_not_depend_on_where_numbers_begin(
    data: st.DataObject, first: int, size: int
) -> None:
    """Of ``size`` packets some are lost, copied, shuffled; the counts are by definition."""
    # Shuffled below MAX_MISORDER, so there is one numbering. Both ends must come.
    middle = st.lists(st.integers(1, size - 1), max_size=2 * size)
    came = data.draw(st.permutations([0, *data.draw(middle), size]))
    found = sequence_counts((first + np.array(came)) % 2**16)
    assert found.expected == size + 1
    assert found.lost == size + 1 - len(set(came))
    assert found.duplicates == len(came) - len(set(came))
    firsts = list(dict.fromkeys(came))
    assert found.reordered == sum(n < max(firsts[: i + 1]) for i, n in enumerate(firsts))
    assert found.restarts == found.strays == 0


@given(st.lists(st.integers(0, 65_535), max_size=200))
def test_any_numbers_give_counts_that_add_up(numbers: list[int]) -> None:
    found = counts(*numbers)
    assert found.lost >= 0
    assert 0 <= found.lost_percent <= 100
    assert found.expected - found.lost + found.duplicates + found.strays == len(numbers)


def sizes(*arrival_ms: float, ptime_ms: float | None = 20) -> list[int]:
    arrival = np.array([round(at * MS) for at in arrival_ms], np.int64)
    return [int(size) for size in burst_sizes(arrival, ptime_ms and ptime_ms * MS)]


def test_packets_that_are_released_together_are_one_burst() -> None:
    assert sizes(400, 400.01, 400.02, 800, 800, 1200) == [3, 2, 1]


def test_an_even_stream_has_bursts_of_one() -> None:
    assert sizes(0, 20, 40, 60) == [1, 1, 1, 1]


@pytest.mark.parametrize(("gap", "bursts"), [(9.999, [2]), (10, [1, 1])])
def test_half_a_packet_interval_parts_bursts(gap: float, bursts: list[int]) -> None:
    assert sizes(0, gap) == bursts


def test_without_a_packet_interval_nothing_is_a_burst() -> None:
    assert sizes(0, 0, 1, ptime_ms=None) == [1, 1, 1]


def test_nothing_has_no_bursts() -> None:
    assert sizes() == []
    assert burst_summary(np.zeros(0, np.int64)) == Bursts(0, 0)


def test_the_median_is_over_bursts_and_not_over_packets() -> None:
    assert burst_summary(np.array([1, 1, 20])) == Bursts(1, 20)

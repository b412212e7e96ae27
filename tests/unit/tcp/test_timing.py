"""Round trips and timeouts, as Linux measures them."""

from __future__ import annotations

import pytest

from remusnet.tcp.stack import MS
from remusnet.tcp.timing import LONGEST_RTO_NS, Timing


@pytest.mark.parametrize(
    ("rtt_ms", "rto_ms"),
    # SRTT = R, RTTVAR = R/2 (RFC 6298, 2.2); RTO = SRTT + max(4 RTTVAR, 200 ms), as Linux has it,
    # in whole ticks of 4 ms.
    [(1, 204), (10, 212), (70, 272), (100, 300), (101, 304), (400, 1200)],
)
def test_linux_s_least_bounds_the_variance_and_not_the_timeout(rtt_ms: int, rto_ms: int) -> None:
    timing = Timing(200 * MS)
    timing.measured(rtt_ms * MS, 1, 1)
    assert timing.rto_ns == rto_ms * MS


def test_a_kernel_of_100_ticks_a_second_has_timeouts_of_whole_10_ms() -> None:
    timing = Timing(200 * MS, tick_ns=10 * MS)
    timing.measured(101 * MS, 1, 1)
    assert timing.rto_ns == 310 * MS


def test_steady_round_trips_of_an_epoch_keep_200_ms_beyond_it() -> None:
    """At a period of 205 ms: the variance fades, and an RTO of 205 ms would run out each time."""
    timing = Timing(200 * MS)
    for number in range(60):
        timing.measured(205 * MS, 10 * number + 1, 10 * number + 10)
    assert timing.smoothed_ns == pytest.approx(205 * MS, rel=0.01)
    assert timing.rto_ns == pytest.approx(405 * MS, rel=0.01)


def test_a_longer_round_trip_counts_at_once_and_a_shorter_one_slowly() -> None:
    longer, shorter = Timing(MS), Timing(MS)
    for timing in (longer, shorter):
        for number in range(60):
            timing.measured(100 * MS, 10 * number + 1, 10 * number + 10)
    longer.measured(180 * MS, 700, 710)
    shorter.measured(20 * MS, 700, 710)
    assert longer.rto_ns - 110 * MS > 4 * (shorter.rto_ns - 90 * MS) > 0


def test_a_timeout_is_a_minute_at_most() -> None:
    timing = Timing(200 * MS)
    timing.measured(50_000 * MS, 1, 1)
    assert timing.rto_ns == LONGEST_RTO_NS
    timing.back_off()
    assert timing.rto_ns == LONGEST_RTO_NS

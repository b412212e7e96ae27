"""A stream measured in pieces has the numbers of one measured whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.frames import Int64s
from remusnet.metrics.arrivals import (
    Bursts,
    burst_sizes,
    burst_summary,
    interarrival_jitter,
    jitter_summary,
    sequence_counts,
)
from remusnet.metrics.percentiles import milliseconds, spread
from remusnet.metrics.rtp_meter import StreamMeter, measured_whole
from tests.unit.metrics.packets import MS

PTIME = 20 * MS


@st.composite
def streams(draw: st.DrawFn) -> tuple[Int64s, Int64s, list[int]]:
    """Arrival times, numbers with gaps, and where the stream is cut into pieces."""
    n = draw(st.integers(1, 60))
    gaps = draw(st.lists(st.integers(0, 90 * MS), min_size=n, max_size=n))
    skips = draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=4)))
    return np.cumsum(gaps), np.cumsum(skips), [0, *cuts, n]


@given(streams())
def test_pieces_add_up(case: tuple[Int64s, Int64s, list[int]]) -> None:
    arrival_ns, number, cuts = case
    meter = StreamMeter(PTIME, len(number))
    pieces = [
        meter.add(arrival_ns[start:stop], number[start:stop], number[start:stop])
        for start, stop in pairwise(cuts)
    ]
    found = meter.measures
    series = interarrival_jitter(arrival_ns, number * 160, 8000)
    assert np.concatenate(pieces) == pytest.approx(series, abs=1e-9)
    expected = jitter_summary(series)
    assert found.jitter.mean == pytest.approx(expected.mean, abs=1e-9)
    assert found.jitter.max == pytest.approx(expected.max, abs=1e-9)
    assert found.sequence == sequence_counts(number)
    assert found.bursts == burst_summary(burst_sizes(arrival_ns, PTIME))
    assert found.interarrival_ms == spread(milliseconds(np.diff(arrival_ns)))


@given(streams())
def test_what_is_measured_whole_has_the_same_numbers(
    case: tuple[Int64s, Int64s, list[int]],
) -> None:
    arrival_ns, number, _ = case
    meter = StreamMeter(PTIME, len(number))
    series = meter.add(arrival_ns, number, number)
    whole, expected = measured_whole(arrival_ns, number, number * 160, 8000, PTIME)
    found = meter.measures
    assert series == pytest.approx(expected, abs=1e-9)
    assert found.jitter.mean == pytest.approx(whole.jitter.mean, abs=1e-9)
    for name in ("packets", "times", "sequence", "interarrival_ms", "bursts"):
        assert getattr(found, name) == getattr(whole, name)


def test_a_number_that_a_backup_sent_again_makes_no_burst() -> None:
    arrival_ns = np.array([0, 20, 40, 41, 60], np.int64) * MS
    number = np.array([0, 1, 2, 1, 3])
    whole, _ = measured_whole(arrival_ns, number, number * 160, 8000, PTIME)
    assert whole.sequence.duplicates == 1
    assert whole.bursts == Bursts(1, 1)


def test_nothing_has_no_numbers() -> None:
    meter = StreamMeter(PTIME, 0)
    meter.add(np.zeros(0, np.int64), 0, None)
    found = meter.measures
    assert (found.packets, found.bursts.max, found.interarrival_ms) == (0, 0, None)
    assert found.sequence.expected == 0

"""The jitter estimator, and mistakes that other tools made with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.frames import Int64s
from remusnet.metrics.arrivals import Jitter, interarrival_jitter, jitter_summary, signed32
from tests.unit.metrics.packets import MS


def literally(arrival_ns: list[int], timestamp: list[int], clock_rate: int) -> list[float]:
    """RFC 3550 A.8, line by line, in ms and in floats (the RFC's own code rounds to ticks)."""
    jitter, out = 0.0, []
    transit = None
    for arrival, stamp in zip(arrival_ns, timestamp, strict=True):
        now = arrival * clock_rate - stamp * 10**9
        if transit is not None:
            d = now - transit
            wrap = 2**32 * 10**9
            d = (d + wrap // 2) % wrap - wrap // 2
            jitter += (abs(d) / clock_rate / MS - jitter) / 16
        transit = now
        out.append(jitter)
    return out


def evenly(count: int, ptime_ns: int = 20 * MS) -> Int64s:
    return np.arange(count, dtype=np.int64) * ptime_ns


@given(
    # Gaps up to 10 s: longer than any block, and short enough that D stays below half a wrap.
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(-80_000, 80_000)), max_size=300),
    st.integers(0, 2**32 - 1),
    st.sampled_from([8000, 11025, 44100, 48000, 90000]),
)
def test_it_is_the_code_of_the_rfc(
    steps: list[tuple[int, int]], first: int, clock_rate: int
) -> None:
    arrival = np.cumsum([0, *(gap for gap, _ in steps)])
    timestamp = (first + np.cumsum([0, *(step for _, step in steps)])) % 2**32
    series = interarrival_jitter(arrival, timestamp, clock_rate)
    # 1e-9 ms: sums of 300 doubles of up to 10,000 ms.
    expected = literally(arrival.tolist(), timestamp.tolist(), clock_rate)
    assert series.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 130, 256, 257, 258, 5000])
def test_blocks_leave_no_seam(count: int) -> None:
    """128 packets are smoothed at once; what one block leaves over goes on in the next."""
    arrival = evenly(count) + np.random.default_rng(count).integers(0, 5 * MS, count)
    timestamp = np.arange(count, dtype=np.int64) * 160
    series = interarrival_jitter(arrival, timestamp, 8000)
    assert series.tolist() == pytest.approx(literally(arrival.tolist(), timestamp.tolist(), 8000))


def test_packets_sent_30_ms_apart_have_no_jitter_where_they_arrive_so() -> None:
    """Mistake: the raw difference of arrival times called RFC 3550 jitter."""
    series = interarrival_jitter(evenly(100, 30 * MS), np.arange(100) * 240, 8000)
    assert series.max() == 0


def test_silence_suppression_is_no_jitter() -> None:
    """The timestamp goes on through a pause of the speaker, so the gap is no surprise."""
    arrival = evenly(100)
    arrival[50:] += 3000 * MS
    timestamp = arrival // MS * 8
    assert interarrival_jitter(arrival, timestamp, 8000).max() == 0


def test_a_timestamp_wrap_is_no_jitter() -> None:
    """Mistake: unsigned underflow, which made a wrap half a million seconds late."""
    timestamp = (2**32 - 1000 + np.arange(100) * 160) % 2**32
    assert (np.diff(timestamp) < 0).any()
    assert interarrival_jitter(evenly(100), timestamp, 8000).max() == 0


def test_a_timestamp_that_steps_back_is_a_small_negative_step() -> None:
    """Mistake: the same underflow, at reordering: 2**32 - 160 ticks instead of -160."""
    arrival = evenly(3)
    series = interarrival_jitter(arrival, np.array([0, 320, 160]), 8000)
    assert series.tolist() == pytest.approx([0, 20 / 16, 20 / 16 * 15 / 16 + 40 / 16])


@pytest.mark.parametrize("clock_rate", [8000, 16000, 48000, 90000])
def test_jitter_is_in_ms_whatever_the_clock_rate(clock_rate: int) -> None:
    """Mistake: units unclear. 16 packets each 8 ms early or late have the same ms at any clock."""
    arrival = evenly(1000)
    arrival[1::2] += 8 * MS
    timestamp = np.arange(1000) * (clock_rate // 50)
    assert interarrival_jitter(arrival, timestamp, clock_rate)[-1] == pytest.approx(8)


def test_pure_loss_makes_no_jitter() -> None:
    """What arrives is on time. So an outage has to be seen elsewhere: in loss and in gaps."""
    kept = np.r_[0:50, 100:200]
    assert interarrival_jitter(evenly(200)[kept], kept * 160, 8000).max() == 0


def test_a_clock_that_froze_for_a_second_shows_66_ms() -> None:
    """A server resumed after an outage of 1.06 s continues its timestamps: D = 1060 ms, once."""
    arrival = evenly(100)
    arrival[50:] += 1060 * MS
    series = interarrival_jitter(arrival, np.arange(100) * 160, 8000)
    assert series.max() == series[50] == pytest.approx(1060 / 16)


def test_half_of_a_disturbance_is_forgotten_in_10_7_packets() -> None:
    arrival = evenly(100)
    arrival[50:] += 500 * MS
    series = interarrival_jitter(arrival, np.arange(100) * 160, 8000)
    half_life = np.log(0.5) / np.log(series[90] / series[89])
    assert half_life == pytest.approx(10.74, abs=0.01)


def test_two_clock_rates_are_not_compared() -> None:
    """From 8000 to 48000 Hz there is no difference of timestamps: the estimate stays."""
    rate = np.array([8000] * 5 + [48000] * 5)
    timestamp = np.r_[np.arange(5) * 160, 9_000_000 + np.arange(5) * 960]
    arrival = evenly(10)
    arrival[3:] += 16 * MS
    series = interarrival_jitter(arrival, timestamp, rate)
    q = 15 / 16
    assert series.tolist() == pytest.approx([0, 0, 0, 1, q, q, q**2, q**3, q**4, q**5])


def test_one_clock_rate_a_packet_is_the_same_as_one_for_all() -> None:
    arrival = evenly(500) + np.random.default_rng(1).integers(0, 5 * MS, 500)
    timestamp = np.arange(500, dtype=np.int64) * 160
    each = interarrival_jitter(arrival, timestamp, np.full(500, 8000))
    assert each.tolist() == interarrival_jitter(arrival, timestamp, 8000).tolist()


@pytest.mark.parametrize(
    ("difference", "signed"),
    [(0, 0), (160, 160), (-160, -160), (2**32 - 160, -160), (160 - 2**32, 160), (2**31, -(2**31))],
)
def test_differences_go_the_short_way_round(difference: int, signed: int) -> None:
    assert signed32(np.array([difference])).tolist() == [signed]


def test_the_first_packet_is_in_neither_mean_nor_maximum() -> None:
    """It has no jitter yet; tshark leaves it out too."""
    assert jitter_summary(np.array([0.0, 1.0, 3.0])) == Jitter(mean=2.0, max=3.0)
    assert jitter_summary(np.array([0.0])) == jitter_summary(np.zeros(0)) == Jitter(0.0, 0.0)


@pytest.mark.parametrize("clock_rate", [0, -8000, np.array([8000, 0, 8000])])
def test_a_clock_rate_must_be_positive(clock_rate: int | Int64s) -> None:
    with pytest.raises(ValueError, match="positive"):
        interarrival_jitter(evenly(3), evenly(3), clock_rate)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="timestamps"):
        interarrival_jitter(evenly(3), evenly(2), 8000)
    with pytest.raises(ValueError, match="clock rates"):
        interarrival_jitter(evenly(3), evenly(3), np.array([8000, 8000]))

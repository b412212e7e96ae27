from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from remusnet.frames import Int64s
from remusnet.metrics.jitter_buffer import (
    RESYNC_NS,
    AdaptiveBuffer,
    FixedBuffer,
    JitterBuffer,
    Playout,
    _recent_quantiles,
    play_out,
)
from tests.lib.long import count

MS = 1_000_000
PTIME = 20 * MS
START = 1_700_000_000 * 10**9
"""A date: in float milliseconds its nanoseconds would be lost."""

BUFFERS: list[JitterBuffer] = [
    FixedBuffer(),
    FixedBuffer(0),
    AdaptiveBuffer(),
    AdaptiveBuffer(0, 0),
]

delays_ms = hnp.arrays(np.int64, st.integers(1, 400), elements=st.integers(0, 2000))


def played(buffer: JitterBuffer, transit_ms: Int64s | list[int]) -> Playout:
    """A stream of 20 ms packets, each of which took as long as given. They never overtake."""
    media = np.arange(len(transit_ms)) * PTIME
    arrival = np.maximum.accumulate(START + media + np.array(transit_ms, np.int64) * MS)
    return play_out(buffer, media, arrival, PTIME)


def test_a_fixed_buffer_plays_its_depth_after_the_fastest_packet() -> None:
    playout = played(FixedBuffer(60), [5, 5, 30, 5])
    assert (playout.play_ns - START).tolist() == [65 * MS + n * PTIME for n in range(4)]
    assert not playout.late.any()


@pytest.mark.parametrize(("jitter", "late"), [(60, False), (61, True)])
def test_a_fixed_buffer_hides_jitter_up_to_its_depth(jitter: int, late: bool) -> None:
    assert bool(played(FixedBuffer(60), [5] * 10 + [5 + jitter]).late[-1]) is late


def test_a_faster_packet_makes_a_fixed_buffer_play_earlier() -> None:
    playout = played(FixedBuffer(60), [100] * 10 + [10] * 10 + [100])
    assert playout.late.tolist() == [False] * 20 + [True]


def test_an_adaptive_buffer_follows_jitter_that_a_fixed_one_loses() -> None:
    rng = np.random.default_rng(1)
    transit = rng.integers(0, 120, 2000)
    fixed, adaptive = (played(buffer, transit) for buffer in (FixedBuffer(), AdaptiveBuffer()))
    # Packets don't overtake, so transit is 100 ms and more for most of them.
    assert fixed.late.mean() > 0.4
    assert adaptive.late[32:].mean() < 0.01


def test_an_adaptive_buffer_learns_of_a_pause_in_every_epoch() -> None:
    """50 ms once in 455 ms hit three packets of 23; their clocks drift against each other."""
    sent = np.arange(4000) * PTIME
    phase = sent % (455 * MS)
    transit = np.where(phase < 50 * MS, 50 * MS - phase, 0) // MS
    playout = played(AdaptiveBuffer(), transit)
    assert playout.late.mean() < 0.005
    depth = playout.play_ns - START - sent
    # The first 256 packets have the start in view, where all is unknown.
    assert depth[300:].max() <= 70 * MS


def test_an_adaptive_buffer_plays_an_even_stream_sooner_than_a_fixed_one() -> None:
    even = [5] * 500
    fixed, adaptive = (played(buffer, even) for buffer in (FixedBuffer(60), AdaptiveBuffer()))
    # It begins where the fixed one stays, before it knows the path.
    assert (fixed.play_ns - adaptive.play_ns)[:32].tolist() == [0] * 32
    assert (fixed.play_ns - adaptive.play_ns)[32:].tolist() == [40 * MS] * (500 - 32)


def test_an_adaptive_buffer_stays_within_its_bounds() -> None:
    transit = np.tile(np.repeat([0, 400], [30, 5]), 20)
    playout = played(AdaptiveBuffer(60, 20, 200), transit)
    assert playout.late.any()
    assert playout.fresh.sum() == 1
    depth = playout.play_ns - START - np.arange(len(transit)) * PTIME
    assert depth.min() >= 20 * MS
    assert depth.max() <= 200 * MS


def test_clocks_that_drift_apart_do_not_make_packets_late() -> None:
    """100 ppm are 60 ms after ten minutes; no phone stops playing for that."""
    count = 60_000
    media = np.arange(count) * PTIME
    slower = START + np.arange(count) * (PTIME + PTIME // 10_000)
    for buffer in (FixedBuffer(20), AdaptiveBuffer()):
        assert not play_out(buffer, media, slower, PTIME).late.any()


@pytest.mark.parametrize("buffer", BUFFERS)
def test_after_an_outage_playing_starts_anew(buffer: JitterBuffer) -> None:
    """A server whose clock froze: all later packets are a second later than they say."""
    playout = played(buffer, [5] * 100 + [1005] * 100)
    assert np.flatnonzero(playout.fresh).tolist() == [0, 100]
    assert not playout.late.any()


def test_a_delay_too_short_to_start_anew_makes_packets_late_until_it_does() -> None:
    playout = played(FixedBuffer(60), [5] * 100 + [305] * 100)
    fresh = np.flatnonzero(playout.fresh).tolist()
    assert len(fresh) == 2
    assert playout.late[100 : fresh[1]].all()
    assert not playout.late[fresh[1] :].any()
    silent_ns = playout.play_ns[fresh[1]] - (playout.play_ns[99] + PTIME)
    # The packet that ends the silence comes up to one packet after the silence is long enough,
    # and waits its 60 ms.
    assert RESYNC_NS < silent_ns <= RESYNC_NS + PTIME + 60 * MS


@given(delays_ms, st.sampled_from(BUFFERS))
def test_every_packet_is_late_or_played_after_it_came(
    transit: Int64s, buffer: JitterBuffer
) -> None:
    media = np.arange(len(transit)) * PTIME
    arrival = np.maximum.accumulate(START + media + transit * MS)
    playout = play_out(buffer, media, arrival, PTIME)
    in_time = playout.play_ns >= arrival
    assert (in_time == ~playout.late).all()
    assert playout.fresh[0]
    assert not (playout.fresh & playout.late).any()


@given(delays_ms, st.integers(0, 300), st.integers(0, 300))
def test_a_deeper_buffer_never_loses_more_while_it_plays_on(
    transit: Int64s, one: int, other: int
) -> None:
    shallow, deep = (played(FixedBuffer(depth), transit % 450) for depth in sorted((one, other)))
    # Where one of them started anew they play different rhythms, and can't be compared.
    if shallow.fresh.sum() == deep.fresh.sum() == 1:
        assert not (deep.late & ~shallow.late).any()


@given(delays_ms, st.sampled_from(BUFFERS))
def test_a_long_stream_is_played_as_its_start_alone_would_be(
    transit: Int64s, buffer: JitterBuffer
) -> None:
    """Only packets that have come can decide: the future must not leak into the past."""
    half = len(transit) // 2
    whole, start = played(buffer, transit), played(buffer, transit[:half])
    assert (whole.play_ns[:half] == start.play_ns).all()
    assert (whole.late[:half] == start.late).all()


def test_looking_at_more_packets_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    transit = np.where(rng.random(5000) < 0.002, 900, rng.integers(0, 80, 5000))
    for buffer in BUFFERS:
        results = []
        for look in (1, 7, 1024, 10_000):
            monkeypatch.setattr("remusnet.metrics.jitter_buffer._FIRST_LOOK", look)
            playout = played(buffer, transit)
            results.append((playout.play_ns.tolist(), playout.late.tolist()))
        assert all(result == results[0] for result in results)


@given(st.integers(0, 2**32 - 1), st.integers(1, 1500), st.sampled_from([1.0, 100.0]))
@settings(max_examples=count(sample=40, long=1000))
def test_what_an_adaptive_buffer_remembers_is_a_quantile_of_the_last_packets(
    seed: int, packets: int, spread: float
) -> None:
    """As numpy has it, over the 256 packets before each step of 32."""
    rng = np.random.default_rng(seed)
    # With ties, as packets of one burst have.
    beyond_ms = np.round(rng.exponential(spread, packets), 1)
    found = _recent_quantiles(beyond_ms)
    assert found[:32].tolist() == [0] * min(32, packets)
    for start in range(32, packets, 32):
        memory = beyond_ms[max(0, start - 256) : start]
        expected = np.quantile(memory, 0.97, method="lower")
        assert (found[start : start + 32] == expected).all()


def test_no_packets_are_no_playout() -> None:
    assert len(played(FixedBuffer(), []).play_ns) == 0


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="timestamps"):
        play_out(FixedBuffer(), np.arange(2), np.arange(3), PTIME)


@pytest.mark.parametrize("bounds", [(5, -1, 5), (5, 10, 5), (9, 1, 5), (float("nan"), 1, 5)])
def test_bounds_that_cannot_be_are_refused(bounds: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="a buffer of"):
        AdaptiveBuffer(*bounds)


def test_a_negative_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="a buffer of -1 ms"):
        FixedBuffer(-1)

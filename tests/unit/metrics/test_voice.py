from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.frames import Int64s
from remusnet.metrics.emodel import DEFAULT_R, codec_of, mos
from remusnet.metrics.jitter_buffer import AdaptiveBuffer, FixedBuffer, JitterBuffer
from remusnet.metrics.voice import LONGEST_GAP_NS, ReceivedPackets, Voice, listen

MS = 1_000_000
PTIME = 20 * MS
START = 1_700_000_000 * 10**9
BUFFERS: list[JitterBuffer] = [FixedBuffer(), AdaptiveBuffer()]


def heard(
    keep: Int64s,
    *,
    transit_ms: int = 5,
    later_ms: Int64s | int = 0,
    first_number: int = 65_000,
    first_timestamp: int = 2**32 - 4000,
    buffer: JitterBuffer = BUFFERS[0],
    expected_after: int = 0,
) -> Voice:
    """A G.711 call of which the packets ``keep`` came, sent ``later_ms`` later than they say."""
    sent = START + keep * PTIME + np.asarray(later_ms, np.int64) * MS
    order = np.argsort(sent, kind="stable")
    (voice,) = listen(
        ReceivedPackets(
            ((first_number + keep) % 2**16)[order],
            ((first_timestamp + keep * 160) % 2**32)[order],
            sent[order],
            (sent + transit_ms * MS)[order],
        ),
        [buffer],
        codec_of("PCMA"),
        clock_rate=8000,
        ptime_ns=PTIME,
        expected_after=expected_after,
    )
    return voice


def without(start: int, stop: int, count: int = 2000) -> Int64s:
    return np.concatenate([np.arange(start), np.arange(stop, count)])


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_clean_call_has_the_best_mos_of_narrow_band(buffer: JitterBuffer) -> None:
    """Wraps of sequence number and timestamp among it."""
    voice = heard(np.arange(2000), buffer=buffer)
    assert voice.r == DEFAULT_R
    assert voice.mos == voice.mos_min == mos(DEFAULT_R)
    assert voice.missing_percent == voice.late_percent == voice.longest_gap_ms == 0


def test_delay_is_from_mouth_to_ear() -> None:
    """20 ms to fill a packet, 5 ms on the way, 60 ms in the buffer."""
    assert heard(np.arange(500)).delay_ms == pytest.approx(85)


@pytest.mark.parametrize("buffer", BUFFERS)
def test_mos_falls_with_an_outage(buffer: JitterBuffer) -> None:
    """The slip of other tools: nothing was sent, so nothing was lost, and MOS stayed at 4.5."""
    clean = heard(np.arange(2000), buffer=buffer)
    relay = heard(without(1000, 1050), buffer=buffer)
    later = np.where(np.arange(2000) >= 1000, 1000, 0)
    frozen = heard(np.arange(2000), later_ms=later, buffer=buffer)
    for outage in (relay, frozen):
        # Behind a relay timestamps went on, and so does the rhythm. Where it is lost, an adaptive
        # buffer starts anew at 60 ms, having come down to the 20 ms of a path that it knows.
        anew = outage is frozen and not isinstance(buffer, FixedBuffer)
        assert outage.longest_gap_ms == (1040 if anew else 1000)
        assert outage.missing_percent == pytest.approx(2.5, rel=0.07)  # 1.04 s of 40 s, 1 s of 41 s
        assert outage.mos < clean.mos - 0.2
        assert outage.mos_min < 3


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_server_that_is_rolled_back_is_silent_for_the_outage(buffer: JitterBuffer) -> None:
    """It sends its last 15 packets again, a second later; a second copy is nothing new to hear."""
    keep = np.concatenate([np.arange(1000), np.arange(985, 2000)])
    later = np.concatenate([np.zeros(1000, np.int64), np.full(1015, 1300)])
    voice = heard(keep, later_ms=later, buffer=buffer)
    assert voice.longest_gap_ms == (1300 if isinstance(buffer, FixedBuffer) else 1340)
    assert voice.mos_min < 3


def test_an_outage_at_the_end_counts() -> None:
    cut = heard(np.arange(1950), expected_after=50)
    assert cut.missing_percent == pytest.approx(2.5)
    assert cut.longest_gap_ms == 1000
    assert cut.mos_min < 3


def test_one_bad_moment_in_an_hour_is_seen_in_the_worst_ten_seconds() -> None:
    voice = heard(without(90_000, 90_050, 180_000))
    assert voice.mos > 4.39
    assert voice.mos_min == pytest.approx(heard(without(90_000, 90_050, 2000 + 90_000)).mos_min)
    assert voice.mos_min < 3


@pytest.mark.parametrize("start", range(0, 1000, 77))
def test_where_an_outage_lies_makes_no_difference_to_the_worst_ten_seconds(start: int) -> None:
    """Half a second of ten, wherever a border is; a second more or less of speech around it."""
    voice = heard(without(300 + start, 325 + start))
    assert voice.mos_min == pytest.approx(heard(without(600, 625)).mos_min, abs=0.05)


@given(st.integers(0, 1500), st.integers(0, 1500))
def test_a_longer_outage_never_scores_better(one: int, other: int) -> None:
    short, long = (heard(without(200, 200 + length)) for length in sorted((one, other)))
    assert long.mos <= short.mos
    assert long.mos_min <= short.mos_min


@given(st.integers(0, 200), st.integers(0, 200))
def test_mos_falls_with_the_share_of_lost_packets(one: int, other: int) -> None:
    fewer, more = (
        heard(np.delete(np.arange(2000), np.arange(5, 5 + 9 * lost, 9)))
        for lost in sorted((one, other))
    )
    assert more.missing_percent >= fewer.missing_percent
    assert more.mos <= fewer.mos


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_mos_falls_with_delay(one: int, other: int) -> None:
    near, far = (heard(np.arange(200), transit_ms=delay) for delay in sorted((one, other)))
    assert far.mos <= near.mos + 1e-9  # as in test_emodel


def test_random_losses_have_a_burst_ratio_of_one() -> None:
    rng = np.random.default_rng(2)
    keep = np.flatnonzero(rng.random(100_000) > 0.03)
    voice = heard(keep)
    # 3000 losses: the mean length of a gap is known to about 0.5 %.
    assert voice.burst_ratio == pytest.approx(1, abs=0.02)
    assert voice.missing_percent == pytest.approx(3, abs=0.2)


def test_losses_in_runs_have_their_length_as_burst_ratio() -> None:
    keep = np.flatnonzero(np.arange(10_000) % 100 >= 5)
    assert heard(keep[:-1]).burst_ratio == pytest.approx(5 * 0.95, rel=0.01)


def test_silence_that_was_meant_is_no_loss() -> None:
    """Silence suppression: timestamps step on, sequence numbers don't."""
    spoken = np.flatnonzero(np.arange(3000) % 300 < 150)
    arrival = START + spoken * PTIME
    (voice,) = listen(
        ReceivedPackets(np.arange(len(spoken)), spoken * 160, arrival, arrival),
        [FixedBuffer()],
        codec_of("PCMA"),
        clock_rate=8000,
        ptime_ns=PTIME,
    )
    assert voice.missing_percent == 0
    assert voice.mos == mos(DEFAULT_R)


def test_reordering_within_the_buffer_is_no_loss() -> None:
    """The slip of other tools: reordering counted as loss."""
    later = np.zeros(2000, np.int64)
    later[100] = 45
    assert heard(np.arange(2000), later_ms=later).missing_percent == 0


def test_late_packets_are_missing_though_they_came() -> None:
    later = np.zeros(2000, np.int64)
    later[::100] = 90
    later[0] = 0
    voice = heard(np.arange(2000), later_ms=later)
    assert voice.late_percent == voice.missing_percent == pytest.approx(19 / 20)


def test_a_sender_that_begins_anew_loses_nothing() -> None:
    """RFC 3550, A.1: another number, another timestamp, the same rhythm."""
    count = np.arange(1000)
    arrival = START + count * PTIME
    for jump, ticks in ((20_000, 10**9), (-20_000, -(10**9))):
        number = np.where(count < 500, count, count + jump) % 2**16
        timestamp = np.where(count < 500, count * 160, count * 160 + ticks) % 2**32
        (voice,) = listen(
            ReceivedPackets(number, timestamp, arrival, arrival),
            [FixedBuffer()],
            codec_of("PCMA"),
            clock_rate=8000,
            ptime_ns=PTIME,
        )
        # A clock that jumps back looks late until the phone starts anew: half a second, once.
        assert voice.longest_gap_ms <= 620


def test_a_damaged_time_does_not_fill_the_memory() -> None:
    later = np.where(np.arange(200) >= 100, 3 * 365 * 86_400_000, 0)
    voice = heard(np.arange(200), later_ms=later)
    assert voice.longest_gap_ms * MS == LONGEST_GAP_NS


def test_a_stream_of_which_nothing_came_has_no_voice() -> None:
    none = np.zeros(0, np.int64)
    received = ReceivedPackets(none, none, none, none)
    found = listen(received, [FixedBuffer()], codec_of("PCMA"), clock_rate=8000, ptime_ns=PTIME)
    assert found == ()


@pytest.mark.parametrize(("clock_rate", "ptime_ns"), [(0, PTIME), (8000, 0)])
def test_times_that_cannot_be_are_refused(clock_rate: int, ptime_ns: int) -> None:
    none = np.zeros(0, np.int64)
    received = ReceivedPackets(none, none, none, none)
    with pytest.raises(ValueError, match="Hz"):
        listen(
            received, [FixedBuffer()], codec_of("PCMA"), clock_rate=clock_rate, ptime_ns=ptime_ns
        )

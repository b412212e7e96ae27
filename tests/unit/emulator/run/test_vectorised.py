"""A stream measured in pieces has the numbers of a capture measured whole."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.emulator.machine.checkpoints import timeline
from remusnet.emulator.run.vectorised import measured, packets_of, run_stream
from remusnet.emulator.traffic import rtp
from remusnet.emulator.traffic.rtp import sources
from remusnet.frames import Int64s
from remusnet.metrics.bursts import burst_sizes, burst_summary
from remusnet.metrics.jitter import interarrival_jitter, jitter_summary
from remusnet.metrics.percentiles import milliseconds, spread
from remusnet.metrics.rtp_meter import StreamMeter
from remusnet.metrics.sequence import sequence_counts
from tests.unit.emulator.scenes import MS, scenario

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
    series = interarrival_jitter(arrival_ns, number * 160, 8000)
    assert np.concatenate(pieces) == pytest.approx(series, abs=1e-9)
    expected = jitter_summary(series)
    assert meter.jitter.mean == pytest.approx(expected.mean, abs=1e-9)
    assert meter.jitter.max == pytest.approx(expected.max, abs=1e-9)
    assert meter.sequence == sequence_counts(number)
    assert meter.bursts == burst_summary(burst_sizes(arrival_ns, PTIME))
    found, whole = meter.interarrival_ms(), spread(milliseconds(np.diff(arrival_ns)))
    assert (found is None) == (whole is None)
    if found is not None and whole is not None:
        assert found.to_json() == pytest.approx(whole.to_json(), abs=1.5e-6)


def test_nothing_has_no_numbers() -> None:
    meter = StreamMeter(PTIME, 0)
    meter.add(np.zeros(0, np.int64), 0, None)
    assert (meter.packets, meter.bursts.max, meter.interarrival_ms()) == (0, 0, None)
    assert meter.sequence.expected == 0


TEXTS = {
    "even": "[[calls]]",
    "with noise": '[network]\ndelay = "3ms"\njitter = "1ms"\n[[calls]]',
    "with losses": "[network]\nloss = 5\nloss-burst = 3\n[[calls]]",
    "with silences": "[[calls]]\nvad = true",
    "of a jittery guest": '[guest]\njitter = "4ms"\n[[calls]]',
    "relayed Opus": '[network]\njitter = "1ms"\n[[calls]]\nguest = "relay"\ncodec = "opus"',
}


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_stream_in_stretches_is_the_stream_as_a_whole(kind: str, hold: bool) -> None:
    """The fast way and the one that failures take, which measures by the captures' functions."""
    found = scenario(f'[checkpoint]\nperiod = "300ms"\n{TEXTS[kind]}', duration="60s")
    times = timeline(found)
    for source in sources(found):
        fast, _ = run_stream(source, found, times, hold=hold, keep=True)
        held = hold and source.from_guest
        slow = measured(source, packets_of(source, found, times, hold=held), keep=True)
        one, other = fast.to_json(), slow.to_json()
        assert one.keys() == other.keys()
        for key, value in one.items():
            if isinstance(value, dict):
                assert value == pytest.approx(other[key], abs=2e-6)
            else:
                assert value == other[key]
        assert fast.series is not None
        assert slow.series is not None
        for name in ("sent_ns", "left_ns", "arrived_ns", "sequence", "timestamp", "arrival"):
            assert (getattr(fast.series, name) == getattr(slow.series, name)).all()


def test_where_a_stream_is_cut_does_not_change_what_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = scenario("[[calls]]\nvad = true", duration="60s")
    (source, _) = sources(found)
    whole, _ = run_stream(source, found, timeline(found), hold=False, keep=True)
    monkeypatch.setattr(rtp, "STRETCH", 100)
    cut, _ = run_stream(source, found, timeline(found), hold=False, keep=True)
    one, other = whole.to_json(), cut.to_json()
    assert one.pop("jitter_ms") == pytest.approx(other.pop("jitter_ms"), abs=2e-6)
    assert one == other


def test_talk_begins_with_a_spurt_and_is_as_long_as_the_model_says() -> None:
    found = scenario('[[calls]]\nvad = true\ntalk = "1s"\nsilence = "3s"', duration="4000s")
    (source, _) = sources(found)
    ticks = rtp.talk_ticks(source, np.random.default_rng(1))
    assert ticks[0] == 0
    assert (np.diff(ticks) > 0).all()
    assert ticks[-1] < source.packets
    assert len(ticks) / source.packets == pytest.approx(0.25, rel=0.1)


def test_phase_and_drift_are_the_senders() -> None:
    found = scenario('[[calls]]\nphase = "7ms"\ndrift-ppm = 100\ndirection = "send"')
    (source,) = sources(found)
    (stretch, *_) = rtp.stretches(source, 0, np.random.default_rng(1))
    assert stretch.due_ns[:2].tolist() == [7 * MS, 27 * MS + 2000]
    assert len({replace(source, number=n).ssrc for n in range(1000)}) == 1000

"""A stream in stretches is the stream as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from remusnet.emulator.run.scenario_run import timeline
from remusnet.emulator.run.vectorised import measured, packets_of, run_stream
from remusnet.emulator.traffic import rtp
from remusnet.emulator.traffic.rtp import sources
from tests.unit.emulator.scenes import MS, scenario

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

from __future__ import annotations

import pytest

from remusnet.emulator.machine.epochs import MostHeld, most_rtp_held
from remusnet.emulator.run import scenario_run
from remusnet.emulator.run.scenario_run import timeline
from remusnet.emulator.traffic.rtp import sources
from tests.unit.emulator.scenes import MS, outcome, scenario

HELD = '[checkpoint]\nperiod = "400ms"\npause = "50ms"\n'


def test_what_bypasses_needs_no_room() -> None:
    found = scenario(HELD + "[[calls]]")
    streams = tuple(sources(found))
    assert most_rtp_held(streams, [False, False], timeline(found), 0) == MostHeld(0, 0)
    without = scenario("[[calls]]")
    assert most_rtp_held(streams, [True, False], timeline(without), 0) == MostHeld(0, 0)


@pytest.mark.parametrize("jitter", ["0ms", "5ms", "100ms"])
def test_the_room_that_is_foreseen_is_never_too_little(
    monkeypatch: pytest.MonkeyPatch, jitter: str
) -> None:
    """A plug of just that size drops nothing, with every frame looked at alone."""
    text = HELD + f'[guest]\njitter = "{jitter}"\n'
    calls = "[[calls]]\ncount = 5\n"
    found = scenario(text + calls)
    streams = tuple(sources(found))
    holds = [source.from_guest for source in streams]
    share = most_rtp_held(streams, holds, timeline(found), found.host.jitter_ns)
    # Two epochs of 20 packets and a little: it is no wild guess either.
    assert 20 * 5 <= share.frames <= (2 * 22 + 2 * 10 * found.host.jitter_ns // (20 * MS) + 2) * 5
    monkeypatch.setattr(scenario_run, "most_rtp_held", lambda *_: MostHeld(2**40, 0))
    fitting = f"[vif]\nlimit = {share.bytes}\nring = {share.frames}\n"
    run = outcome(text + fitting + calls, "hold-all")
    assert run.output_commit.dropped == 0
    assert run.scene is not None
    assert run.scene.counts.ring_stalls == 0

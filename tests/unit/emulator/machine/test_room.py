from __future__ import annotations

import pytest

from remusnet.emulator.machine.room import Share, rtp_share
from remusnet.emulator.machine.timeline import timeline
from remusnet.emulator.run import outcome as one_run
from remusnet.emulator.traffic.rtp import sources
from tests.unit.emulator.scenes import MS, outcome, scenario

HELD = '[checkpoint]\nperiod = "400ms"\npause = "50ms"\n'


def test_what_bypasses_needs_no_room() -> None:
    found = scenario(HELD + "[[calls]]")
    streams = tuple(sources(found))
    assert rtp_share(streams, [False, False], timeline(found), 0) == Share(0, 0)
    without = scenario("[[calls]]")
    assert rtp_share(streams, [True, False], timeline(without), 0) == Share(0, 0)


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
    share = rtp_share(streams, holds, timeline(found), found.host.jitter_ns)
    # Two epochs of 20 packets and a little: it is no wild guess either.
    assert 20 * 5 <= share.frames <= (2 * 22 + 2 * 10 * found.host.jitter_ns // (20 * MS) + 2) * 5
    monkeypatch.setattr(one_run, "rtp_share", lambda *_: Share(2**40, 0))
    fitting = f"[vif]\nlimit = {share.bytes}\nring = {share.frames}\n"
    run = outcome(text + fitting + calls, "hold-all")
    assert run.output_commit.dropped == 0
    assert run.scene is not None
    assert run.scene.counts.ring_stalls == 0

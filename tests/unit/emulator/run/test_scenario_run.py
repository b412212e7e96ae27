"""A whole scenario: the same seed gives the same bytes, and all kinds of traffic come together."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether

from remusnet.classify.columns import columns
from remusnet.emulator.run.scenario_run import frames_sent, run_scenario
from remusnet.errors import InvalidInput
from remusnet.frames import Frames
from remusnet.metrics.rtp import rtp_streams
from remusnet.policy import PRESETS, Policy, Verdict
from remusnet.results.comparison import Simulation
from remusnet.results.scene import Counts
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import overridden
from tests.unit.emulator.recorded import GUEST, by, call
from tests.unit.emulator.scenes import MS, S, outcome, scenario, scene
from tests.unit.metrics import packets as make

ALL = """
[checkpoint]
pause = { distribution = "normal", mean = "20ms", deviation = "5ms" }
transfer = { base = "1ms", dirty-rate = "400mbit", through = "1gbit" }
commit-delay = { distribution = "uniform", low = "1ms", high = "9ms" }
[guest]
jitter = "0.2ms"
[network]
delay = "5ms"
jitter = "1ms"
loss = 1
loss-burst = 2
[[calls]]
count = 2
vad = true
[[calls]]
guest = "relay"
srtp = true
ip = "ipv6"
[[sip]]
register = true
[[sip]]
transport = "tls"
[[tcp]]
kind = "bulk"
response = 50000
[[dns]]
[[icmp]]
[[tunnels]]
kind = "vxlan"
"""


def ran(found: Scenario) -> Simulation:
    return run_scenario(found, list(PRESETS.values()), keep_frames=True)


def as_bytes(simulation: Simulation) -> tuple[str, list[bytes]]:
    released = [
        each.time_ns.tobytes() + b"".join(each.frame(i) for i in range(len(each)))
        for each in simulation.released
    ]
    return json.dumps(simulation.comparison.to_json(), allow_nan=False), released


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    found = scenario(ALL + '[failure]\nat = "6s"\n')
    first, second = as_bytes(ran(found)), as_bytes(ran(found))
    assert first == second
    other = overridden(found, calls=None, duration_ns=None, seed=1)
    assert as_bytes(ran(other)) != first


@pytest.mark.slow
def test_nothing_that_is_held_ever_leaves_early() -> None:
    for text in (ALL, ALL + '[failure]\nat = "6s"\n', ALL + "[vif]\nring = 16\n"):
        for found in ran(scenario(text)).comparison.outcomes:
            assert found.output_commit.violations == 0
            assert found.output_commit.held > 0
            if scene(found).failure is None:  # the backup holds nothing
                assert (found.output_commit.bypassed == 0) == (found.policy == "hold-all")


def test_what_is_released_is_what_arrived() -> None:
    """The capture's own measures agree with the run's: same packets, same loss, same jitter."""
    simulation = run_scenario(scenario(ALL), [PRESETS["real-time"]], keep_frames=True)
    (left,) = simulation.released
    streams = {each.rtp.ssrc: each.rtp for each in simulation.comparison.outcomes[0].streams}
    found = {each.ssrc: each for each in rtp_streams(left, columns(left))}
    assert found.keys() == streams.keys()
    for ssrc, rtp in streams.items():
        assert found[ssrc].packets == rtp.packets
        assert found[ssrc].lost == rtp.lost
        assert found[ssrc].flow == rtp.flow
        assert found[ssrc].jitter_ms.mean == pytest.approx(rtp.jitter_ms.mean, abs=2e-6)
        assert found[ssrc].jitter_ms.max == pytest.approx(rtp.jitter_ms.max, abs=2e-6)
    assert (np.diff(left.time_ns) >= 0).all()


def test_marker_bits_begin_talk_spurts() -> None:
    text = '[[calls]]\nvad = true\ndirection = "send"\n'
    simulation = run_scenario(scenario(text, "60s"), [PRESETS["tcp-only"]], keep_frames=True)
    (left,) = simulation.released
    payloads = [bytes(Ether(left.frame(i))[UDP].payload) for i in range(len(left))]
    marked = np.array([payload[1] >> 7 for payload in payloads], np.bool_)
    stamps = np.array([int.from_bytes(payload[4:8], "big") for payload in payloads])
    skipped = np.concatenate([[True], np.diff(stamps) % 2**32 > 160])
    assert (marked == skipped).all()
    assert 5 < marked.sum() < 60


def test_every_frame_is_counted_once() -> None:
    found = scenario("[[calls]]\ncount = 3\n[[icmp]]\ncount = 4\n")
    simulation = run_scenario(found, [PRESETS["tcp-only"], PRESETS["hold-all"]])
    one = 3 * 2 * 500 + 4 * 2
    assert frames_sent(simulation) == 2 * one
    assert simulation.released == ()


def test_a_large_run_keeps_no_packets_but_all_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remusnet.emulator.run.scenario_run.KEPT_PACKETS", 1000)
    found = outcome("[[calls]]\ncount = 2\n")
    assert [stream.series is not None for stream in found.streams] == [True, True, False, False]
    assert [stream.rtp.packets for stream in found.streams] == [500] * 4
    assert found.passages is None


def test_a_run_says_which_way_its_packets_went() -> None:
    for text, path in (("", "vectorised"), ('[network]\nrate = "1gbit"\n', "stepwise")):
        simulation = run_scenario(scenario(text + "[[calls]]\n"), [PRESETS["tcp-only"]])
        setting = simulation.comparison.setting.scenario
        assert setting is not None
        assert setting.path.startswith(path)


def mixed(text: str, policy: str, frames: Frames) -> Simulation:
    return run_scenario(scenario(text), [PRESETS[policy]], recordings=[frames], keep_frames=True)


RECORDED = '[checkpoint]\nperiod = "400ms"\npause = "50ms"\n[[captures]]\nfile = "call.pcap"\n'


def test_a_capture_mixes_in_from_its_start_on() -> None:
    simulation = mixed(RECORDED + 'start = "2s"\n[[calls]]\n', "hold-all", call(200))
    found = simulation.comparison.outcomes[0]
    assert len(found.streams) == 4
    recorded = [stream for stream in found.streams if stream.origin is None]
    assert [stream.rtp.packets for stream in recorded] == [200, 200]
    assert min(stream.rtp.first_ns or 0 for stream in recorded) >= 2 * S
    assert found.output_commit.violations == 0
    assert found.output_commit.held == 500 + 200 + 4
    assert len(simulation.released[0]) == 1000 + 404
    assert len(found.connections) == 1


def test_a_capture_loses_what_its_guest_could_not_send() -> None:
    text = RECORDED + '[failure]\nat = "2s"\ndetection = "1s"\n'
    found = mixed(text, "tcp-only", call(400)).comparison.outcomes[0]
    assert [stream.rtp.lost for stream in found.streams] == [50, 50]
    assert scene(found).counts.lost_failure >= 100
    assert found.output_commit.violations == 0


def test_bad_arguments_are_refused() -> None:
    found = scenario("[[calls]]")
    with pytest.raises(InvalidInput, match="'tcp-only' is there twice"):
        run_scenario(found, [PRESETS["tcp-only"]] * 2)
    with pytest.raises(ValueError, match="0 captures for 1"):
        run_scenario(scenario(RECORDED), [PRESETS["tcp-only"]])
    with pytest.raises(InvalidInput, match="no guest traffic"):
        mixed(RECORDED + 'guest = "10.9.9.9"\n', "tcp-only", call(10))


def test_what_a_mixed_in_capture_hides_is_said_with_its_name() -> None:
    """And of its frames nobody knows the epochs: all are there."""
    outer = make.Flow("10.0.0.1", 50_000, "10.0.0.2", 4789)
    vxlan = bytes.fromhex("0800000000002a00")
    frames = make.capture(
        (at, by(GUEST, make.udp(vxlan + frame, outer)))
        for at, frame in make.stream(make.steady(50), 1)
    )
    comparison = mixed(RECORDED, "hold-all", frames).comparison
    (note,) = comparison.setting.notes
    assert note.startswith("'call.pcap': 50 frames of vxlan carry 1 RTP stream inside")
    assert comparison.outcomes[0].to_json()["quiet_epochs"] == 0


def test_a_scenario_lists_the_epochs_that_held_something() -> None:
    text = '[checkpoint]\nperiod = "400ms"\n[[sip]]\ntransport = "tcp"\n'
    found = outcome(text)
    listed: Any = found.to_json()
    suspends, commits = found.holding_epochs
    assert listed["epochs"] == [
        {"suspend_ns": suspend, "commit_ns": commit}
        for suspend, commit in zip(suspends.tolist(), commits.tolist(), strict=True)
    ]
    assert 0 < len(listed["epochs"]) < len(found.suspend_ns)
    assert len(listed["epochs"]) + listed["quiet_epochs"] == len(found.suspend_ns)
    # What left at a commit left at one of those.
    assert found.passages is not None
    held = found.passages.held & ~found.passages.dropped
    assert set(found.passages.left_ns[held].tolist()) == set(commits.tolist())


def test_without_checkpoints_no_policy_holds_anything() -> None:
    found = outcome("[[calls]]\n[[tcp]]\n", "hold-all")
    assert found.output_commit.held == 0
    assert len(found.suspend_ns) == 0


def test_epochs_are_those_that_committed() -> None:
    alive = outcome('[checkpoint]\nperiod = "400ms"\n[[calls]]\n')
    dead = outcome('[checkpoint]\nperiod = "400ms"\n[failure]\nat = "5s"\n[[calls]]\n')
    assert alive.commit_ns[-1] > 10 * S - 400 * MS
    assert dead.commit_ns[-1] <= 5 * S
    assert (alive.commit_ns[: len(dead.commit_ns)] == dead.commit_ns).all()
    assert len(scene(dead).resume_ns) == len(dead.commit_ns)


def test_counts_of_a_quiet_run_are_zero_but_for_its_frames() -> None:
    assert scene(outcome("[[calls]]")).counts == Counts(frames=1000)


def test_pauses_that_grow_with_the_load_grow() -> None:
    """10 ms of memory at 1 Gbit/s for each 100 ms at 100 Mbit/s, on top of the base."""
    text = """
        [checkpoint]
        interval = "100ms"
        pause = { base = "2ms", dirty-rate = "100mbit", through = "1gbit" }
        commit-delay = "0"
        [[calls]]
        """
    found = outcome(text)
    pauses = scene(found).resume_ns - found.suspend_ns
    assert set(pauses[1:].tolist()) == {12 * MS}
    small = outcome(text.replace('"1gbit"', '"1gbit", working-set = 250000'))
    assert set((scene(small).resume_ns - small.suspend_ns).tolist()[1:]) == {4 * MS}


def test_xends_checkpoints_are_late_where_they_take_too_long() -> None:
    text = """
        [checkpoint]
        schedule = "xend"
        interval = "40ms"
        pause = { distribution = "uniform", low = "10ms", high = "10ms" }
        transfer = "60ms"
        commit-delay = "0"
        [[calls]]
        """
    found = outcome(text)
    assert set(np.diff(found.suspend_ns).tolist()) == {70 * MS}


def test_what_arrived_has_the_numbers_of_the_scenario_in_a_capture_of_it_too() -> None:
    """After a rollback 15 packets come twice: neither has bursts of copies."""
    text = (
        '[checkpoint]\nperiod = "300ms"\npause = "50ms"\n[failure]\nat = "5s"\n'
        '[[calls]]\ndirection = "send"\ndrift-ppm = 50\n'
    )
    simulation = run_scenario(scenario(text), [PRESETS["tcp-only"]], keep_frames=True)
    (stream,) = simulation.comparison.outcomes[0].streams
    frames = simulation.released[0]
    (seen,) = rtp_streams(frames, columns(frames))
    assert stream.rtp.duplicates > 0
    assert (stream.rtp.bursts, stream.rtp.sequence) == (seen.bursts, seen.sequence)
    assert seen.jitter_ms.mean == pytest.approx(stream.rtp.jitter_ms.mean)
    assert seen.timestamp_jumps == 0


FAILS = '[checkpoint]\nperiod = "400ms"\n[failure]\nat = "5s"\ndetection = "1s"\n'


@pytest.mark.parametrize("more", ["", "[vif]\nring = 4\n", '[network]\nrate = "100mbit"\n'])
def test_what_a_backup_sends_is_unprotected_whatever_the_policy(more: str) -> None:
    """From 6 s to 10 s it sends 50 packets a second; nothing that hold-all held has passed."""
    for policy, passed in (("hold-all", 0), ("tcp-only", 250)):
        counts = outcome(f"{FAILS}{more}[[calls]]\n", policy).output_commit
        assert counts.unprotected == pytest.approx(200, abs=1)
        assert counts.bypassed - counts.unprotected == pytest.approx(passed, abs=1)


def test_a_capture_s_frames_after_the_failure_are_unprotected() -> None:
    text = RECORDED + '[failure]\nat = "2s"\ndetection = "1s"\n'
    counts = mixed(text, "hold-all", call(400)).comparison.outcomes[0].output_commit
    # From 2 s to 8 s; nobody sent those of the outage, and nothing held them.
    assert counts.bypassed == counts.unprotected == pytest.approx(6 * 50 + 6, abs=2)


def test_without_checkpoints_everything_is_unprotected() -> None:
    counts = outcome("[[calls]]\n[[dns]]\n", "hold-all").output_commit
    assert counts.unprotected == counts.bypassed > 500


def test_sip_over_udp_that_is_held_has_its_delay_and_that_passes_is_a_hazard() -> None:
    text = '[checkpoint]\nperiod = "400ms"\n[[sip]]\ntransport = "udp"\n'
    held, passed = outcome(text, "real-time"), outcome(text, "tcp-only")
    assert held.sip_udp.frames > 0
    assert 0 < (held.sip_udp.max or 0) <= 400
    assert held.hazards == ()
    assert passed.sip_udp.max is None
    (hazard,) = passed.hazards
    assert hazard.name == "sip-over-udp"
    assert hazard.frames == passed.output_commit.bypassed


def test_hazards_of_captures_and_conversations_are_counted_together() -> None:
    text = RECORDED + "[[tcp]]\n"
    passed = mixed(text, "stock-remus", call(200)).comparison.outcomes[0]
    assert passed.hazards == ()
    frames = call(200)
    (hazard,) = run_scenario(
        scenario(text), [Policy("pass", (), Verdict.BYPASS)],
        recordings=[frames],
    ).comparison.outcomes[0].hazards  # fmt: skip
    assert hazard.name == "tcp"
    assert hazard.frames > 4

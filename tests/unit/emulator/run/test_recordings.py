"""A call through the whole replay, against what must come out in closed form."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from remusnet.classify.columns import columns
from remusnet.emulator.run.recordings import simulate
from remusnet.errors import InvalidInput
from remusnet.frames import Frames
from remusnet.metrics.closed_forms import bypass_mean, held_mean, held_peak
from remusnet.metrics.rtp import rtp_streams
from remusnet.policy import PRESETS
from remusnet.results.comparison import Outcome, Simulation
from remusnet.results.stream import Stream
from remusnet.schedule import Schedule
from tests.unit.emulator.recorded import GUEST, GUEST_SSRC, MS, PEER, PEER_SSRC, SIP, by, call
from tests.unit.metrics import packets
from tests.unit.metrics import packets as make

EVERYTHING = 2**32 - 1
SIP_BACK = packets.Flow(SIP.destination, SIP.dport, SIP.source, SIP.sport)


@cache
def simulated(
    interval_ms: int = 400, pause_us: int = 0, commit_delay_us: int = 0, limit: int = EVERYTHING
) -> Simulation:
    """The 40 s call under all presets."""
    schedule = Schedule(interval_ms * MS, pause_us * 1000, commit_delay_us * 1000)
    return simulate(call(), list(PRESETS.values()), schedule, limit, capture="call.pcap")


def with_sip_over_udp() -> Frames:
    """A call of 4 s, in which the guest answers over UDP twice, and the peer asks once."""
    timed = [(int(at), bytes(call(200).frame(i))) for i, at in enumerate(call(200).time_ns)]
    answer = packets.udp(b"SIP/2.0 200 OK\r\n\r\n", SIP)
    asked = packets.udp(b"OPTIONS sip:guest SIP/2.0\r\n\r\n", SIP_BACK)
    start = timed[0][0]
    timed += [(start + at * MS, by(GUEST, answer)) for at in (500, 1000)]
    timed += [(start + 400 * MS, by(PEER, asked, GUEST))]
    timed.sort(key=lambda each: each[0])
    return Frames.of([frame for _, frame in timed], [at for at, _ in timed])


def outcome(simulation: Simulation, policy: str) -> Outcome:
    return next(each for each in simulation.comparison.outcomes if each.policy == policy)


def guests(outcome: Outcome) -> Stream:
    (stream,) = [each for each in outcome.streams if each.from_guest]
    return stream


@pytest.mark.parametrize("interval_ms", [40, 200, 300, 400])
def test_what_is_held_leaves_in_bursts_of_one_period(interval_ms: int) -> None:
    """3 %: the estimator starts at zero, which 40 s do not quite make up for."""
    rtp = guests(outcome(simulated(interval_ms), "hold-all")).rtp
    assert (rtp.bursts.median, rtp.bursts.max) == (interval_ms / 20, interval_ms // 20)
    assert rtp.jitter_ms.mean == pytest.approx(held_mean(interval_ms), rel=0.03)
    assert rtp.jitter_ms.max == pytest.approx(held_peak(interval_ms), rel=0.01)


def test_a_period_of_400_ms_has_a_mean_jitter_of_38_ms() -> None:
    rtp = guests(outcome(simulated(), "hold-all")).rtp
    assert rtp.jitter_ms.mean == pytest.approx(38.0, rel=0.03)


def test_pause_and_commit_delay_lengthen_the_period_of_xl() -> None:
    rtp = guests(outcome(simulated(400, 50_000, 5_000), "hold-all")).rtp
    assert rtp.bursts.median in (22, 23)
    assert rtp.jitter_ms.mean == pytest.approx(held_mean(455), rel=0.03)


@pytest.mark.parametrize("policy", ["tcp-only", "real-time"])
def test_bypassing_rtp_stays_as_it_was_where_the_guest_does_not_pause(policy: str) -> None:
    rtp = guests(outcome(simulated(), policy)).rtp
    assert (rtp.jitter_ms.mean, rtp.jitter_ms.max, rtp.bursts.max) == (0, 0, 1)


@pytest.mark.parametrize("interval_ms", [200, 400])
@pytest.mark.parametrize("pause_us", [10_000, 20_000, 25_000, 50_000, 100_000])
def test_a_pause_leaves_its_own_jitter_in_what_bypasses(interval_ms: int, pause_us: int) -> None:
    """10 %: in 40 s there are 79 to 184 pauses, so their phases are only nearly uniform."""
    delay_us = 7_300  # so that the phases drift; without it 400 ms and 100 ms would lock
    rtp = guests(outcome(simulated(interval_ms, pause_us, delay_us), "tcp-only")).rtp
    period_ms = interval_ms + pause_us / 1000 + delay_us / 1000
    assert rtp.jitter_ms.mean == pytest.approx(bypass_mean(period_ms, pause_us / 1000), rel=0.1)


def test_locked_clocks_are_hit_never_or_always() -> None:
    """A period of 400 ms = 20 packets: the pause falls between two of them each time."""
    rtp = guests(outcome(simulated(395, 5_000), "tcp-only")).rtp
    assert rtp.jitter_ms.max == 0


def test_frames_to_the_guest_keep_their_times() -> None:
    for policy in PRESETS:
        streams = outcome(simulated(400, 50_000, 5_000), policy).streams
        (rtp,) = [each.rtp for each in streams if not each.from_guest]
        assert (rtp.packets, rtp.jitter_ms.max) == (2000, 0)


def test_streams_come_in_the_order_of_the_recording_under_every_policy() -> None:
    """Held packets leave later than the peer's first one."""
    outcomes = simulated().comparison.outcomes
    assert len(outcomes) == len(PRESETS)
    for each in outcomes:
        assert [stream.rtp.ssrc for stream in each.streams] == [GUEST_SSRC, PEER_SSRC]


def test_tcp_is_delayed_until_the_commit_and_the_delay_counts_from_the_recording() -> None:
    """The messages come at whole seconds, the commits at multiples of 400 ms."""
    tcp = outcome(simulated(), "tcp-only").tcp
    assert tcp.frames == 40
    # 0 s, 2 s ... are sent at a suspend, 1 s, 3 s ... 200 ms before the next.
    assert (tcp.median, tcp.max) == (300.0, 400.0)
    (connection,) = outcome(simulated(), "tcp-only").connections
    assert connection.flow == "tcp 10.0.0.1:5060 > 10.0.0.2:40000"
    assert (connection.frames, connection.hold.max) == (40, 400.0)


def test_every_frame_of_the_guest_is_held_or_bypasses() -> None:
    for policy, held in (("tcp-only", 40), ("real-time", 40), ("hold-all", 2040)):
        counts = outcome(simulated(), policy).output_commit
        assert (counts.held, counts.bypassed) == (held, 2040 - held)
        assert (counts.dropped, counts.violations) == (0, 0)


def test_a_small_plug_drops_and_what_it_drops_leaves_never() -> None:
    simulation = simulated(limit=3000)
    counts = outcome(simulation, "hold-all").output_commit
    assert counts.held == 2040
    assert 0 < counts.dropped < 2040
    assert counts.violations == 0
    names = [each.policy for each in simulation.comparison.outcomes]
    released = simulation.released[names.index("hold-all")]
    assert len(released) == 4040 - counts.dropped


def test_a_dropped_message_has_no_delay() -> None:
    """1 byte: nothing fits."""
    each = outcome(simulated(limit=1), "tcp-only")
    assert (each.output_commit.held, each.output_commit.dropped) == (40, 40)
    assert (each.tcp.frames, each.tcp.max) == (0, None)


def test_the_plug_counts_the_bytes_on_the_wire_where_the_recording_was_cut() -> None:
    frames = call(50)
    cut = replace(frames, length=frames.length * 10)
    schedule, policies = Schedule(400 * MS, 0, 0), [PRESETS["hold-all"]]
    (whole,) = simulate(frames, policies, schedule, 20_000, capture="").comparison.outcomes
    (large,) = simulate(cut, policies, schedule, 20_000, capture="").comparison.outcomes
    assert (whole.output_commit.dropped, large.output_commit.dropped > 0) == (0, True)


def test_the_first_interval_starts_at_the_earliest_frame_not_the_first_one() -> None:
    frames = call(50)
    turned = frames.take(np.arange(len(frames))[::-1])
    schedule, policies = Schedule(400 * MS, 0, 0), [PRESETS["hold-all"]]
    (found,) = simulate(turned, policies, schedule, EVERYTHING, capture="").comparison.outcomes
    assert found.suspend_ns[0] == frames.time_ns[0] + 400 * MS


def test_the_last_epoch_is_committed_and_the_clock_is_the_captures() -> None:
    frames = call()
    each = outcome(simulated(), "hold-all")
    assert each.suspend_ns[0] == frames.time_ns[0] + 400 * MS
    assert each.suspend_ns[-1] > frames.time_ns[-1] >= each.suspend_ns[-2]


def test_the_same_replay_twice_gives_the_same_bytes() -> None:
    again = simulate(
        call(), list(PRESETS.values()), Schedule(400 * MS, 0, 0), EVERYTHING, capture="call.pcap"
    )
    assert again.comparison.to_json() == simulated().comparison.to_json()
    for one, other in zip(again.released, simulated().released, strict=True):
        assert np.array_equal(one.time_ns, other.time_ns)
        assert [one.frame(n) for n in range(50)] == [other.frame(n) for n in range(50)]


def test_bad_settings_are_refused() -> None:
    schedule, policy = Schedule(400 * MS, 0, 0), PRESETS["tcp-only"]
    with pytest.raises(InvalidInput, match="policy 'tcp-only' is there twice"):
        simulate(call(50), [policy, policy], schedule, 10**6, capture="")
    for limit in (0, 2**32):
        with pytest.raises(InvalidInput, match=f"invalid limit: {limit} bytes"):
            simulate(call(50), [policy], schedule, limit, capture="")
    with pytest.raises(InvalidInput, match="there are no frames"):
        simulate(Frames.of([]), [policy], schedule, 10**6, capture="")


def test_a_recording_is_measured_as_it_was_too() -> None:
    """What Remus isn't to blame for: here nothing, the call has no jitter at all."""
    recorded = simulated(400, 50_000, 5_000).comparison.recorded
    assert recorded is not None
    assert [(each.rtp.packets, each.rtp.jitter_ms.max) for each in recorded] == [(2000, 0)] * 2


@pytest.mark.parametrize("limit", [EVERYTHING, 3000])
def test_streams_that_no_policy_changes_are_measured_once_and_right(limit: int) -> None:
    """The short cut has the numbers of measuring all that left."""
    frames = with_sip_over_udp()
    schedule = Schedule(400 * MS, 50 * MS, 5 * MS)
    simulation = simulate(frames, list(PRESETS.values()), schedule, limit, capture="x")
    for found, left in zip(simulation.comparison.outcomes, simulation.released, strict=True):
        whole = {each.ssrc: each.to_json() for each in rtp_streams(left, columns(left))}
        assert {each.rtp.ssrc: each.rtp.to_json() for each in found.streams} == whole


def test_held_sip_over_udp_has_its_own_delay() -> None:
    frames = with_sip_over_udp()
    schedule = Schedule(400 * MS, 0, 0)
    simulation = simulate(frames, list(PRESETS.values()), schedule, EVERYTHING, capture="x")
    # Sent at 0.5 s and 1 s; commits are at 0.8 s and 1.2 s.
    held = outcome(simulation, "real-time").sip_udp
    assert (held.frames, held.median, held.max) == (2, 250, 300)
    assert outcome(simulation, "tcp-only").sip_udp.max is None
    assert outcome(simulation, "real-time").tcp.frames == 4


def test_hazards_are_those_of_what_the_guest_sent() -> None:
    """The peer's frames are nobody's to hold."""
    simulation = simulate(
        with_sip_over_udp(),
        list(PRESETS.values()),
        Schedule(400 * MS, 0, 0),
        EVERYTHING,
        capture="x",
    )
    (hazard,) = outcome(simulation, "tcp-only").hazards
    assert (hazard.name, hazard.frames) == ("sip-over-udp", 2)
    assert hazard.flow == "udp 10.0.0.1:5060 > 10.0.0.2:40000"
    assert outcome(simulation, "real-time").hazards == ()


def quiet(count: int = 6, hours: int = 8) -> Frames:
    """A registration every eight hours."""
    sip = make.Flow("10.0.0.1", 5060, "10.0.0.2", 5060)
    message = by(GUEST, make.udp(b"REGISTER sip:x SIP/2.0\r\n\r\n", sip))
    step = hours * 3600 * 10**9
    return Frames.of([message] * count, [make.START_NS + n * step for n in range(count)])


def test_a_quiet_day_is_a_few_epochs_and_a_number() -> None:
    """Six packets in 40 hours were 246 MB of JSON, and 2.2 GB of memory."""
    schedule = Schedule(200 * MS, 50 * MS, 5 * MS)
    comparison = simulate(
        quiet(), list(PRESETS.values()), schedule, EVERYTHING, capture="day.pcap"
    ).comparison
    assert len(json.dumps(comparison.to_json())) < 20_000
    for outcome_ in comparison.outcomes:
        found: Any = outcome_.to_json()
        held = outcome_.output_commit.held
        assert len(found["epochs"]) == held
        assert found["quiet_epochs"] + held == len(outcome_.suspend_ns) > 500_000
        suspends = outcome_.suspend_ns.tolist()
        for epoch in found["epochs"]:
            assert epoch["suspend_ns"] in suspends


def test_epochs_of_a_busy_run_are_all_there() -> None:
    found: Any = outcome(simulated(), "hold-all").to_json()
    assert found["quiet_epochs"] == 0
    assert len(found["epochs"]) == len(outcome(simulated(), "hold-all").suspend_ns)


def test_a_merged_file_is_refused_with_the_frame_behind_its_gap() -> None:
    days = quiet(4, 24 * 30)
    with pytest.raises(InvalidInput, match="replays 1000000 at most; frame 2 comes .* 1-1 "):
        simulate(days, [PRESETS["tcp-only"]], Schedule(200 * MS, 0, 0), 1000, capture="x.pcap")
    numbers = np.array([3, 9, 10, 20])
    with pytest.raises(InvalidInput, match="frame 9 comes .* part.pcap 1-3 "):
        simulate(
            days,
            [PRESETS["tcp-only"]],
            Schedule(200 * MS, 0, 0),
            1000,
            capture="x",
            numbers=numbers,
        )
    turned = days.take(np.array([2, 3, 0, 1]))
    with pytest.raises(InvalidInput, match="out of order: reordercap 'x.pcap' ordered.pcap"):
        simulate(turned, [PRESETS["tcp-only"]], Schedule(200 * MS, 0, 0), 1000, capture="x.pcap")


def test_what_can_t_be_measured_is_in_the_notes() -> None:
    """VXLAN carries the call: there are no streams, and a sentence says why."""
    outer = make.Flow("10.0.0.1", 50_000, "10.0.0.2", 4789)
    vxlan = bytes.fromhex("0800000000002a00")
    frames = make.capture(
        (at, by(GUEST, make.udp(vxlan + frame, outer)))
        for at, frame in make.stream(make.steady(100), 1)
    )
    setting = simulate(
        frames,
        [PRESETS["tcp-only"]],
        Schedule(400 * MS, 0, 0),
        10**8,
        capture="x",
        notes=["read so"],
    ).comparison.setting
    assert setting.notes[0] == "read so"
    assert "100 frames of vxlan carry 1 RTP stream inside" in setting.notes[1]
    assert setting.to_json()["notes"] == list(setting.notes)


def test_a_call_over_loopback_has_a_guest() -> None:
    """tcpdump -i lo writes Ethernet headers of zeros."""
    flow = make.Flow("127.0.0.1", 6000, "127.0.0.1", 6002)
    timed = make.stream(make.steady(100, late_ms=0), 7, flow)
    frames = make.capture((at, bytes(12) + frame[12:]) for at, frame in timed)
    found = simulate(
        frames, [PRESETS["hold-all"]], Schedule(400 * MS, 0, 0), 10**8, capture="lo.pcap"
    ).comparison
    assert found.setting.guest == "127.0.0.1"
    assert guests(found.outcomes[0]).rtp.bursts.max == 20

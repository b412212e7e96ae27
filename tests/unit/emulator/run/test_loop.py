"""Frames one by one: the same numbers as in stretches, and what only a reaction shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from remusnet.emulator.machine.epochs import MostHeld
from remusnet.emulator.run import scenario_run
from remusnet.emulator.run.loop import Loop
from remusnet.emulator.run.stepwise import run_loop
from remusnet.policy.toml import load
from remusnet.results.comparison import Outcome
from remusnet.results.exchanges import Ended
from tests.unit.emulator.scenes import MS, S, outcome, scenario, scene

HELD = '[checkpoint]\nperiod = "400ms"\npause = "50ms"\ncommit-delay = "5ms"\n'


def stepwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the plug look too small, so that every frame is looked at alone."""
    monkeypatch.setattr(scenario_run, "most_rtp_held", lambda *_: MostHeld(2**40, 0))


RTP = {
    "a server": "[[calls]]\ncount = 2",
    "a relay": '[[calls]]\nguest = "relay"',
    "losing its primary": '[failure]\nat = "5.3s"\ndetection = "700ms"\narp = "100ms"\n[[calls]]',
    "a relay losing its primary": '[failure]\nat = "5.3s"\n[[calls]]\nguest = "relay"',
    "rolled back to nothing": '[failure]\nat = "0.3s"\n[[calls]]',
    "keeping the time of day": '[failure]\nat = "5.3s"\n[[calls]]\nclock = "wall"',
    "split in two": '[failure]\nat = "5.3s"\nkind = "split-brain"\nstale = "2s"\n[[calls]]',
    "a relay split in two": (
        '[failure]\nat = "5.3s"\nkind = "split-brain"\nswitch = "300ms"\n[[calls]]\nguest = "relay"'
    ),
    "failing in a pause": '[failure]\nat = "4.78s"\n[[calls]]',
    "going on from there": '[failure]\nat = "4.78s"\nrollback = false\n[[calls]]',
}


@pytest.mark.parametrize("policy", ["tcp-only", "hold-all"])
@pytest.mark.parametrize("kind", RTP)
def test_rtp_frame_by_frame_is_rtp_in_stretches(
    monkeypatch: pytest.MonkeyPatch, kind: str, policy: str
) -> None:
    text = HELD + '[network]\ndelay = "0"\n' + RTP[kind]
    fast = outcome(text, policy)
    stepwise(monkeypatch)
    slow = outcome(text, policy)
    assert len(fast.streams) == len(slow.streams)
    for one, other in zip(fast.streams, slow.streams, strict=True):
        assert one.series is not None
        assert other.series is not None
        for name in ("sent_ns", "left_ns", "arrived_ns", "sequence", "timestamp"):
            assert getattr(one.series, name).tolist() == getattr(other.series, name).tolist(), name
        assert one.origin == other.origin
    assert fast.output_commit == slow.output_commit
    assert scene(fast).counts == scene(slow).counts
    assert fast.output_commit.violations == 0


def test_a_plug_that_is_too_small_drops_and_rtp_joins_the_loop() -> None:
    found = outcome(HELD + "[vif]\nlimit = 1600\n[[calls]]", "hold-all")
    (stream, _) = found.streams
    assert stream.origin is not None
    assert stream.origin.lost_buffer == found.output_commit.dropped > 100
    assert stream.rtp.lost == pytest.approx(stream.origin.lost_buffer, abs=20)
    assert found.output_commit.violations == 0


def test_a_full_ring_stalls_media_that_bypasses() -> None:
    """What Remus's users saw: real-time packets that nothing holds wait behind held TCP.

    One connection has four segments in the host at most (TCP small queues); four fill eight slots.
    """
    bulk = (
        '[[calls]]\ndirection = "send"\n'
        '[[tcp]]\nkind = "bulk"\nresponse = 400000\ncount = 4\nspacing = "0ms"\n'
    )
    free = outcome(HELD + bulk)
    full = outcome(HELD + "[vif]\nring = 8\n" + bulk)
    assert scene(free).counts.ring_stalls == 0
    assert scene(full).counts.ring_stalls > 100
    assert scene(full).counts.ring_stall_max_ns > 200 * MS
    assert full.streams[0].rtp.jitter_ms.max > 2 * free.streams[0].rtp.jitter_ms.max
    assert full.output_commit.violations == 0


def transfer(found: Outcome, kind: str) -> tuple[float | None, int, int, Ended]:
    (one,) = (each for each in scene(found).transfers if each.kind == kind)
    return one.duration_ms, one.retransmissions, one.timeouts, one.ended


def test_a_transfer_takes_an_epoch_for_each_round_trip() -> None:
    """1 MB is seven round trips of slow start from ten segments; each waits for a commit."""
    network = '[network]\ndelay = "1ms"\n[[tcp]]\nkind = "bulk"\nresponse = 1000000\n'
    direct = transfer(outcome(network), "bulk")
    held = transfer(outcome(HELD + network), "bulk")
    assert direct[0] is not None
    assert held[0] is not None
    assert direct[0] < 30
    assert held[0] > 7 * 400
    assert direct[1:] == held[1:] == (0, 0, Ended.DONE)


def test_answers_are_timed_from_their_requests_and_the_set_up_is_not_theirs() -> None:
    asks = '[network]\ndelay = "1ms"\n[[tcp]]\nexchanges = 3\nthink = "100ms"\n'
    (direct,) = scene(outcome(asks)).transfers
    (held,) = scene(outcome(HELD + asks)).transfers
    assert direct.responses_ns == pytest.approx([2 * MS] * 3, abs=0.2 * MS)
    assert direct.duration_ms == pytest.approx(2 + 3 * 2 + 2 * 100, abs=1)
    # Requests that follow a commit wait for the next.
    assert len(held.responses_ns) == 3
    assert all(250 * MS < each < 405 * MS for each in held.responses_ns[1:])


def test_nagle_makes_it_ring_an_epoch_later() -> None:
    """The 180 waits for the acknowledgement of the 100 right before it, which is held."""
    text = HELD + '[network]\ndelay = "1ms"\n[[sip]]\ntransport = "tcp"\nstart = "10ms"\n'
    invite, bye = scene(outcome(text, duration="20s")).sip
    at_once, _ = scene(outcome(text + "[guest-tcp]\nnagle = false\n", duration="20s")).sip
    assert bye.ringing_ns is None
    assert invite.ringing_ns is not None
    assert at_once.ringing_ns is not None
    assert invite.ringing_ns - at_once.ringing_ns == pytest.approx(400 * MS, abs=3 * MS)


def test_held_acknowledgements_make_the_peer_send_again() -> None:
    """The handshake met a commit and was fast; what follows waits longer than its timer."""
    upload = (
        '[network]\ndelay = "1ms"\n'
        '[[tcp]]\nkind = "bulk"\nrequest = 60000\nresponse = 100\nstart = "742ms"\n'
    )
    duration, again, timeouts, ended = transfer(outcome(HELD + upload), "bulk")
    assert ended is Ended.DONE
    assert timeouts >= 1
    assert again >= 1
    assert duration is not None
    _, *others = transfer(outcome(upload), "bulk")
    assert others == [0, 0, Ended.DONE]


def test_held_sip_over_udp_is_sent_again_and_over_tcp_it_is_not() -> None:
    slow = '[checkpoint]\nperiod = "1200ms"\npause = "20ms"\n'
    sip = 'start = "100ms"\nregister = true\ncall = false\n'
    udp = scene(outcome(f'{slow}[[sip]]\ntransport = "udp"\n{sip}', "real-time")).sip
    tcp = scene(outcome(f'{slow}[[sip]]\ntransport = "tcp"\n{sip}', "real-time")).sip
    bypassed = scene(outcome(f'{slow}[[sip]]\ntransport = "udp"\n{sip}', "tcp-only")).sip
    assert [each.retransmissions for each in udp] == [2]
    assert [each.retransmissions for each in tcp] == [0]
    assert [each.retransmissions for each in bypassed] == [0]
    assert bypassed[0].duration_ms is not None
    assert bypassed[0].duration_ms < 1


def test_a_call_set_up_is_as_long_as_its_answer_and_its_holds() -> None:
    text = HELD + '[[sip]]\ntransport = "tcp"\nanswer = "1s"\nstart = "10ms"\n'
    (invite, bye) = scene(outcome(text, duration="30s")).sip
    assert (invite.name, bye.name) == ("INVITE", "BYE")
    assert invite.duration_ms is not None
    # The answer comes 1 s after an INVITE that came at once, and waits for its commit.
    assert 1000 <= invite.duration_ms <= 1000 + 400 + 55
    assert invite.start_ns % (400 * MS) == pytest.approx(0, abs=1 * MS)


def test_all_transports_do_all_there_is() -> None:
    for transport in ("udp", "tcp", "tls"):
        for client in ("peer", "guest"):
            text = (
                f'{HELD}[[sip]]\ntransport = "{transport}"\nclient = "{client}"\n'
                'register = true\nre-invite = "2s"\ntalk = "4s"\n'
            )
            found = scene(outcome(text, "real-time", "30s")).sip
            assert [each.name for each in found] == ["REGISTER", "INVITE", "re-INVITE", "BYE"]
            assert {each.ended for each in found} == {Ended.DONE}


FAILURE = '[failure]\nat = "2.1s"\ndetection = "500ms"\narp = "50ms"\nswitch = "50ms"\n'


@pytest.mark.parametrize("policy", ["tcp-only", "hold-all", "real-time"])
def test_a_held_connection_survives_the_failure(policy: str) -> None:
    """Why TCP is held at all: no peer has seen what the backup does not remember."""
    text = HELD + FAILURE + '[network]\ndelay = "2ms"\n'
    text += '[[tcp]]\nexchanges = 30\nthink = "20ms"\nclient = "peer"\n'
    found = outcome(text, policy, "60s")
    (one,) = scene(found).transfers
    assert one.ended is Ended.DONE
    assert one.bytes == 30 * 2200
    assert scene(found).counts.lost_failure > 0


def test_what_is_not_held_may_never_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer has an answer that the backup never gave: output commit, broken, on purpose."""
    monkeypatch.setattr(scenario_run, "run_loop", _with_nothing_held(run_loop))
    text = HELD + FAILURE + '[network]\ndelay = "2ms"\n'
    text += '[[tcp]]\nexchanges = 500\nthink = "5ms"\n'
    found = outcome(text, "tcp-only", "60s")
    (one,) = scene(found).transfers
    assert one.ended is not Ended.DONE


def _with_nothing_held(with_policy: Callable[..., Loop]) -> Callable[..., Loop]:
    bypass = load('name = "bypass-all"\ndefault = "bypass"\n', "bypass.toml")

    def unheld(*arguments: Any, **options: Any) -> Loop:
        *others, _policy = arguments
        return with_policy(*others, bypass, **options)

    return unheld


def test_held_sip_survives_the_failure_too() -> None:
    text = HELD + FAILURE + '[[sip]]\ntransport = "tcp"\ntalk = "5s"\nclient = "peer"\n'
    found = scene(outcome(text, "tcp-only", "60s")).sip
    assert [each.ended for each in found] == [Ended.DONE, Ended.DONE]


def test_a_stale_primary_goes_on_with_what_bypasses_and_only_that() -> None:
    split = '[failure]\nat = "4s"\nkind = "split-brain"\nstale = "3s"\ndetection = "500ms"\n'
    calls = '[[calls]]\ndirection = "send"\n'
    (media,) = outcome(HELD + split + calls, "tcp-only").streams
    (held,) = outcome(HELD + split + calls, "hold-all").streams
    assert media.rtp.duplicates > 100
    assert media.origin is not None
    assert media.origin.index_reuse >= media.rtp.duplicates
    assert held.rtp.duplicates == 0


def test_dns_is_asked_again_and_an_echo_is_not() -> None:
    lost = '[network]\nloss = 100\n[[dns]]\ntries = 3\nretry = "1s"\n[[icmp]]\ncount = 1\n'
    found = outcome(lost)
    by_kind = {each.kind: each for each in scene(found).transfers}
    assert by_kind["dns"].ended is Ended.TIMEOUT
    assert (by_kind["dns"].retransmissions, by_kind["dns"].timeouts) == (2, 2)
    assert by_kind["icmp"].ended is Ended.UNFINISHED


def test_a_lookup_is_held_where_the_policy_holds_it() -> None:
    text = HELD + '[[dns]]\nclient = "guest"\nstart = "100ms"\n'
    assert outcome(text, "tcp-only").output_commit.held == 0
    assert outcome(text, "real-time").output_commit.held == 1
    assert outcome(text, "hold-all").output_commit.held == 1


@pytest.mark.parametrize(("kind", "held"), [("gre", 0), ("ipip", 0), ("vxlan", 0), ("esp", 0)])
def test_a_tunnel_bypasses_under_tcp_only_whatever_is_in_it(kind: str, held: int) -> None:
    text = f'{HELD}[[tunnels]]\nkind = "{kind}"\ninner = "tcp"\ncount = 5\n'
    assert outcome(text, "tcp-only").output_commit.held == held
    assert outcome(text, "real-time").output_commit.held == 5
    assert outcome(text, "tcp-only").output_commit.bypassed == 5


def test_a_slow_link_spreads_a_burst() -> None:
    """A frame of 214 bytes takes 17.12 ms at 100 kbit/s: 20 of them nearly fill 400 ms."""
    text = '[network]\nrate = "100kbit"\n[[calls]]\ndirection = "send"\n'
    (stream,) = outcome(HELD + text, "hold-all").streams
    assert stream.series is not None
    gaps = np.diff(np.sort(stream.series.arrived_ns))
    assert gaps.min() == 214 * 8 * S // 100_000
    assert stream.rtp.lost == 0


def test_frames_behind_a_lost_primary_find_nobody() -> None:
    found = outcome(HELD + '[failure]\nat = "5s"\ndetection = "1s"\n[[calls]]\n', "tcp-only")
    up, down = found.streams
    assert up.origin is not None
    assert down.origin is not None
    assert (down.rtp.lost, down.origin.lost_failure) == (50, 50)


def test_jitter_lets_no_frame_of_a_flow_overtake_another_unless_it_may() -> None:
    noisy = '[network]\nrate = "1gbit"\ndelay = "50ms"\njitter = "30ms"\n'
    kept = outcome(noisy + "[[calls]]").streams[0].rtp
    mixed = outcome(noisy + "reorder = true\n[[calls]]").streams[0].rtp
    assert kept.reordered == 0
    assert mixed.reordered > 50
    assert mixed.lost == 0  # reordering is no loss


def test_the_scenarios_own_endpoints_are_not_used_up() -> None:
    found = scenario(HELD + "[[sip]]\n[[tcp]]")
    assert scene(outcome(found)).sip == scene(outcome(found)).sip

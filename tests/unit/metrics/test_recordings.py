"""What people record every day, with what is right of it and the RFC that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.emulator.run.recordings import simulate
from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.frames import Frames
from remusnet.metrics.arrivals import Bursts, Jitter
from remusnet.metrics.emodel import DEFAULT_R, mos
from remusnet.metrics.payload_types import Medium, RateSource
from remusnet.policy import PRESETS
from remusnet.results.stream import Stream, voices
from remusnet.scenario.scenario_file import load
from remusnet.schedule import Schedule
from tests.lib.long import count
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import MS, Flow, Packet, key_press, steady

SIP = Flow("10.0.0.2", 5060, "10.0.0.1", 5060)
BEST = mos(DEFAULT_R)


def streams(frames: Frames, policy: str = "tcp-only", pause_ms: int = 0) -> list[Stream]:
    """As ``simulate --capture`` measures them; without a pause what bypasses is as recorded."""
    schedule = Schedule(200 * MS, pause_ms * MS, 5 * MS)
    done = simulate(frames, [PRESETS[policy]], schedule, 10**8, capture="x", guest="10.0.0.1")
    return list(done.comparison.outcomes[0].streams)


def recorded(packets: Iterable[Packet], *others: make.Timed, policy: str = "tcp-only") -> Stream:
    """The one stream of a capture."""
    (stream,) = streams(make.capture([*make.stream(packets, 7), *others]), policy)
    return stream


def announced(*rtpmaps: str, medium: bytes = b"audio") -> make.Timed:
    text = make.invite(make.sdp("10.0.0.2", 20002, rtpmaps).replace(b"m=audio", b"m=" + medium))
    return -MS, make.udp(text, SIP)


def perfect(stream: Stream) -> bool:
    """Nothing missing, through either buffer."""
    found = voices(stream)
    assert len(found) == 2
    return all(v.missing_percent == v.late_percent == 0 and v.mos == BEST for v in found)


# -- RFC 4733: telephone events ------------------------------------------------


def dialled(*, beside: bool = False) -> list[Packet]:
    """1,000 packets; of every 250 a key of 400 ms, instead of audio or beside it."""
    found: list[Packet] = []
    sequence = 65_000
    for n in range(1000):
        at_ns, tick, start = n * 20 * MS, 160 * n, n // 250 * 250 + 200
        pressed = start <= n < start + 20
        if pressed:
            body = key_press(160 * (n - start + 1))
            event = Packet(at_ns + 1000 * beside, 0, 160 * start, make.EVENT, n == start, body)
            found.append(event)
            if n == start + 19:  # its end is sent three times (2.5.1.4)
                last = key_press(3200, end=True)
                found += [
                    replace(event, at_ns=at_ns + copy * MS // 2, marker=False, body=last)
                    for copy in (1, 2, 3)
                ]
        if beside or not pressed:
            found.append(Packet(at_ns, 0, tick))
    ordered = make.in_order(found)
    return [replace(p, sequence=(sequence + n) % 2**16) for n, p in enumerate(ordered)]


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("sdp", [True, False])
def test_a_perfect_call_stays_perfect_while_its_caller_dials(beside: bool, sdp: bool) -> None:
    """RFC 4733, 2.2.1: packets of one event share a timestamp. It was MOS 3.37, 7.5 % missing."""
    sip = [announced("101 telephone-event/8000")] if sdp else []
    stream = recorded(dialled(beside=beside), *sip)
    assert perfect(stream)
    assert stream.rtp.jitter_ms == Jitter(0, 0)
    assert stream.rtp.bursts == Bursts(1, 1)
    assert stream.rtp.lost == 0
    events = stream.rtp.events
    assert events is not None
    assert (events.count, events.packets) == (4, 4 * 23)
    # The first copy of an end comes 0.5 ms after the packet before, which has the same duration.
    assert 0 < events.jitter_ms.max < 0.1
    assert any("RFC 4733" in note for note in stream.rtp.notes)


def test_lost_key_presses_are_lost_packets_but_no_missing_speech_beside_audio() -> None:
    kept = [p for n, p in enumerate(dialled(beside=True)) if p.payload_type != 101 or n % 5]
    stream = recorded(kept, announced("101 telephone-event/8000"))
    assert stream.rtp.lost > 10
    fixed, _ = voices(stream)
    # Nobody can tell what a packet that never came was: each counts as sound, once.
    assert fixed.missing_percent == pytest.approx(100 * stream.rtp.lost / 1018, rel=0.1)


def test_encrypted_key_presses_have_no_jitter_of_their_own() -> None:
    """SRTP (RFC 3711): a tag of ten bytes, and a duration that nobody can read."""
    sealed = [
        replace(p, body=p.body + bytes(10)) if p.payload_type == make.EVENT else p
        for p in dialled()
    ]
    stream = recorded(sealed, announced("101 telephone-event/8000"))
    assert perfect(stream)
    assert stream.rtp.events is not None
    assert not stream.rtp.events.jitter_ms.known


def test_four_bytes_that_are_no_key_are_a_codec() -> None:
    """A type without SDP is taken for events only where every packet of it can be one."""
    odd = [replace(p, payload_type=96, body=bytes([200, 1, 2, 3])) for p in steady()[300:]]
    stream = recorded([*steady()[:300], *odd])
    assert stream.rtp.events is None


# -- RFC 3550, A.1: a sender that begins anew ----------------------------------


def jumped(packets: list[Packet], at: int, ticks: int, numbers: int = 0) -> list[Packet]:
    return [
        replace(
            p,
            timestamp=(p.timestamp + ticks * (n >= at)) % 2**32,
            sequence=(p.sequence + numbers * (n >= at)) % 2**16,
        )
        for n, p in enumerate(packets)
    ]


@pytest.mark.parametrize("policy", ["tcp-only", "hold-all"])
@pytest.mark.parametrize("ticks", [1_500_000_000, -1_500_000_000, 2**31, 20_000, -20_000])
@pytest.mark.parametrize("numbers", [0, 39_150, -20_000])
def test_one_jump_of_the_timestamps_says_nothing_of_the_network(
    ticks: int, numbers: int, policy: str
) -> None:
    """It was a jitter of 125,083 ms; 20,000 ticks are 2.5 s, forwards and backwards alike."""
    plain = recorded(steady(1500), policy=policy)
    stream = recorded(jumped(steady(1500), 750, ticks, numbers), policy=policy)
    assert stream.rtp.jitter_ms.mean == pytest.approx(plain.rtp.jitter_ms.mean, rel=0.02)
    assert stream.rtp.jitter_ms.max == pytest.approx(plain.rtp.jitter_ms.max, rel=0.05)
    assert stream.rtp.lost == 0
    for heard, expected in zip(voices(stream), voices(plain), strict=True):
        assert heard.missing_percent == pytest.approx(expected.missing_percent, abs=0.3)
    restarts = stream.rtp.sequence.restarts
    assert (restarts, stream.rtp.timestamp_jumps) == ((1, 0) if numbers else (0, 1))
    assert sum("RFC 3550, A.1" in note for note in stream.rtp.notes) == 1


def test_every_jump_is_counted() -> None:
    packets = steady(1000)
    for at in (100, 300, 301, 800):
        packets = jumped(packets, at, 1_000_000_007)
    stream = recorded(packets)
    assert stream.rtp.timestamp_jumps == 4
    assert stream.rtp.jitter_ms.max < 4


@pytest.mark.parametrize("period_ms", [400, 5_000, 50_000])
def test_a_stream_that_is_held_however_long_has_no_jumps(period_ms: int) -> None:
    """Nor do its bursts: what waited is late, and no packet comes before its time."""
    packets = [p for n, p in enumerate(steady(10_000, late_ms=0)) if n % 700 < 500]  # silences
    spoken = [replace(p, sequence=n % 2**16) for n, p in enumerate(packets)]
    stream = recorded(make.held(spoken, period_ms))
    assert stream.rtp.timestamp_jumps == 0
    assert stream.rtp.jitter_ms.max > 40


def test_a_server_whose_clock_stood_still_for_an_outage_has_no_jump() -> None:
    late = [replace(p, at_ns=p.at_ns + 1000 * MS * (n >= 300)) for n, p in enumerate(steady())]
    stream = recorded(late)
    assert stream.rtp.timestamp_jumps == 0
    assert stream.rtp.jitter_ms.max > 62


def test_a_call_on_hold_whose_clock_stood_still_begins_anew() -> None:
    late = [replace(p, at_ns=p.at_ns + 100_000 * MS * (n >= 300)) for n, p in enumerate(steady())]
    stream = recorded(late)
    assert stream.rtp.timestamp_jumps == 1
    assert stream.rtp.jitter_ms.max < 4


@given(
    st.lists(st.tuples(st.integers(1, 599), st.integers(-(2**31), 2**31 - 1)), max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_jumps_anywhere_leave_less_jitter_than_one_of_them_would_make(
    jumps: list[tuple[int, int]], first: int
) -> None:
    packets = steady(first_timestamp=first)
    for at, ticks in jumps:
        packets = jumped(packets, at, ticks)
    stream = recorded(packets)
    # What is below 2 s is jitter: each makes a sixteenth of it, and here up to four at once.
    assert stream.rtp.jitter_ms.max <= 4 * 2_100 / 16 + 4
    assert np.isfinite(stream.rtp.jitter_ms.mean)


# -- RFC 3551 and RFC 8866: clocks and names -----------------------------------

RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 90_000)


def paced(rate: int, packets: int = 600) -> list[Packet]:
    """Every 20 ms, timestamps rounded down."""
    return [
        Packet(n * 20 * MS, n + 1, int(rate * n / 50), payload_type=110) for n in range(packets)
    ]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("policy", ["tcp-only", "hold-all"])
def test_a_clock_that_nothing_describes_is_told_by_its_pace(rate: int, policy: str) -> None:
    """Under each policy the same one: it is the recording's."""
    stream = recorded(paced(rate), policy=policy)
    assert (stream.rtp.clock_rate, stream.rtp.clock_rate_source) == (rate, RateSource.ESTIMATED)


@pytest.mark.parametrize("rate", RATES)
def test_a_clock_is_told_behind_bursts_jumps_and_silences_too(rate: int) -> None:
    """A median: one jump of 1,500,000,000 ticks made any sum a fantasy."""
    held = make.held(paced(rate), 400)
    for packets in (held, jumped(paced(rate), 200, 1_500_000_000), jumped(held, 333, 99_999_999)):
        assert recorded(packets).rtp.clock_rate == rate
    spoken = [p for n, p in enumerate(paced(rate, 1500)) if n % 130 < 50]
    spoken = [replace(p, sequence=n + 1) for n, p in enumerate(spoken)]
    assert recorded(spoken).rtp.clock_rate == rate


@pytest.mark.parametrize("seed", range(count(sample=10, long=500)))
def test_a_guess_is_right_or_null_never_another_number(seed: int) -> None:
    """Short streams, held ones, with losses and jitter."""
    rng = np.random.default_rng(seed)
    rate = RATES[seed % len(RATES)]
    length = int(rng.integers(4, 400))
    late = rng.integers(0, 30 * MS, length)
    packets = [replace(p, at_ns=p.at_ns + int(late[n])) for n, p in enumerate(paced(rate, length))]
    packets = [p for p in make.in_order(packets) if rng.random() > 0.1 or p.sequence < 3]
    if seed % 2:
        packets = make.held(packets, 400)
    for stream in streams(make.capture(make.stream(packets, seed))):
        assert stream.rtp.clock_rate in (rate, None), f"seed {seed}"


# -- RFC 3389: comfort noise, silence that was meant ---------------------------


def test_silence_that_was_meant_is_not_missing_from_an_adaptive_buffer() -> None:
    """It began anew at 60 ms after each, and called the 40 ms missing: 1.5 %, MOS 4.3."""
    text = """
    name = "vad"
    duration = "60s"
    [[calls]]
    count = 5
    direction = "send"
    vad = true
    """
    (outcome,) = run_scenario(load(text, "vad.toml"), [PRESETS["tcp-only"]]).comparison.outcomes
    assert len(outcome.streams) == 5
    assert all(perfect(stream) for stream in outcome.streams)


@pytest.mark.parametrize("noise", [False, True])
def test_silence_in_a_recording_is_not_missing_either(noise: bool) -> None:
    """With a packet of comfort noise at its beginning, as RFC 3389 has it, and without."""
    spoken = [p for n, p in enumerate(steady(3000, late_ms=1)) if n % 150 < 50 + noise]
    if noise:
        spoken = [
            replace(p, payload_type=make.COMFORT_NOISE, body=b"\x40") if n % 51 == 50 else p
            for n, p in enumerate(spoken)
        ]
    stream = recorded([replace(p, sequence=n + 1) for n, p in enumerate(spoken)])
    assert perfect(stream)
    assert stream.rtp.timestamp_jumps == 0


# -- Video: G.107 is of speech -------------------------------------------------


def film() -> list[Packet]:
    """25 frames a second of six packets; each 50th has 60, paced over 180 ms; one in 350 lost."""
    found, sequence = [], 0
    for n in range(500):
        key = n % 50 == 0
        for k in range(60 if key else 6):
            sequence += 1
            if not (n % 50 == 25 and k == 3):
                at_ns = n * 40 * MS + k * (3 if key else 1) * MS
                found.append(Packet(at_ns, sequence, 3600 * n, 96, k == 5))
    return make.in_order(found)


@pytest.mark.parametrize("sdp", [True, False])
def test_video_has_no_mos_and_a_frame_of_many_packets_is_no_burst(sdp: bool) -> None:
    """It was MOS 2.65, 11.3 % of speech missing, bursts of 84."""
    sip = [announced("96 H264/90000", medium=b"video")] if sdp else []
    stream = recorded(film(), *sip)
    assert stream.rtp.medium is Medium.VIDEO
    assert voices(stream) == ()
    assert stream.rtp.bursts == Bursts(1, 1)
    assert stream.rtp.lost == 10
    assert any("G.107" in note for note in stream.rtp.notes)


def test_held_video_has_bursts_of_frames() -> None:
    (stream,) = streams(make.capture(make.stream(film(), 7)), "hold-all")
    # 205 ms of 40 ms each.
    assert stream.rtp.bursts.median == 5
    assert stream.rtp.bursts.max <= 6


def test_text_has_no_mos() -> None:
    """RFC 4103: T.140 over RTP."""
    stream = recorded(steady(step=20, payload_type=98), announced("98 t140/1000", medium=b"text"))
    assert stream.rtp.medium is Medium.TEXT
    assert voices(stream) == ()


# -- A mirror port ------------------------------------------------------------


def test_what_a_mirror_port_copies_is_no_burst() -> None:
    twice = make.in_order(
        [q for p in steady(late_ms=0) for q in (p, replace(p, at_ns=p.at_ns + 5_000))]
    )
    stream = recorded(twice)
    assert stream.rtp.bursts == Bursts(1, 1)
    assert stream.rtp.duplicates == 600
    assert any("mirror" in note for note in stream.rtp.notes)
    assert perfect(stream)

"""RTP streams of captures, whole."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.arrivals import Bursts, Jitter
from remusnet.metrics.closed_forms import held_mean
from remusnet.metrics.payload_types import Medium, PayloadType, RateSource
from remusnet.metrics.rtp import RtpStream, rtp_streams
from remusnet.metrics.telephone_events import TelephoneEvents
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import MS, Flow, Packet, steady

SIP = Flow("10.0.0.2", 5060, "10.0.0.1", 5060)


def measured(packets: Iterable[Packet], *others: make.Timed) -> RtpStream:
    """The one stream of a capture."""
    frames = make.capture([*make.stream(packets, 0xBEEF), *others])
    (stream,) = rtp_streams(frames, columns(frames))
    return stream


def test_json_has_what_scripts_rely_on() -> None:
    found = json.loads(json.dumps(measured(make.held(steady(2000, late_ms=0), 400)).to_json()))
    assert found["ssrc"] == "0x0000beef"
    assert found["flow"] == "udp 10.0.0.1:20000 > 10.0.0.2:20002"
    assert (found["packets"], found["lost"]) == (2000, 0)
    assert found["jitter_ms"]["mean"] == pytest.approx(held_mean(400), rel=0.03)
    assert found["jitter_ms"]["max"] == pytest.approx(51.0, abs=0.1)
    assert found["burst"] == {"median": 20, "max": 20}
    assert found["interarrival_ms"]["max"] == pytest.approx(400, abs=0.1)
    assert found["payload_types"] == [
        {
            "number": 8,
            "encoding": "PCMA",
            "clock_rate": 8000,
            "source": "static",
            "medium": "audio",
        }
    ]
    assert (found["clock_rate"], found["clock_rate_source"]) == (8000, "static")
    assert found["first_ns"] == make.START_NS
    # 1,999 packets after the first one, the last 19 of them in the commit at 40 s.
    assert found["last_ns"] == make.START_NS + 40_000 * MS + 18 * 5_000
    assert found["notes"] == []


def test_an_even_stream_has_neither_jitter_nor_bursts() -> None:
    stream = measured(steady(late_ms=0))
    assert stream.jitter_ms.max == 0
    assert stream.bursts == Bursts(1, 1)
    assert stream.ptime_ms == 20
    assert stream.interarrival_ms is not None
    assert stream.interarrival_ms.p50 == stream.interarrival_ms.max == 20


def test_the_series_has_a_value_for_each_packet() -> None:
    stream = measured(steady(100))
    assert len(stream.jitter_series_ms) == len(stream.frames) == len(stream.arrival_ns) == 100
    assert stream.jitter_series_ms[0] == 0
    assert stream.jitter_ms.max == stream.jitter_series_ms.max()
    assert stream.jitter_ms.mean == stream.jitter_series_ms[1:].mean()


def test_an_outage_shows_in_loss_and_gap_where_jitter_is_blind() -> None:
    """Mistake: an outage of a second that left the call's score untouched."""
    stream = measured(make.outage(steady(late_ms=0)))
    assert stream.jitter_ms.max == 0
    assert stream.lost == 50
    assert stream.interarrival_ms is not None
    assert stream.interarrival_ms.max == 1020


def test_a_rollback_shows_81_ms_and_15_copies() -> None:
    """The backup sends 15 packets again, 1 s after the primary fell silent."""
    stream = measured(make.rolled_back(steady(late_ms=0)))
    assert (stream.lost, stream.duplicates) == (0, 15)
    # From one packet to the next 1,020 ms of time and -280 ms of timestamps: D is 1,300 ms.
    assert stream.jitter_ms.max == pytest.approx(1300 / 16)


def test_packets_that_only_arrive_late_are_not_lost() -> None:
    stream = measured(make.swapped(steady()))
    assert (stream.lost, stream.duplicates, stream.reordered) == (0, 0, 35)


def test_telephone_events_follow_the_rfc() -> None:
    """RFC 4733, 2.2.1: they repeat a timestamp, and that is neither late sound nor jitter."""
    stream = measured(make.with_events(steady(late_ms=0)))
    event = next(kind for kind in stream.payload_types if kind.number == make.EVENT)
    assert event == PayloadType(
        101, "telephone-event", 8000, RateSource.ASSUMED, Medium.AUDIO, is_event=True
    )
    assert stream.clock_rate_source is RateSource.STATIC
    assert stream.jitter_ms == Jitter(0, 0)
    assert stream.events == TelephoneEvents(packets=15 * 8, count=15, jitter_ms=Jitter(0, 0))


def test_comfort_noise_counts_as_any_packet() -> None:
    plain = measured(steady()).jitter_ms
    assert measured(make.with_comfort_noise(steady())).jitter_ms == plain


def test_markers_change_nothing() -> None:
    marked = [replace(packet, marker=n % 2 == 0) for n, packet in enumerate(steady())]
    assert measured(marked).jitter_ms == measured(steady()).jitter_ms


def announced(rtpmaps: list[str], over: str) -> list[make.Timed]:
    text = make.invite(make.sdp("10.0.0.2", 20002, rtpmaps))
    if over == "udp":
        return [(-MS, make.udp(text, SIP))]
    cut = text.index(b"rtpmap") + 4
    return [
        (-2 * MS, make.tcp(text[:cut], 7, SIP)),
        (-1 * MS, make.tcp(text[cut:], 7 + cut, SIP)),
    ]


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_sdp_gives_the_clock_rate_of_a_dynamic_type(over: str) -> None:
    opus = steady(step=480, payload_type=97)
    stream = measured(opus, *announced(["97 L16/24000"], over))
    assert stream.payload_types == (PayloadType(97, "L16", 24000, RateSource.SDP),)
    assert stream.jitter_ms.max < 4
    assert stream.ptime_ms == 20
    assert stream.notes == ()


def test_sdp_does_not_redefine_a_static_type() -> None:
    """Phones announce G722/16000 although its clock is 8000 (RFC 3551, 4.5.2)."""
    rtpmaps = ["9 G722/16000", "101 telephone-event/8000"]
    stream = measured(make.with_events(steady(payload_type=9)), *announced(rtpmaps, "udp"))
    assert stream.payload_types == (
        PayloadType(9, "G722", 8000, RateSource.STATIC),
        PayloadType(101, "telephone-event", 8000, RateSource.SDP, is_event=True),
    )


@pytest.mark.parametrize(("step", "rate"), [(160, 8000), (320, 16000), (960, 48000), (1800, 90000)])
def test_without_sdp_the_clock_rate_is_estimated_and_a_note_says_so(step: int, rate: int) -> None:
    stream = measured(steady(step=step, payload_type=96))
    assert (stream.clock_rate, stream.clock_rate_source) == (rate, RateSource.ESTIMATED)
    assert stream.notes[0].startswith(f"payload type 96: no SDP, clock rate {rate} Hz estimated")
    assert len(stream.notes) == (2 if rate == 90_000 else 1)


def test_an_estimate_survives_a_held_stream() -> None:
    stream = measured(make.held(steady(step=960, payload_type=96, late_ms=0), 400))
    assert stream.clock_rate == 48000
    assert stream.bursts.max == 20


@pytest.mark.parametrize("step", [0, 1, 200])
def test_a_pace_that_fits_no_clock_rate_leaves_it_unknown_and_never_a_number(step: int) -> None:
    stream = measured(steady(step=step, payload_type=96))
    assert (stream.clock_rate, stream.clock_rate_source) == (None, RateSource.UNKNOWN)
    found = json.loads(json.dumps(stream.to_json(), allow_nan=False))
    assert found["clock_rate"] is found["ptime_ms"] is None
    assert found["jitter_ms"] == {"mean": None, "max": None}
    assert found["payload_types"][0]["clock_rate"] is None
    assert found["notes"] == [
        "payload type 96: no SDP, and its clock rate can't be told: no jitter, no MOS"
    ]


def test_all_packets_at_one_instant_are_no_division_by_zero() -> None:
    assert measured([replace(packet, at_ns=0) for packet in steady(50)]).bursts.max == 50
    unnamed = measured([replace(packet, at_ns=0) for packet in steady(50, payload_type=96)])
    assert unnamed.clock_rate_source is RateSource.UNKNOWN


def test_a_change_of_clock_rate_makes_no_jump_and_a_note() -> None:
    first = steady(300, late_ms=0)
    second = [
        replace(p, payload_type=10, timestamp=2**31 + n * 882)
        for n, p in enumerate(steady(600, late_ms=0)[300:])
    ]
    stream = measured([*first, *second])
    assert stream.jitter_ms.max == pytest.approx(0, abs=1e-9)
    assert [kind.clock_rate for kind in stream.payload_types] == [8000, 44100]
    assert stream.notes == ("clock rates differ: no jitter is counted from one to the other",)


def test_video_frames_of_many_packets_have_the_frame_s_interval() -> None:
    """Packets of one frame share a timestamp; the interval is from frame to frame."""
    packets = [
        Packet(n // 5 * 40 * MS + n % 5 * 10_000, n, n // 5 * 3600, make.H263) for n in range(500)
    ]
    stream = measured(packets)
    assert stream.ptime_ms == 40
    assert stream.bursts == Bursts(1, 1)


def test_a_repeated_timestamp_alone_gives_no_packet_interval() -> None:
    stream = measured([replace(packet, timestamp=5) for packet in steady(50)])
    assert stream.ptime_ms is None
    assert stream.to_json()["ptime_ms"] is None
    assert stream.bursts == Bursts(1, 1)


def test_a_capture_out_of_time_order_is_measured_in_time_order() -> None:
    frames = make.capture(make.stream(steady(), 1))
    turned = frames.take(np.random.default_rng(1).permutation(len(frames)))
    (straight,) = rtp_streams(frames, columns(frames))
    (sorted_,) = rtp_streams(turned, columns(turned))
    assert straight.to_json() == sorted_.to_json()


@pytest.mark.slow
def test_a_capture_of_150_000_packets_takes_a_moment() -> None:
    frames = make.capture(
        timed
        for n in range(20)
        for timed in make.stream(steady(7_500), n, Flow(sport=20_000 + 2 * n))
    )
    facts = columns(frames)
    begin = time.process_time()  # others may use the processor meanwhile
    streams = rtp_streams(frames, facts)
    took = time.process_time() - begin
    assert len(streams) == 20
    # About 0.1 s on two old cores; tshark takes 3 s for its statistics.
    assert took < 1


def test_random_bytes_never_raise() -> None:
    """2,000 frames of a call, each damaged in one place."""
    chance = np.random.default_rng(7)
    frames = make.capture([*announced(["97 opus/48000"], "tcp"), *make.stream(steady(2000), 1)])
    data = frames.data.copy()
    where = frames.offset + chance.integers(0, 60, len(frames)) % frames.caplen
    data[where] = chance.integers(0, 256, len(frames))
    damaged = Frames(data, frames.offset, frames.caplen, frames.length, frames.time_ns)
    streams = rtp_streams(damaged, columns(damaged))
    assert streams
    for stream in streams:
        json.dumps(stream.to_json(), allow_nan=False)

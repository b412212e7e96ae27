"""Which frames are RTP, and which of them make a stream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.rtp_packets import RtpPackets, rtp_packets, split_streams
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import Flow, Packet, steady


def found(frames: Frames) -> RtpPackets:
    return rtp_packets(frames, columns(frames))


def streams(frames: Frames) -> list[RtpPackets]:
    facts = columns(frames)
    return split_streams(rtp_packets(frames, facts), facts)


def test_the_fixed_header_is_read() -> None:
    packet = Packet(7, 65_535, 2**32 - 1, 127, marker=True)
    read = found(make.capture(make.stream([packet], 0xFEDCBA98)))
    assert read.frame.tolist() == [0]
    assert read.arrival_ns.tolist() == [make.START_NS + 7]
    assert read.sequence.tolist() == [65_535]
    assert read.timestamp.tolist() == [2**32 - 1]
    assert read.ssrc.tolist() == [0xFEDCBA98]
    # A marked 64 to 95 would be RTCP; 127 is not.
    assert read.payload_type.tolist() == [127]


@pytest.mark.parametrize(
    ("payload", "flow"),
    [
        (bytes([0x40]) + bytes(19), Flow()),
        (bytes([0xC0]) + bytes(19), Flow()),
        (bytes([0x80, 200]) + bytes(26), Flow()),
        (bytes([0x80]) + bytes(10), Flow()),
        (bytes([0x80]) + bytes(19), Flow(dport=53)),
        (bytes([0x80]) + bytes(19), Flow(sport=1023)),
    ],
    ids=["version 1", "version 3", "RTCP", "11 bytes", "to DNS", "from a system port"],
)
def test_what_is_no_rtp_is_left_out(payload: bytes, flow: Flow) -> None:
    assert len(found(Frames.of([make.udp(payload, flow)]))) == 0


def test_a_header_that_was_not_captured_whole_is_left_out() -> None:
    frame = make.stream(steady(1), 1)[0][1]
    for captured, packets in ((42 + 11, 0), (42 + 12, 1)):
        frames = Frames.of([frame[:captured]], length=[len(frame)])
        assert len(found(frames)) == packets


def test_no_frames_hold_no_streams() -> None:
    assert streams(Frames.of([])) == []
    assert streams(Frames.of([make.tcp(b"x" * 40, 1, Flow())])) == []


def test_order_of_arrival_is_order_of_time_and_then_of_the_file() -> None:
    frames = make.capture(make.stream(steady(4), 1))
    shuffled = frames.take(np.array([2, 0, 3, 1]))
    assert found(shuffled).frame.tolist() == [1, 3, 0, 2]
    together = shuffled.at(np.zeros(4, np.int64))
    assert found(together).frame.tolist() == [0, 1, 2, 3]


def test_streams_are_told_apart_by_flow_and_by_ssrc() -> None:
    flows = [Flow(), replace(Flow(), sport=30_000), Flow("2001:db8::1", 20_000, "2001:db8::2")]
    timed = [
        timed
        for n, (flow, ssrc) in enumerate((flow, ssrc) for flow in flows for ssrc in (1, 2))
        for timed in make.stream([replace(p, at_ns=p.at_ns + n) for p in steady(50)], ssrc, flow)
    ]
    parts = streams(make.capture(timed))
    assert [len(part) for part in parts] == [50] * 6
    assert [int(part.ssrc[0]) for part in parts] == [1, 2] * 3


def test_streams_are_in_order_of_their_first_packets() -> None:
    late = [replace(p, at_ns=p.at_ns + make.MS * 5) for p in steady(10, late_ms=0)]
    timed = [*make.stream(late, 1), *make.stream(steady(10, late_ms=0), 2)]
    assert [int(part.ssrc[0]) for part in streams(make.capture(timed))] == [2, 1]


@pytest.mark.parametrize(
    ("sequences", "plausible"),
    [
        ([1, 2, 3], True),
        ([1, 2], False),
        ([1, 3, 5, 7], False),
        ([7, 7, 7, 7], False),
        ([3, 2, 1], False),
        ([9, 50, 65_535, 0], True),
        ([1, 1, 2, 2], True),
    ],
)
def test_a_stream_has_three_packets_and_two_that_count_on(
    sequences: list[int], plausible: bool
) -> None:
    packets = [Packet(n, sequence, 0) for n, sequence in enumerate(sequences)]
    assert len(streams(make.capture(make.stream(packets, 1)))) == plausible


def test_consecutive_numbers_of_two_streams_are_not_one_stream_that_counts_on() -> None:
    first = [Packet(n, sequence, 0) for n, sequence in enumerate([1, 3, 5])]
    second = [Packet(n, sequence, 0) for n, sequence in enumerate([6, 8, 10])]
    timed = [*make.stream(first, 1), *make.stream(second, 2)]
    assert streams(make.capture(timed)) == []


def test_random_datagrams_are_no_streams() -> None:
    """DNS on a high port, tunnels: 5,000 random payloads, 1,250 of which have RTP's version."""
    noise = np.random.default_rng(1).integers(0, 256, (5000, 60), np.uint8)
    frames = Frames.of([make.udp(row.tobytes()) for row in noise])
    assert len(found(frames)) > 1000
    assert streams(frames) == []


def test_dns_answers_are_no_stream() -> None:
    """Here the 'sequence number' is DNS flags and the 'SSRC' counts of records: all constant."""
    identifiers = np.random.default_rng(1).integers(0, 2**16, 2000).tolist()
    answers = [
        n.to_bytes(2, "big") + bytes.fromhex("8180 0001 0001 0000 0000") for n in identifiers
    ]
    frames = Frames.of([make.udp(answer + bytes(30), Flow(sport=5353)) for answer in answers])
    assert len(found(frames)) > 100
    assert streams(frames) == []

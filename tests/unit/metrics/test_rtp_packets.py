"""RTP among frames, by streams, and what isn't measured."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.rtp import rtp_streams
from remusnet.metrics.rtp_packets import RtpPackets, rtp_packets, split_streams, unmeasured
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import MACS, Flow, Packet, steady


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


OUTER = Flow("198.51.100.1", 50_000, "198.51.100.2", 4789)
OVER_IPV6 = Flow("2001:db8::1", 50_000, "2001:db8::2", 4789)

Wrap = Callable[[bytes], bytes]


def ip(protocol: int, body: bytes) -> bytes:
    """Behind an outer IPv4 header without options."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
    return MACS + b"\x08\x00" + head + bytes((198, 51, 100, 1, 198, 51, 100, 2)) + body


def gre(ethertype: int, options: bytes = b"", flags: int = 0) -> Wrap:
    head = struct.pack("!HH", flags, ethertype) + options
    return lambda frame: ip(47, head + (frame[14:] if ethertype in (0x800, 0x86DD) else frame))


def link(ethertype: int, head: bytes, skip: int = 14) -> Wrap:
    return lambda frame: MACS + struct.pack("!H", ethertype) + head + frame[skip:]


VXLAN = struct.pack("!II", 0x08000000, 42 << 8)
TUNNELS: dict[str, tuple[str, Wrap]] = {
    "VXLAN": ("vxlan", lambda frame: make.udp(VXLAN + frame, OUTER)),
    "VXLAN over IPv6": ("vxlan", lambda frame: make.udp(VXLAN + frame, OVER_IPV6)),
    "VXLAN over a tag": (
        "vxlan",
        lambda frame: make.udp(VXLAN + frame, replace(OUTER, tagged=True)),
    ),
    "Geneve": (
        "geneve",
        lambda frame: make.udp(
            struct.pack("!BBHI", 1, 0, 0x6558, 0) + bytes(4) + frame, replace(OUTER, dport=6081)
        ),
    ),
    "GTP-U": (
        "gtp-u",
        lambda frame: make.udp(
            struct.pack("!BBHI", 0x32, 255, 0, 7) + bytes(4) + frame[14:],
            replace(OUTER, sport=2152, dport=2152),
        ),
    ),
    "GRE": ("gre", gre(0x0800)),
    "GRE with a key and numbers": ("gre", gre(0x0800, bytes(8), 0x3000)),
    "GRE with all it can have": ("gre", gre(0x0800, bytes(12), 0xB000)),
    "bridged GRE": ("gre", gre(0x6558)),
    "ERSPAN type I": ("gre", gre(0x88BE)),
    "ERSPAN type II": ("gre", gre(0x88BE, bytes(4) + b"\x10" + bytes(7), 0x1000)),
    "ERSPAN type III": ("gre", gre(0x22EB, bytes(4) + b"\x20" + bytes(11), 0x1000)),
    "ERSPAN type III with its subheader": (
        "gre",
        gre(0x22EB, bytes(4) + b"\x20" + bytes(10) + b"\x01" + bytes(8), 0x1000),
    ),
    "IP in IP": ("ipip", lambda frame: ip(4, frame[14:])),
    "one MPLS label": ("mpls", link(0x8847, struct.pack("!I", 100 << 12 | 1 << 8 | 64))),
    "two MPLS labels": (
        "mpls",
        link(0x8847, struct.pack("!II", 99 << 12 | 64, 100 << 12 | 1 << 8 | 64)),
    ),
    "an MPLS pseudowire": (
        "mpls",
        link(0x8847, struct.pack("!II", 100 << 12 | 1 << 8 | 64, 0), skip=0),
    ),
    "PPPoE": ("pppoe", link(0x8864, struct.pack("!BBHHH", 0x11, 0, 1, 100, 0x21))),
}


def frames(wrap: Wrap, count: int = 50) -> Frames:
    timed = make.stream(steady(count), 7)
    return make.capture((at, wrap(frame)) for at, frame in timed)


def said(captured: Frames) -> tuple[str, ...]:
    return unmeasured(captured, columns(captured))


@pytest.mark.parametrize("name", TUNNELS)
def test_rtp_in_a_tunnel_is_said_with_its_packets_and_streams(name: str) -> None:
    kind, wrap = TUNNELS[name]
    captured = frames(wrap)
    assert rtp_streams(captured, columns(captured)) == []
    (note,) = said(captured)
    assert note.startswith(f"50 frames of {kind} carry 1 RTP stream inside, which are not measured")


def test_tunnels_without_rtp_are_no_news() -> None:
    for _, wrap in TUNNELS.values():
        quiet = [wrap(make.tcp(bytes(40), n, Flow())) for n in range(20)]
        assert said(Frames.of(quiet)) == ()


def test_what_is_encrypted_is_said_since_nobody_can_look() -> None:
    for protocol, kind in ((50, "esp"),):
        note = said(Frames.of([ip(protocol, bytes(100))] * 5))
        assert note == (f"5 frames of {kind} are encrypted: RTP in them is not measured",)


@pytest.mark.parametrize(("snap", "cut"), [(42, True), (53, True), (54, False), (128, False)])
def test_rtp_that_a_snap_length_cut_is_said(snap: int, cut: bool) -> None:
    """54 bytes are Ethernet, IP, UDP and RTP's fixed header."""
    whole = frames(lambda frame: frame)
    short = Frames(
        whole.data, whole.offset, np.minimum(whole.caplen, snap), whole.length, whole.time_ns
    )
    notes = said(short)
    assert bool(notes) is cut
    if cut:
        assert f"50 UDP frames are cut before the end of an RTP header, after {snap}" in notes[0]
    assert len(rtp_streams(short, columns(short))) == (not cut)


def test_a_plain_call_has_nothing_to_say() -> None:
    assert said(frames(lambda frame: frame)) == ()
    assert said(Frames.of([])) == ()


@given(st.sampled_from(sorted(TUNNELS)), st.integers(0, 120), st.data())
def test_damaged_tunnels_never_raise(name: str, cut: int, data: st.DataObject) -> None:
    wrap = TUNNELS[name][1]
    damaged = []
    for _, frame in make.stream(steady(4), 7):
        wrapped = bytearray(wrap(frame))
        wrapped[data.draw(st.integers(12, 90))] = data.draw(st.integers(0, 255))
        damaged.append(bytes(wrapped)[: data.draw(st.integers(cut, 200))])
    said(Frames.of(damaged))

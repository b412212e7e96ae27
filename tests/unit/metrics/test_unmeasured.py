"""RTP that nobody measures is said, not passed over in dashes."""

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
from remusnet.metrics.unmeasured import unmeasured
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import MACS, Flow, steady

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

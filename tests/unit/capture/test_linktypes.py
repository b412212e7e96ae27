"""Link layers without Ethernet headers: the same packets through each of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.capture import Capture, read
from remusnet.classify.columns import Columns, columns
from remusnet.errors import InvalidInput
from remusnet.frames import Frames
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import Flow

V4, V6 = Flow("192.0.2.1", 20000, "192.0.2.2", 20002), Flow("2001:db8::1", 9, "2001:db8::2", 10)
TAGGED = Flow("192.0.2.1", 20000, "192.0.2.2", 20002, tagged=True)
GUEST = bytes.fromhex("00163e000001")
PACKETS = [
    make.udp(bytes(20), V4),
    make.tcp(b"abc", 7, V4),
    make.udp(b"\x80" + bytes(30), V6),
    make.tcp(b"", 7, V6),
    make.udp(bytes(20), TAGGED),
]
UNTAGGED = [0, 1, 2, 3]

Wrap = Callable[[bytes], bytes]


def cooked(frame: bytes, kind: int = 4, hardware: int = 1) -> bytes:
    """LINKTYPE_LINUX_SLL."""
    return struct.pack("!HHH", kind, hardware, 6) + GUEST + bytes(2) + frame[12:]


def cooked2(frame: bytes, kind: int = 4, hardware: int = 1) -> bytes:
    """LINKTYPE_LINUX_SLL2."""
    head = frame[12:14] + struct.pack("!HIHBB", 0, 3, hardware, kind, 6)
    return head + GUEST + bytes(2) + frame[14:]


def family(order: str, six: int) -> Wrap:
    """LINKTYPE_NULL in either order, and LINKTYPE_LOOP, which is big-endian."""
    return lambda frame: (
        struct.pack(f"{order}I", 2 if frame[12:14] == b"\x08\x00" else six) + frame[14:]
    )


def raw(frame: bytes) -> bytes:
    return frame[14:]


LAYERS: dict[str, tuple[int, Wrap]] = {
    "LINUX_SLL": (113, cooked),
    "LINUX_SLL2": (276, cooked2),
    "RAW": (101, raw),
    "RAW, as BSD/OS has it": (12, raw),
    "RAW, as OpenBSD has it": (14, raw),
    "NULL of Linux": (0, family("<", 10)),
    "NULL of macOS": (0, family("<", 30)),
    "NULL of FreeBSD, big-endian": (0, family(">", 28)),
    "LOOP of OpenBSD": (108, family(">", 24)),
}


def pcap(link_type: int, frames: list[bytes], cut: int = 65_535) -> bytes:
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, link_type)]
    for n, frame in enumerate(frames):
        kept = frame[:cut]
        out += [struct.pack("<IIII", 1_700_000_000, n, len(kept), len(frame)), kept]
    return b"".join(out)


def pcapng(
    link_types: list[int], frames: list[tuple[int, bytes]], *, simple: bool = False
) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + size + body + size

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += b"".join(block(1, struct.pack("<HHI", each, 0, 0)) for each in link_types)
    for of, frame in frames:
        size = len(frame)
        head = struct.pack("<I", size) if simple else struct.pack("<IIIII", of, 1, 0, size, size)
        out += block(3 if simple else 6, head + frame)
    return out


def read_bytes(path: Path, data: bytes) -> Capture:
    file = path / "x.pcap"
    file.write_bytes(data)
    return read(file)


def assert_alike(found: Columns, expected: Columns) -> None:
    """In all but MAC addresses, and where the payload lies."""
    for each in fields(found):
        if each.name not in ("mac_source", "mac_destination", "payload", "oddities"):
            ours, theirs = getattr(found, each.name), getattr(expected, each.name)
            assert np.array_equal(ours, theirs), each.name


@pytest.mark.parametrize("name", LAYERS)
def test_packets_are_the_same_through_every_link_layer(name: str, tmp_path: Path) -> None:
    link_type, wrap = LAYERS[name]
    tags = link_type in (113, 276)
    sent = [PACKETS[n] for n in (range(len(PACKETS)) if tags else UNTAGGED)]
    expected = columns(Frames.of(sent))
    wrapped = [wrap(each) for each in sent]
    for data in (
        pcap(link_type, wrapped),
        pcapng([link_type], [(0, each) for each in wrapped]),
        pcapng([link_type], [(0, each) for each in wrapped], simple=True),
        pcapng([1, link_type], [(1, each) for each in wrapped]),
    ):
        got = read_bytes(tmp_path, data)
        assert_alike(columns(got.frames), expected)
        assert [got.frames.frame(n)[14:] for n in range(len(sent))] == [each[14:] for each in sent]
        assert got.frames.length.tolist() == [len(each) for each in sent]
        assert any("no Ethernet header: it is made up" in warning for warning in got.warnings)


@pytest.mark.parametrize("wrap", [cooked, cooked2])
def test_a_cooked_capture_has_its_senders_addresses(
    wrap: Callable[..., bytes], tmp_path: Path
) -> None:
    """Who is the guest shows: its frames come in from its vif with its address."""
    frames = [wrap(PACKETS[0], kind) for kind in (0, 1, 2, 4)]
    got = read_bytes(tmp_path, pcap(113 if wrap is cooked else 276, frames))
    headers = columns(got.frames)
    assert headers.mac_source.tolist() == [int.from_bytes(GUEST, "big")] * 4
    assert [hex(each) for each in headers.mac_destination.tolist()] == [
        "0x0", "0xffffffffffff", "0x10000000000", "0x0",
    ]  # fmt: skip
    assert "went through several devices" in got.warnings[0]


@pytest.mark.parametrize("wrap", [cooked, cooked2])
def test_what_has_no_ethertype_is_no_ip(wrap: Callable[..., bytes], tmp_path: Path) -> None:
    """Netlink (824) has its own numbers in the protocol's place."""
    got = read_bytes(
        tmp_path, pcap(113 if wrap is cooked else 276, [wrap(PACKETS[0], hardware=824)])
    )
    headers = columns(got.frames)
    assert (headers.ethertype.tolist(), headers.ip_version.tolist()) == ([0xFFFF], [0])


def test_what_is_neither_family_nor_version_is_no_ip(tmp_path: Path) -> None:
    for link_type, frame in ((101, b"\x50" + bytes(40)), (0, bytes(44)), (108, b"\xff" * 44)):
        headers = columns(read_bytes(tmp_path, pcap(link_type, [frame])).frames)
        assert headers.ethertype.tolist() == [0xFFFF]


def test_a_mixed_capture_has_both(tmp_path: Path) -> None:
    """Interfaces of several kinds in one file, each by its own rules; one that isn't read."""
    mixed = [(0, PACKETS[0]), (1, raw(PACKETS[1])), (2, b"wlan"), (3, cooked2(PACKETS[2]))]
    got = read_bytes(tmp_path, pcapng([1, 101, 105, 276], mixed))
    assert_alike(columns(got.frames), columns(Frames.of(PACKETS[:3])))
    assert got.numbers.tolist() == [1, 2, 4]
    assert got.frames.frame(0) == PACKETS[0]
    assert "1 frames of link type IEEE802_11 (105) are left out" in got.warnings[0]


def test_a_file_of_another_link_layer_is_refused_still(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"link type IEEE802_11 \(105\) is not supported"):
        read_bytes(tmp_path, pcap(105, [b"wlan"]))


@given(st.sampled_from(list(LAYERS)), st.integers(0, 60), st.integers(0, 3))
def test_a_frame_that_is_cut_anywhere_is_read_as_far_as_it_goes(
    tmp_path_factory: pytest.TempPathFactory, name: str, cut: int, which: int
) -> None:
    link_type, wrap = LAYERS[name]
    wrapped = wrap(PACKETS[which])
    got = read_bytes(tmp_path_factory.getbasetemp(), pcap(link_type, [wrapped] * 3, cut))
    left = cut - (len(wrapped) - len(PACKETS[which]) + 14)
    for n in range(3):
        frame = got.frames.frame(n)
        assert frame[14:] == PACKETS[which][14 : 14 + max(left, 0)]
        assert got.frames.length[n] == len(PACKETS[which])
    columns(got.frames)


@given(st.sampled_from([0, 12, 101, 108, 113, 228, 229, 276]), st.lists(st.binary(max_size=80)))
def test_any_bytes_are_read(
    tmp_path_factory: pytest.TempPathFactory, link_type: int, frames: list[bytes]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for data in (pcap(link_type, frames), pcapng([link_type], [(0, each) for each in frames])):
        got = read_bytes(folder, data)
        assert len(columns(got.frames)) == len(frames)

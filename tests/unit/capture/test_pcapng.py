"""pcapng: sections, interfaces, clocks and all packet blocks; scapy is the oracle."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader

from remusnet.capture import pcapng
from remusnet.capture.pcap import Parsed
from remusnet.errors import InvalidInput
from remusnet.frames import Frames

NS = 1_000_000_000
NOW = 1_700_000_000
SECTION, INTERFACE, OBSOLETE, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    total = 12 + len(padded(body))
    return struct.pack(f"{order}II", kind, total) + padded(body) + struct.pack(f"{order}I", total)


def section(order: str = "<", major: int = 1) -> bytes:
    return block(SECTION, struct.pack(f"{order}IHHq", 0x1A2B3C4D, major, 0, -1), order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + padded(value)


def interface(
    order: str = "<",
    link_type: int = 1,
    snap: int = 0,
    resolution: int | None = None,
    offset: int | None = None,
) -> bytes:
    options = option(2, b"vif1.0", order)
    if resolution is not None:
        options += option(9, bytes([resolution]), order)
    if offset is not None:
        options += option(14, struct.pack(f"{order}q", offset), order)
    options += option(0, b"", order)
    return block(INTERFACE, struct.pack(f"{order}HHI", link_type, 0, snap) + options, order)


def enhanced(
    frame: bytes,
    ticks: int = 0,
    of: int = 0,
    order: str = "<",
    cut: int = 0,
    options: bytes = b"",
    claimed: int | None = None,
) -> bytes:
    caplen = len(frame) if claimed is None else claimed
    high, low = divmod(ticks, 2**32)
    head = struct.pack(f"{order}IIIII", of, high, low, caplen, len(frame) + cut)
    return block(ENHANCED, head + padded(frame) + options, order)


def obsolete(frame: bytes, ticks: int, of: int, order: str = "<") -> bytes:
    high, low = divmod(ticks, 2**32)
    head = struct.pack(f"{order}HHIIII", of, 0xFFFF, high, low, len(frame), len(frame))
    return block(OBSOLETE, head + frame, order)


def simple(frame: bytes, length: int | None = None, order: str = "<") -> bytes:
    head = struct.pack(f"{order}I", len(frame) if length is None else length)
    return block(SIMPLE, head + frame, order)


def parse(data: bytes) -> Parsed:
    return pcapng.parse(bytearray(data), "x.pcapng")


def contents(frames: Frames) -> list[bytes]:
    return [frames.frame(i) for i in range(len(frames))]


def times(resolution: int | None, ticks: int, offset: int | None = None) -> list[int]:
    data = section() + interface(resolution=resolution, offset=offset) + enhanced(b"abc", ticks)
    parsed = parse(data)
    assert parsed.problem == ""
    return [int(time_ns) for time_ns in parsed.frames.time_ns]


def by_scapy(data: bytes) -> list[tuple[bytes, Any]]:
    """Each frame and what scapy knows of it; it takes file objects too, whatever its types say."""
    return list(cast(Any, RawPcapNgReader)(io.BytesIO(data)))


@st.composite
def files(draw: st.DrawFn) -> list[bytes]:
    """Sections of either byte order, with interfaces of several clocks, frames, other blocks."""
    sections = []
    for _ in range(draw(st.integers(1, 3))):
        order = draw(st.sampled_from("<>"))
        data = section(order)
        clocks = draw(
            st.lists(st.sampled_from([None, 3, 6, 9, 0x80 + 10, 0x80 + 30]), min_size=1, max_size=4)
        )
        for resolution in clocks:
            data += interface(order, snap=draw(st.sampled_from([50, 65535])), resolution=resolution)
        for _ in range(draw(st.integers(0, 12))):
            frame = draw(st.binary(max_size=50))
            of = draw(st.integers(0, len(clocks) - 1))
            # 2**42 ms are 139 years; more would be damage (see the test of every clock).
            ticks = draw(st.integers(0, 2**42))
            data += draw(
                st.sampled_from(
                    [
                        enhanced(frame, ticks, of, order, cut=draw(st.integers(0, 1500))),
                        enhanced(frame, ticks, of, order, options=option(1, b"note", order)),
                        obsolete(frame, ticks, of, order),
                        simple(frame, order=order),
                        block(5, bytes(8), order),
                        block(0x0BAD, frame, order),
                    ]
                )
            )
        sections.append(data)
    return sections


@given(files())
def test_frames_lengths_and_times_are_those_that_scapy_reads(sections: list[bytes]) -> None:
    """Scapy reads each section by itself: it counts interfaces through, across sections."""
    parsed = parse(b"".join(sections))
    assert parsed.problem == ""
    packets = [packet for data in sections for packet in by_scapy(data)]
    frames = parsed.frames
    assert contents(frames) == [frame for frame, _ in packets]
    assert frames.length.tolist() == [meta.wirelen for _, meta in packets]
    for time_ns, (_, meta) in zip(frames.time_ns.tolist(), packets, strict=True):
        if meta.tshigh is not None:
            ticks = (meta.tshigh << 32) + meta.tslow
            assert time_ns == ticks * NS // meta.tsresol
    assert parsed.untimed == sum(meta.tshigh is None for _, meta in packets)


@given(
    st.integers(0, 127),
    st.booleans(),
    st.integers(0, 2**64 - 1),
    st.integers(-(2**31), 2**31),
)
def test_every_clock_counts_exactly(exponent: int, binary: bool, ticks: int, offset: int) -> None:
    """Powers of 10 and of 2 up to the 127th; a time beyond 2262 is damage, not overflow."""
    resolution = exponent | (0x80 if binary else 0)
    exact = Fraction(ticks * NS, (2 if binary else 10) ** exponent).__floor__()
    data = section() + interface(resolution=resolution, offset=offset) + enhanced(b"abc", ticks)
    parsed = parse(data)
    if exact + offset * NS < 2**63:
        assert parsed.frames.time_ns.tolist() == [exact + offset * NS]
    else:
        assert len(parsed.frames) == 0
        assert "is damaged" in parsed.problem


def test_the_clock_counts_microseconds_unless_it_says_otherwise() -> None:
    assert times(None, NOW * 1_000_000) == [NOW * NS]
    assert times(9, NOW * NS + 1) == [NOW * NS + 1]
    assert times(3, NOW * 1000) == [NOW * NS]
    assert times(12, 5 * 10**12 + 1999) == [5 * NS + 1]
    assert times(0x80 + 1, NOW * 2 + 1) == [NOW * NS + NS // 2]


def test_the_clock_s_offset_is_in_seconds_and_may_be_negative() -> None:
    assert times(6, 5, offset=NOW) == [NOW * NS + 5000]
    assert times(6, 5, offset=-1) == [-NS + 5000]


def test_an_offset_beyond_292_years_is_damage() -> None:
    for offset in (2**63 - 1, -(2**63), 2**63 // NS + 1):
        parsed = parse(section() + interface(offset=offset) + enhanced(b"abc"))
        assert "is damaged" in parsed.problem


def test_each_frame_takes_its_own_interface_s_clock() -> None:
    data = section() + interface(resolution=6) + enhanced(b"a", 7)
    data += interface(resolution=9) + enhanced(b"b", 7, of=1) + enhanced(b"c", 8, of=0)
    assert parse(data).frames.time_ns.tolist() == [7000, 7, 8000]


def test_interfaces_are_counted_anew_in_each_section() -> None:
    data = section() + interface(resolution=6) + enhanced(b"a", 7)
    data += section(">") + interface(">", resolution=9) + enhanced(b"b", 7, order=">")
    assert parse(data).frames.time_ns.tolist() == [7000, 7]


def test_a_frame_of_an_interface_that_is_not_there_yet_is_damage() -> None:
    data = section() + interface() + enhanced(b"a") + enhanced(b"b", of=1) + interface()
    parsed = parse(data + enhanced(b"c", of=1))
    assert contents(parsed.frames) == [b"a"]
    assert "is damaged" in parsed.problem
    assert "is damaged" in parse(section() + simple(b"abc") + interface()).problem


def test_a_simple_packet_is_cut_by_the_snap_length_of_the_first_interface() -> None:
    data = section() + interface(snap=4) + interface(snap=9) + simple(b"abcd", length=1000)
    frames = parse(data).frames
    assert contents(frames) == [b"abcd"]
    assert frames.length.tolist() == [1000]


def test_frames_without_a_time_take_that_of_a_neighbour() -> None:
    """The one before them, or, at the start, the one after."""
    data = section() + interface() + simple(b"a") + enhanced(b"b", 5) + simple(b"c")
    parsed = parse(data + enhanced(b"d", 3) + simple(b"e") + simple(b"f"))
    assert contents(parsed.frames) == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert parsed.frames.time_ns.tolist() == [5000, 5000, 5000, 3000, 3000, 3000]
    assert parsed.untimed == 4
    alone = parse(section() + interface() + simple(b"a"))
    assert alone.frames.time_ns.tolist() == [0]


def test_frames_stay_in_file_order() -> None:
    ticks = [5, 3, 9, 1, 3]
    data = section() + interface() + b"".join(enhanced(bytes([t]), t) for t in ticks)
    assert parse(data).frames.time_ns.tolist() == [1000 * t for t in ticks]


def test_an_interface_of_another_link_type_is_left_out_and_not_the_file() -> None:
    """The numbers stay those of Wireshark, which shows the others too."""
    data = section() + interface() + interface(link_type=105) + enhanced(b"abc")
    assert parse(data).foreign == {}
    parsed = parse(data + enhanced(b"wlan", of=1) * 2 + enhanced(b"def"))
    assert contents(parsed.frames) == [b"abc", b"def"]
    assert parsed.foreign == {105: 2}
    assert parsed.numbers is not None
    assert parsed.numbers.tolist() == [1, 4]


def test_a_file_of_nothing_but_other_link_types_is_refused() -> None:
    data = section() + interface(link_type=105) + enhanced(b"abc")
    with pytest.raises(InvalidInput, match=r"'x.pcapng': link type IEEE802_11 \(105\).* ETHERNET"):
        parse(data)


@pytest.mark.parametrize("kind", [0xBAD, 0x40000BAD, 9, 0x204, 0x216, 0x221])
def test_blocks_that_wireshark_numbers_as_frames_count(kind: int) -> None:
    other = block(kind, bytes(24))
    data = section() + interface() + other + enhanced(b"a") + other * 2 + enhanced(b"b")
    data += section(">") + interface(">") + enhanced(b"c", order=">")
    numbers = parse(data).numbers
    assert numbers is not None
    assert numbers.tolist() == [2, 5, 6]


def test_other_blocks_have_no_number() -> None:
    """Names, statistics, secrets, and what nobody knows."""
    others = b"".join(block(kind, bytes(24)) for kind in (4, 5, 10, 0x208, 0x7777, 0x80000001))
    assert parse(section() + interface() + others + enhanced(b"a") + others).numbers is None


def test_times_are_read_until_2262() -> None:
    """What an int64 of nanoseconds holds; it was 2116."""
    assert times(6, 4_700_000_000 * 10**6) == [4_700_000_000 * NS]
    assert times(6, 5, offset=9_200_000_000) == [9_200_000_000 * NS + 5000]
    assert times(9, 2**63 - 1) == [2**63 - 1]


def test_no_frames_are_no_error() -> None:
    for data in (section(), section() + interface(), section() + section(">")):
        parsed = parse(data)
        assert len(parsed.frames) == 0
        assert parsed.problem == ""


@pytest.mark.parametrize(
    "data",
    [
        section()[:8],
        section()[:27],
        section().replace(b"\x4d\x3c\x2b\x1a", b"\x4d\x3c\x2b\x1b"),
        section(major=2),
    ],
)
def test_a_file_without_a_section_header_is_no_capture(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"'x.pcapng' is not a capture"):
        parse(data)


def with_total(damaged: bytes, total: int) -> bytes:
    return damaged[:4] + struct.pack("<I", total) + damaged[8:]


@pytest.mark.parametrize(
    "bad",
    [
        enhanced(b"abcd", claimed=5),
        enhanced(b"abcd", claimed=0xFFFF_FFFF),
        enhanced(bytes(262_145)),
        enhanced(b"abcd", of=0xFFFF_FFFF),
        block(ENHANCED, bytes(16)),
        block(OBSOLETE, bytes(16)),
        block(SIMPLE, b""),
        block(INTERFACE, bytes(4)),
        simple(b"abcd", length=5),
        block(INTERFACE, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HH", 9, 5) + b"abcd"),
        block(INTERFACE, struct.pack("<HHI", 1, 0, 0) + option(9, b"ab")),
        block(INTERFACE, struct.pack("<HHI", 1, 0, 0) + option(14, b"abcd")),
        block(INTERFACE, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HH", 2, 5) + b"vif1"),
        struct.pack("<II", 0x0BAD, 13) + b"x" + struct.pack("<I", 13),
        with_total(enhanced(b"abcd"), 0),
        with_total(enhanced(b"abcd"), 11),
        with_total(enhanced(b"abcd"), 35),
        with_total(enhanced(b"abcd"), 40),
        with_total(enhanced(b"abcd"), 0xFFFF_FFFC),
        enhanced(b"abcd")[:-4] + bytes(4),
        section(major=2),
    ],
)
def test_reading_stops_at_a_block_that_contradicts_itself(bad: bytes) -> None:
    """What came before is kept, what follows is not trusted."""
    good = section() + interface() + enhanced(b"abc")
    parsed = parse(good + bad + enhanced(b"def"))
    assert contents(parsed.frames) == [b"abc"]
    assert f"at byte {len(good)} is" in parsed.problem

"""pcap: both clocks, both byte orders, every oddity that real files have; scapy is the oracle."""

from __future__ import annotations

import io
import struct
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapReader, RawPcapWriter

from remusnet.capture import pcap
from remusnet.capture.pcap import MAX_RECORD, Parsed
from remusnet.errors import InvalidInput

NS = 1_000_000_000
# Bytes captured, bytes that a snap length cut off, seconds, microseconds or nanoseconds.
RECORDS = st.lists(
    st.tuples(
        st.binary(max_size=100),
        st.integers(0, 2000),
        st.integers(0, 2**32 - 1),
        st.integers(0, 999_999),
    ),
    max_size=20,
)


def header(magic: int = 0xA1B2C3D4, order: str = "<", link_type: int = 1, major: int = 2) -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, major, 4, 0, 0, 65535, link_type)


def record(frame: bytes, order: str = "<", claimed: int | None = None, length: int = 60) -> bytes:
    caplen = len(frame) if claimed is None else claimed
    return struct.pack(f"{order}IIII", 1, 2, caplen, length) + frame


def parse(data: bytes) -> Parsed:
    return pcap.parse(bytearray(data), "x.pcap")


@given(RECORDS, st.booleans(), st.sampled_from("<>"))
def test_what_scapy_writes_is_read(
    records: list[tuple[bytes, int, int, int]], nano: bool, order: str
) -> None:
    """Out of time order too: the times are drawn at random."""
    file = io.BytesIO()
    writer = RawPcapWriter(file, 1, endianness=order, nano=nano)
    writer.write_header(None)
    for frame, cut, seconds, fraction in records:
        writer.write_packet(
            frame, sec=seconds, usec=fraction, caplen=len(frame), wirelen=len(frame) + cut
        )
    writer.flush()
    data = file.getvalue()

    parsed = parse(data)
    assert parsed.problem == ""
    assert parsed.untimed == 0
    expected = []
    for frame, meta in cast(Any, RawPcapReader)(io.BytesIO(data)):
        expected.append((frame, meta.wirelen, meta.sec * NS + meta.usec * (1 if nano else 1000)))
    frames = parsed.frames
    assert [
        (frames.frame(i), int(frames.length[i]), int(frames.time_ns[i])) for i in range(len(frames))
    ] == expected
    assert len(expected) == len(records)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_modified_format_has_record_headers_of_24_bytes(order: str) -> None:
    """The one that libpcap knows as KUZNETZOV_TCPDUMP_MAGIC."""
    more = struct.pack(f"{order}IHBB", 7, 0x0800, 0, 0)
    first = record(b"", order, claimed=3) + more + b"abc"
    second = record(b"", order, claimed=2) + more + b"de"
    parsed = parse(header(0xA1B2CD34, order) + first + second)
    assert [parsed.frames.frame(i) for i in range(2)] == [b"abc", b"de"]
    assert parsed.frames.time_ns.tolist() == [NS + 2000] * 2


def test_no_frames_are_no_error() -> None:
    parsed = parse(header())
    assert len(parsed.frames) == 0
    assert parsed.problem == ""


def test_the_frames_share_the_bytes_of_the_file() -> None:
    data = bytearray(header() + record(b"abcd"))
    assert np.shares_memory(pcap.parse(data, "x").frames.data, np.frombuffer(data, np.uint8))


def test_the_length_is_never_less_than_what_was_captured() -> None:
    assert parse(header() + record(b"abcd", length=3)).frames.length.tolist() == [4]


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_length_of_the_check_sequence_is_no_part_of_the_link_type(order: str) -> None:
    assert len(parse(header(order=order, link_type=0x2400_0001)).frames) == 0


@pytest.mark.parametrize(
    ("link_type", "named"),
    [(9, "PPP (9)"), (105, "IEEE802_11 (105)"), (9999, "unknown (9")],
)
def test_another_link_type_is_named_with_those_that_are_supported(
    link_type: int, named: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        parse(header(link_type=link_type) + record(b"abc"))
    assert "'x.pcap'" in str(error.value)
    assert named in str(error.value)
    assert "supported: ETHERNET (1), LINUX_SLL (113), LINUX_SLL2 (276), RAW (101)" in str(
        error.value
    )


def test_another_version_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"version 3\.4"):
        parse(header(major=3))


@pytest.mark.parametrize("length", range(4, 24))
def test_a_file_that_ends_within_its_header_is_no_capture(length: int) -> None:
    with pytest.raises(InvalidInput, match="is not a capture"):
        parse(header()[:length])


def test_the_largest_record_is_read_and_one_byte_more_is_damage() -> None:
    whole = header() + record(bytes(MAX_RECORD))
    assert parse(whole + record(bytes(MAX_RECORD))).problem == ""
    parsed = parse(whole + record(bytes(MAX_RECORD + 1)))
    assert len(parsed.frames) == 1
    assert parsed.problem == "frame 2 is damaged: it claims 262145 bytes"


def test_reading_stops_at_an_absurd_length() -> None:
    parsed = parse(header() + record(b"abc") + record(b"abc", claimed=0xFFFF_FFF0) + record(b"abc"))
    assert len(parsed.frames) == 1
    assert "frame 2 is damaged" in parsed.problem

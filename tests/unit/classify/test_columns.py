"""`columns` says of many frames what `dissect` says of each."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.classify.columns import FRAGMENTS, LINKS, PAYLOAD_CLASSES, Columns, columns
from remusnet.classify.headers import Headers, dissect
from remusnet.frames import Frames
from tests.lib import layers
from tests.lib.framegen import generate
from tests.lib.strategies import frames

SEED = 20240731


def row(found: Columns, index: int, offset: int) -> Headers:
    """Row ``index`` as `Headers`, of a frame whose bytes start at ``offset``."""

    def known(value: np.int64) -> int | None:
        return None if value < 0 else int(value)

    def address(halves: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> int | None:
        value = int(halves[0]) << 64 | int(halves[1])
        if found.ip_version[index] == 4:
            assert value >> 32 == 0xFFFF
            return value & 0xFFFFFFFF
        if found.ip_version[index] == 6:
            return value
        assert value == 0
        return None

    odd, link = known(found.odd[index]), known(found.link[index])
    fragment, kind = known(found.fragment[index]), known(found.payload_class[index])
    payload = known(found.payload[index])
    return Headers(
        odd=None if odd is None else found.oddities[odd],
        link=None if link is None else LINKS[link],
        tags=int(found.tags[index]),
        ethertype=known(found.ethertype[index]),
        version=int(found.ip_version[index]),
        source=address(found.source[index]),
        destination=address(found.destination[index]),
        dscp=known(found.dscp[index]),
        fragment=None if fragment is None else FRAGMENTS[fragment],
        protocol=known(found.protocol[index]),
        source_port=known(found.sport[index]),
        destination_port=known(found.dport[index]),
        icmp_type=known(found.icmp_type[index]),
        payload=None if payload is None else payload - offset,
        payload_length=known(found.payload_length[index]),
        payload_class=None if kind is None else PAYLOAD_CLASSES[kind],
        payload_seen=bool(found.payload_seen[index]),
    )


def present(headers: Headers, frame: bytes) -> int:
    """How many bytes of the payload were captured, -1 where there is none."""
    if headers.payload is None or headers.payload_length is None:
        return -1
    return len(frame[headers.payload : headers.payload + headers.payload_length])


def mac(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 6], "big") if len(frame) >= 14 else -1


def assert_equal(raw: list[bytes], lengths: list[int] | None = None) -> None:
    """Each column of each frame is what `dissect` finds, and the frame's own bytes."""
    many = Frames.of(raw, length=lengths)
    found = columns(many)
    assert len(found) == len(raw)
    for index, frame in enumerate(raw):
        headers = dissect(frame, None if lengths is None else lengths[index])
        assert row(found, index, int(many.offset[index])) == headers, frame.hex()
        assert found.judgeable[index] == (headers.odd is None)
        assert found.payload_present[index] == present(headers, frame), frame.hex()
        assert found.mac_destination[index] == mac(frame, 0)
        assert found.mac_source[index] == mac(frame, 6)


@pytest.mark.slow
def test_twenty_thousand_frames_of_every_kind_have_equal_columns_and_headers() -> None:
    assert_equal([sample.frame for sample in generate(20_000, SEED)])


@pytest.mark.parametrize("snap", [14, 34, 42, 54, 60])
def test_frames_cut_by_a_snap_length_have_equal_columns_and_headers(snap: int) -> None:
    raw = [sample.frame for sample in generate(3_000, SEED + snap)]
    assert_equal([frame[:snap] for frame in raw], [len(frame) for frame in raw])


@given(st.lists(frames(), max_size=8))
def test_any_frames_have_equal_columns_and_headers(raw: list[bytes]) -> None:
    assert_equal(raw)


@given(st.lists(st.tuples(frames(), st.integers(0, 100), st.integers(-20, 3000)), max_size=8))
def test_any_frames_with_any_wire_length_have_equal_columns_and_headers(
    cut: list[tuple[bytes, int, int]],
) -> None:
    """A capture file may say anything, even fewer bytes on the wire than it has."""
    assert_equal(
        [frame[: len(frame) - less] for frame, less, _ in cut],
        [max(0, len(frame) + more) for frame, _, more in cut],
    )


def test_no_frames_have_no_rows() -> None:
    assert len(columns(Frames.of([]))) == 0


def test_a_slice_of_a_capture_has_the_rows_of_its_frames() -> None:
    """Offsets are into shared bytes, so that frames may lie in any order, with gaps."""
    raw = [sample.frame for sample in generate(500, SEED)]
    chosen = np.arange(499, 0, -7)
    part = Frames.of(raw).take(chosen)
    found = columns(part)
    for index, original in enumerate(chosen):
        expected = dissect(raw[original])
        assert row(found, index, int(part.offset[index])) == expected


def test_a_cut_frame_borrows_no_byte_of_the_next() -> None:
    """The next frame's first bytes are STUN's cookie, where the cut one's would have been."""
    rng = Random(1)
    message = layers.udp(rng, layers.stun(rng, 20), sport=40000, dport=40001)
    whole = layers.ethernet(rng, layers.IPV4, layers.ipv4(rng, layers.UDP, message))
    cookie = bytes.fromhex("2112a442") + whole[4:]
    for seen in range(34, len(whole)):
        assert_equal([whole[:seen], cookie], [len(whole), len(cookie)])

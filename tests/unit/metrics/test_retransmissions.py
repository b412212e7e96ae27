"""TCP segments that were sent again."""

from __future__ import annotations

import struct

import pytest

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.retransmissions import retransmitted

_FIN, _SYN, _ACK = 0x01, 0x02, 0x10


def _segment(
    sequence: int, size: int, flags: int = _ACK, *, port: int = 80, tagged: bool = False
) -> bytes:
    tcp = struct.pack(">HHIIBBHHH", port, 50000, sequence % 2**32, 1, 5 << 4, flags, 1000, 0, 0)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 40 + size, 0, 0, 64, 6, 0)
    tag = bytes.fromhex("81000005") if tagged else b""
    link = bytes.fromhex("020000000001 020000000002") + tag + b"\x08\x00"
    return link + head + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + tcp + bytes(size)


def _again(*segments: bytes) -> list[bool]:
    frames = Frames.of(segments)
    found: list[bool] = retransmitted(frames, columns(frames)).tolist()
    return found


@pytest.mark.parametrize("tagged", [False, True])
def test_data_that_was_sent_before_is_sent_again(tagged: bool) -> None:
    first, second = _segment(100, 50, tagged=tagged), _segment(150, 50, tagged=tagged)
    assert _again(first, second, first) == [False, False, True]


def test_acknowledgements_are_never_sent_again() -> None:
    assert _again(_segment(100, 0), _segment(100, 0)) == [False, False]


def test_a_syn_and_a_fin_count_as_data() -> None:
    syn, fin = _segment(99, 0, _SYN), _segment(100, 0, _FIN | _ACK)
    assert _again(syn, syn, fin, fin) == [False, True, False, True]


def test_a_segment_with_more_than_was_sent_is_new() -> None:
    assert _again(_segment(100, 50), _segment(100, 80)) == [False, False]


def test_sequence_numbers_go_around_the_corner() -> None:
    start = 2**32 - 20
    assert _again(_segment(start, 50), _segment(start + 50, 50), _segment(start, 50)) == [
        False,
        False,
        True,
    ]


def test_each_direction_and_port_counts_for_itself() -> None:
    assert _again(_segment(100, 50), _segment(100, 50, port=81)) == [False, False]


def test_a_new_connection_on_the_same_ports_begins_anew() -> None:
    old = [_segment(5000, 0, _SYN), _segment(5001, 50)]
    new = [_segment(100, 0, _SYN), _segment(101, 50)]
    assert _again(*old, *new) == [False] * 4


def test_no_frames_are_no_retransmissions() -> None:
    assert _again() == []

"""What the kernel answers, cut into messages."""

from __future__ import annotations

from itertools import islice

import pytest

from remusnet.kernel.wire.codec import HEADER
from remusnet.kernel.wire.netlink import messages_in


def message(kind: int, body: bytes, port: int = 7) -> bytes:
    padding = bytes(-len(body) % 4)
    return HEADER.pack(HEADER.size + len(body), kind, 1, 2, port) + body + padding


def test_a_datagram_is_cut_into_its_messages_and_their_padding_left_out() -> None:
    data = message(16, b"abcde") + message(17, b"", port=8)
    assert list(messages_in(data)) == [(16, 1, 2, 7, b"abcde"), (17, 1, 2, 8, b"")]


@pytest.mark.parametrize("length", [0, 4, HEADER.size - 1])
def test_a_length_that_no_message_can_have_ends_the_walk(length: int) -> None:
    data = message(16, b"") + HEADER.pack(length, 16, 0, 0, 0) + message(17, b"")
    assert list(islice(messages_in(data), 9)) == [(16, 1, 2, 7, b"")]

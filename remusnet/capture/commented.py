"""A sample of frames as pcapng, each with a comment, as Wireshark shows it (pcapng, 4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct

from remusnet.capture import linktypes
from remusnet.capture.pcap import MAX_RECORD
from remusnet.capture.writer import write_whole

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_COMMENT, _TIME_RESOLUTION, _USER_APPLICATION, _NAME, _END = 1, 9, 4, 2, 0
_NANOSECONDS = 9
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF
_BLOCK, _LENGTH = Struct("<II"), Struct("<I")
_SECTION_BODY, _INTERFACE_BODY = Struct("<IHHQ"), Struct("<HHI")
_PACKET_BODY, _OPTION = Struct("<IIIII"), Struct("<HH")
_LONGEST_COMMENT = 0xFFF0

Commented = tuple[int, bytes, str]
"""Nanoseconds since the Unix epoch, an Ethernet frame, and what is to be said of it."""


def write_commented(path: str | Path, device: str, frames: Iterable[Commented]) -> None:
    """Writes ``frames``, which were seen at ``device``, as `remusnet.capture.writer.write` does.

    Raises InvalidInput for an unwritable path.
    """
    write_whole(path, b"".join(_blocks(device, frames)))


def _blocks(device: str, frames: Iterable[Commented]) -> Iterator[bytes]:
    body = _SECTION_BODY.pack(_BYTE_ORDER, 1, 0, _UNKNOWN_LENGTH)
    yield _block(_SECTION, body, _option(_USER_APPLICATION, b"remusnet"))
    options = _option(_NAME, device.encode()) + _option(_TIME_RESOLUTION, bytes([_NANOSECONDS]))
    yield _block(_INTERFACE, _INTERFACE_BODY.pack(linktypes.ETHERNET, 0, MAX_RECORD), options)
    for time_ns, frame, comment in frames:
        high, low = divmod(time_ns, 1 << 32)
        body = _PACKET_BODY.pack(0, high, low, len(frame), len(frame)) + _padded(frame)
        yield _block(_PACKET, body, _option(_COMMENT, comment.encode()[:_LONGEST_COMMENT]))


def _block(kind: int, body: bytes, options: bytes) -> bytes:
    content = body + options + _OPTION.pack(_END, 0)
    length = _BLOCK.size + len(content) + _LENGTH.size
    return _BLOCK.pack(kind, length) + content + _LENGTH.pack(length)


def _option(code: int, value: bytes) -> bytes:
    return _OPTION.pack(code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

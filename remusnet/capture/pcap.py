"""The pcap format: one header, then records of 16 bytes and a frame; what pcapng has of it, too.

Both bound a record, and both have their 32-bit words moved all at once.

Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html, and libpcap's sf-pcap.c
for the "modified" format, whose record headers have 8 more bytes that nothing here needs.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from remusnet.capture import linktypes
from remusnet.capture.linktypes import Placed, as_ethernet
from remusnet.errors import InvalidInput
from remusnet.files import label
from remusnet.frames import Bytes, Frames, Int64s, stretches

# Wireshark's WTAP_MAX_PACKET_SIZE_STANDARD (wiretap/wtap.h): a larger record is damage.
MAX_RECORD = 262_144
MAX_FRAMES = 5_000_000
"""In a capture: 1 GiB of G.711 is less. Each costs some 200 bytes and 10 microseconds later on."""
_FEW = 1 << 16
_SHORTEST = 14
"""An Ethernet header. Frames shorter than it are odd ones, but not most of a capture."""
STRETCH = 4 << 20
"""Bytes of a file between two looks at `check_frames`: a look at each frame would cost more."""

_FILE_HEADER = 24
# The field's upper bits tell the length of the frame check sequence (libpcap's LT_LINKTYPE).
_LINK_TYPE_BITS = 0x03FF_FFFF


@dataclass(frozen=True, slots=True)
class _Dialect:
    order: str
    tick_ns: int
    record_header: int


_MAGICS = {
    0xA1B2C3D4: (1_000, 16),
    0xA1B23C4D: (1, 16),
    0xA1B2CD34: (1_000, 24),
}
_DIALECTS = {
    struct.pack(f"{order}I", magic): _Dialect(order, tick_ns, record_header)
    for order in "<>"
    for magic, (tick_ns, record_header) in _MAGICS.items()
}
MAGICS = tuple(_DIALECTS)


def check_frames(source: str | Path, count: int, captured: int) -> None:
    """Raises InvalidInput where ``count`` frames with ``captured`` bytes in all are no capture."""
    if count > MAX_FRAMES:
        raise InvalidInput(
            f"{label(source)} has more than {MAX_FRAMES} frames, the most that remusnet reads; "
            "split it with editcap -c"
        )
    if count > _FEW and captured < count * _SHORTEST:
        raise InvalidInput(
            f"{label(source)} is not a capture of Ethernet: its first {count} frames have "
            f"{captured / count:.1f} bytes on average, less than an Ethernet header"
        )


@dataclass(frozen=True, slots=True)
class Parsed:
    """Frames in file order, and what a person should know about them.

    ``problem``: why reading stopped before the end of the file; "" if it did not.
    ``untimed``: how many frames have no time of their own. ``numbers``: int64[n], each frame's
    number in Wireshark; None for 1 to n. ``made_up``: link types whose frames have an Ethernet
    header that was made up. ``foreign``: frames that were left out, by link type.
    """

    frames: Frames
    problem: str = ""
    untimed: int = 0
    numbers: Int64s | None = None
    made_up: tuple[int, ...] = ()
    foreign: Mapping[int, int] = field(default_factory=dict)


def words(data: Bytes, at: Int64s, count: int, order: str) -> npt.NDArray[np.int64]:
    """int64[count, n]: ``count`` 32-bit words from each of the n positions ``at``.

    ``order``: ``"<"`` or ``">"``. The words must lie within ``data``.
    """
    table = stretches(data, 4 * count)[at].view(f"{order}u4").reshape(len(at), count)
    return table.T.astype(np.int64, order="C")


def parse(data: bytearray, source: str | Path) -> Parsed:
    """The frames of a pcap file that begins with one of ``MAGICS``; ``source`` is for messages.

    Raises InvalidInput: cut within its file header, of another version, of a link type that isn't
    read, or `check_frames` says that it is none.
    """
    dialect = _DIALECTS[bytes(data[:4])]
    if len(data) < _FILE_HEADER:
        raise InvalidInput(f"{label(source)} is not a capture: it ends within its file header")
    major, minor = struct.unpack_from(f"{dialect.order}HH", data, 4)
    if major != 2:
        raise InvalidInput(
            f"{label(source)}: pcap version {major}.{minor} is not supported; supported: 2.x"
        )
    (network,) = struct.unpack_from(f"{dialect.order}I", data, 20)
    link_type = network & _LINK_TYPE_BITS
    linktypes.check(link_type, source)

    positions, problem = _walk(data, dialect, source)
    view = np.frombuffer(data, np.uint8)
    at = np.array(positions, np.int64)
    seconds, ticks, caplen, length = words(view, at, 4, dialect.order)
    placed = Placed(at + dialect.record_header, caplen, np.maximum(length, caplen))
    placed = as_ethernet(view, link_type, placed)
    frames = Frames(
        data=view,
        offset=placed.offset,
        caplen=placed.caplen,
        length=placed.length,
        time_ns=seconds * 1_000_000_000 + ticks * dialect.tick_ns,
    )
    made_up = () if link_type == linktypes.ETHERNET else (link_type,)
    return Parsed(frames, problem, made_up=made_up)


def _walk(data: bytearray, dialect: _Dialect, source: str | Path) -> tuple[array[int], str]:
    """Where the whole records begin, and why the walk ended early ("" if it did not).

    Each record's place depends on the length of the one before, so this is the one part that has
    to be a loop; it reads nothing but that length.
    """
    caplen_at = struct.Struct(f"{dialect.order}8xI").unpack_from
    header = dialect.record_header
    end = len(data)
    positions = array("q")
    append = positions.append
    at = _FILE_HEADER
    # A record that begins before this ends before the file does: that needs no test for each.
    safe = end - header - MAX_RECORD
    while at + header <= end:
        stop = min(safe, at + STRETCH)
        while at < stop:
            (caplen,) = caplen_at(data, at)
            if caplen > MAX_RECORD:
                return positions, _damaged(positions, caplen)
            append(at)
            at += header + caplen
        if at >= safe:
            break
        check_frames(source, len(positions), at - _FILE_HEADER - len(positions) * header)
    while at + header <= end:
        (caplen,) = caplen_at(data, at)
        if caplen > MAX_RECORD:
            return positions, _damaged(positions, caplen)
        if at + header + caplen > end:
            break
        positions.append(at)
        at += header + caplen
    check_frames(source, len(positions), at - _FILE_HEADER - len(positions) * header)
    return positions, f"cut in the middle of frame {len(positions) + 1}" if at < end else ""


def _damaged(positions: array[int], caplen: int) -> str:
    return f"frame {len(positions) + 1} is damaged: it claims {caplen} bytes"

"""The capture of a live run: pcapng with two interfaces, before the plug and behind it.

Interface 0, ``vif1.0``: what the program sent, when it did. Interface 1, ``uplink``: what left, and
what came, when it did. Source of the format: draft-ietf-opsawg-pcapng-03, sections 4.1 to 4.3.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Frames
from remusnet.live.guard import Recorded

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_ETHERNET = 1
_IF_NAME, _IF_TSRESOL, _EPB_FLAGS = 2, 9, 2
_NANOSECONDS = bytes([9])
_INBOUND, _OUTBOUND = 1, 2


def write_capture(path: Path, recorded: Recorded) -> None:
    """Writes ``path`` whole or not at all, frames in order of time. Raises InvalidInput."""
    beside = path.with_name(f".remusnet-{os.urandom(8).hex()}.tmp")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as stream:
                stream.writelines(_blocks(recorded))
            return
        with beside.open("xb") as stream:
            stream.writelines(_blocks(recorded))
        beside.replace(path)
    except OSError as error:
        raise InvalidInput(f"cannot write to {quoted(str(path))}: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def _blocks(recorded: Recorded) -> Iterator[bytes]:
    yield _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for name in ("vif1.0", "uplink"):
        options = _option(_IF_NAME, name.encode()) + _option(_IF_TSRESOL, _NANOSECONDS)
        yield _block(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, 0) + options + _option(0, b""))
    inner, outer = recorded.inner, recorded.outer
    times = np.concatenate([inner.frames.time_ns, outer.frames.time_ns])
    for row in np.argsort(times, kind="stable").tolist():
        if row < len(inner.frames):
            yield _packet(0, inner.frames, row, _INBOUND)
        else:
            at = row - len(inner.frames)
            yield _packet(1, outer.frames, at, _OUTBOUND if outer.outgoing[at] else _INBOUND)


def _packet(interface: int, frames: Frames, row: int, direction: int) -> bytes:
    data = frames.frame(row)
    time_ns = int(frames.time_ns[row])
    head = struct.pack(
        "<IIIII",
        interface,
        time_ns >> 32,
        time_ns & 0xFFFFFFFF,
        len(data),
        int(frames.length[row]),
    )
    flags = _option(_EPB_FLAGS, struct.pack("<I", direction)) + _option(0, b"")
    return _block(_PACKET, head + _padded(data) + flags)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

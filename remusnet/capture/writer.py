"""Writing frames as a nanosecond pcap file, in one piece or not at all."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from remusnet.capture import linktypes
from remusnet.capture.pcap import MAX_RECORD
from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Bytes, Frames, stretches

_NS = 1_000_000_000
_LARGEST_U32 = 2**32 - 1
_MAGIC_NS = 0xA1B23C4D


def write(path: str | Path, frames: Frames) -> None:
    """Write ``frames`` to ``path`` (``"-"``: standard output) as little-endian nanosecond pcap.

    Frames that a snap length cut keep their original length. A file appears whole, under its
    name, or not at all: it is written beside its place and then renamed. Devices and pipes are
    written to directly.

    Raises InvalidInput: a time that pcap can't hold, a frame that is too long, an unwritable path.
    """
    _check(frames, _named(path))
    _write(path, lambda stream: _write_to(stream, frames))


def write_whole(path: str | Path, content: bytes) -> None:
    """Writes ``content`` likewise. Raises InvalidInput for an unwritable path."""

    def write_to(stream: BinaryIO) -> None:
        stream.write(content)
        stream.flush()

    _write(path, write_to)


def _named(path: str | Path) -> str:
    return "standard output" if path == "-" else quoted(str(path))


def _write(path: str | Path, write_to: Callable[[BinaryIO], None]) -> None:
    name = _named(path)
    try:
        if path == "-":
            if sys.stdout is None:  # started with its standard output closed
                raise InvalidInput(f"cannot write to {name}: it is closed")
            write_to(sys.stdout.buffer)
        else:
            _write_file(path, write_to)
    except OSError as error:
        raise InvalidInput(f"cannot write to {name}: {error.strerror}") from None
    except ValueError:  # a null byte, say; Python's own words for it differ between versions
        raise InvalidInput(f"cannot write to {name}: no file can have this name") from None


def _check(frames: Frames, name: str) -> None:
    """Raise InvalidInput for the first frame that a pcap record can't hold."""
    seconds = frames.time_ns // _NS
    for bad, what in (
        ((seconds < 0) | (seconds > _LARGEST_U32), "is not between 1970 and 2106"),
        (frames.caplen > MAX_RECORD, f"has more than {MAX_RECORD} bytes"),
        (frames.length > _LARGEST_U32, f"had more than {_LARGEST_U32} bytes"),
    ):
        if bad.any():
            index = int(np.argmax(bad))
            raise InvalidInput(f"cannot write to {name}: frame {index + 1} {what}")


def _write_file(path: str | Path, write_to: Callable[[BinaryIO], None]) -> None:
    # Through a link, so that the link stays and what it points to is replaced.
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        # Renaming over /dev/null would take it from all other processes.
        with target.open("wb") as stream:
            write_to(stream)
        return
    beside = target.with_name(f".remusnet-{os.urandom(8).hex()}.tmp")
    try:
        with beside.open("xb") as stream:
            write_to(stream)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _write_to(stream: BinaryIO, frames: Frames) -> None:
    # Version 2.4, UTC, no accuracy stated (libpcap writes the same).
    stream.write(struct.pack("<IHHiIII", _MAGIC_NS, 2, 4, 0, 0, MAX_RECORD, linktypes.ETHERNET))
    stream.write(_records(frames).data)
    stream.flush()


def _records(frames: Frames) -> Bytes:
    """All records, one after the other: uint8[16 n + the frames' bytes].

    Frames of one size are copied together: half a million frames have some hundred sizes, so this
    takes a third of the time that slice after slice does.
    """
    after = np.cumsum(frames.caplen + 16)
    body = after - frames.caplen
    records = np.empty(int(after[-1]) if len(after) else 0, np.uint8)
    if not len(records):
        return records
    seconds, nanoseconds = np.divmod(frames.time_ns, _NS)
    headers = np.stack([seconds, nanoseconds, frames.caplen, frames.length], axis=1)
    stretches(records, 16)[body - 16] = headers.astype("<u4").view("V16")[:, 0]

    data = np.ascontiguousarray(frames.data)
    by_size = np.argsort(frames.caplen, kind="stable")
    sizes, first = np.unique(frames.caplen[by_size], return_index=True)
    for size, own in zip(sizes.tolist(), np.split(by_size, first[1:]), strict=True):
        if size:
            stretches(records, size)[body[own]] = stretches(data, size)[frames.offset[own]]
    return records

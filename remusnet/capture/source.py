"""Where a capture's bytes come from: a file or standard input, gzipped or not."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from remusnet.errors import InvalidInput, quoted
from remusnet.files import open_input

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
# A capture is held in memory whole. The bound is for what has no end (a device, a pipe) and for
# gzip, where a megabyte of file can be a gigabyte of zeros.
MAX_BYTES = 1 << 30
# Captures of frames that differ are packed 2 to 100 times; gzip can do 1032.
MAX_RATIO = 250
_NO_RATIO_BELOW = 8 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """What was read: ``data``, and ``problem``, which says why it may not be all ("" if it is)."""

    data: bytearray
    problem: str


def label(source: str | Path) -> str:
    """How messages name ``source``: its path in quotes, or "standard input" for ``"-"``."""
    return "standard input" if source == "-" else quoted(str(source))


def load(source: str | Path, magics: tuple[bytes, ...]) -> Content:
    """All bytes of ``source`` (a path, or ``"-"`` for standard input), inflated if gzipped.

    ``magics``: what a capture may begin with, 4 bytes each. Anything else is refused as soon as
    its first bytes are there. Gzip is told by its magic, whatever the name. Gzip data that is cut
    or damaged gives what inflates, and a problem.

    Raises InvalidInput: unreadable, not a capture, more than ``MAX_BYTES``, or packed more than
    ``MAX_RATIO`` times.
    """
    data = bytearray()
    try:
        if source == "-":
            if sys.stdin is None:  # started with its standard input closed
                raise InvalidInput("cannot read standard input: it is closed")
            _fill(data, sys.stdin.buffer.read, source, (*magics, _GZIP_MAGIC))
        else:
            # Unbuffered: the chunks are large, and a buffer would copy each once more.
            stream, first = open_input(source)
            data += first
            with stream:
                _fill(data, stream.read, source, (*magics, _GZIP_MAGIC))
    except OSError as error:
        raise InvalidInput(f"cannot read {label(source)}: {error.strerror}") from None
    except ValueError:  # a null byte, say; Python's own words for it differ between versions
        raise InvalidInput(f"cannot read {label(source)}: no file can have this name") from None
    return _inflate(data, source, magics) if data.startswith(_GZIP_MAGIC) else Content(data, "")


def _inflate(packed: bytearray, source: str | Path, magics: tuple[bytes, ...]) -> Content:
    data = bytearray()
    problem = ""
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
        try:
            # read1, not read: it hands over what it has before it trips over damage.
            _fill(data, stream.read1, source, magics, max(_NO_RATIO_BELOW, MAX_RATIO * len(packed)))
        except EOFError:
            problem = "its gzip data is cut"
        except (gzip.BadGzipFile, zlib.error):
            problem = "its gzip data is damaged"
    if len(data) < 4:
        raise _not_a_capture(source)
    return Content(data, problem)


def _fill(
    data: bytearray,
    read: Callable[[int], bytes | None],
    source: str | Path,
    magics: tuple[bytes, ...],
    plausible: int = MAX_BYTES,
) -> None:
    """``plausible``: more bytes than that are no capture, but meant to fill the memory."""
    while chunk := read(_CHUNK):
        data += chunk
        if len(data) >= 4 and not data.startswith(magics):
            raise _not_a_capture(source)
        if len(data) > MAX_BYTES:
            raise InvalidInput(
                f"{label(source)} is too large: remusnet reads captures of up to "
                f"{MAX_BYTES >> 20} MiB; split it with editcap -c"
            )
        if len(data) > plausible:
            raise InvalidInput(
                f"{label(source)} inflates to more than {MAX_RATIO} times its size, as no capture "
                "should; unpack it with gunzip first if you trust it"
            )
    if not data.startswith(magics):
        raise _not_a_capture(source)


def _not_a_capture(source: str | Path) -> InvalidInput:
    return InvalidInput(
        f"{label(source)} is not a capture; expected pcap or pcapng, gzipped or not"
    )

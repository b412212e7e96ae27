"""Reading a capture, whatever its format: from a file or standard input, gzipped or not."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from remusnet.capture import linktypes, pcap, pcapng
from remusnet.errors import InvalidInput, quoted
from remusnet.files import label, open_input
from remusnet.frames import Frames, Int64s

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


def load(source: str | Path, magics: tuple[bytes, ...]) -> Content:
    """All bytes of ``source`` (a path, or ``"-"`` for standard input), inflated if gzipped.

    ``magics``: what a capture may begin with, 4 bytes each. Anything else is refused as soon as its
    first bytes are there. The magic tells gzip, whatever the name. Gzip data that is cut or damaged
    gives what inflates, and a problem.

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


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture of Ethernet frames.

    ``frames``: in file order. Possibly none. ``numbers``: int64[n], the number of each in
    Wireshark: 1 to n, but where a pcapng has other blocks, or frames that are left out, between.
    ``warnings``: one line each, with the capture's name; a person should see them.
    ``name``: the path as it was given, or "standard input".
    """

    frames: Frames
    numbers: Int64s
    warnings: tuple[str, ...]
    name: str
    format: Literal["pcap", "pcapng"]


def read(source: str | Path) -> Capture:
    """The frames of ``source``: a path, or ``"-"`` for standard input.

    Reads pcap (microseconds and nanoseconds) and pcapng, in both byte orders, gzipped or not. A
    capture that is cut or damaged gives the whole frames before that place, and one warning.
    ``length`` is never below ``caplen``, even where the file says so. Frames of Linux cooked
    captures (``tcpdump -i any``), raw IP and BSD loopback get an Ethernet header that is made up,
    and a warning says so. Interfaces of other link types are left out of a pcapng, with a warning.

    Raises InvalidInput: no such file, not readable, not a capture, or none of its frames of a link
    type that is read.
    """
    content = load(source, (*pcap.MAGICS, pcapng.MAGIC))
    form: Literal["pcap", "pcapng"] = "pcapng" if content.data.startswith(pcapng.MAGIC) else "pcap"
    parsed = (pcapng if form == "pcapng" else pcap).parse(content.data, source)
    parsed.frames.data.setflags(write=False)

    warnings = []
    # Where the gzip data ends early, so does a record: that is one thing to tell, not two.
    if problem := content.problem or parsed.problem:
        count = len(parsed.frames)
        warnings.append(f"{label(source)}: {problem}; read the {count} whole frames before that")
    if parsed.untimed:
        warnings.append(
            f"{label(source)}: {parsed.untimed} frames have no time (simple packet blocks); "
            "they take that of the frame before them"
        )
    warnings += [
        f"{label(source)}: {count} frames of link type {linktypes.shown(link_type)} are left out"
        for link_type, count in parsed.foreign.items()
    ]
    if parsed.made_up:
        types = ", ".join(map(linktypes.shown, parsed.made_up))
        cooked = {linktypes.LINUX_SLL, linktypes.LINUX_SLL2} & set(parsed.made_up)
        # A capture on "any" has a forwarded frame once for each device.
        often = "; a frame that went through several devices is there several times"
        warnings.append(
            f"{label(source)}: frames of link type {types} have no Ethernet header: it is made up"
            + (often if cooked else "")
        )
    numbers = parsed.numbers
    if numbers is None:
        numbers = np.arange(1, len(parsed.frames) + 1, dtype=np.int64)
    return Capture(
        parsed.frames,
        numbers,
        tuple(warnings),
        "standard input" if source == "-" else str(source),
        form,
    )


def read_frames(source: str | Path) -> Capture:
    """As `read`, of a capture that has to have a frame. Raises InvalidInput also where none is."""
    recording = read(source)
    if not len(recording.frames):
        # One message for damage before the first frame: it is why there are none.
        why = recording.warnings[0] if recording.warnings else quoted(recording.name)
        raise InvalidInput(f"no frames: {why}")
    return recording

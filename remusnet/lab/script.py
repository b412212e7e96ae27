"""The files between a caller that wants frames replayed and the replay inside a kernel.

``terms``: JSON. ``steps``: what to do, in order of time. ``done``: when each step was done, and at
the end when the plug was opened. ``seen``: each sighting of a frame. Times are ns from the
beginning. Standard library only: it is read in a UML kernel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from struct import Struct
from typing import BinaryIO, NamedTuple

TERMS, STEPS, DONE, SEEN = "terms", "steps", "done", "seen"

TIME = Struct("<q")
SIGHTING = Struct("<BIqI")
"""Where (`Seen`), the frame's number, when, and the CRC-32 of its bytes."""

_STEP = Struct("<qI")
_MANY = 1 << 18
"""Bytes read at once."""
_BUFFER, _RELEASE = 0xFFFFFFFF, 0xFFFFFFFE
_MARK = b"\x02\xfe"  # of a locally administered address of one station


class Seen(IntEnum):
    """Where a frame was seen."""

    BUFFER = 0
    """Leaving the buffer device: the plug has released it."""
    CLIENT = 1


class Step(NamedTuple):
    """Send ``frame``; if that is empty, tell the plug: ``buffer``, or to release one epoch."""

    time_ns: int
    frame: bytes
    buffer: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """``policy``: TOML; ``limit`` of the plug in bytes; ``virtual``: whether the time is."""

    policy: str
    classifier: str
    limit: int
    virtual: bool

    def text(self) -> str:
        """As a file."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Terms:
        """Of a file."""
        return cls(**json.loads(text))


def numbered(frame: bytes, number: int) -> bytes:
    """``frame`` from a source address that says ``number``: no policy looks at that."""
    return frame[:6] + _MARK + number.to_bytes(4, "big") + frame[12:]


def number_of(frame: bytes) -> int | None:
    """The number of such a frame; None for all others."""
    return int.from_bytes(frame[8:12], "big") if frame[6:8] == _MARK else None


def written_steps(steps: Iterable[Step]) -> Iterator[bytes]:
    """As a file."""
    for step in steps:
        length = len(step.frame) or (_BUFFER if step.buffer else _RELEASE)
        yield _STEP.pack(step.time_ns, length) + step.frame


def read_steps(file: BinaryIO) -> Iterator[Step]:
    """Of a file; it is read many steps at a time.

    A read from a buffered file takes a lock, and that asks for the time: a system call each.
    """
    data, at = file.read(_MANY), 0
    while True:
        # A step may go on in what comes next.
        while len(data) - at >= _STEP.size:
            time_ns, length = _STEP.unpack_from(data, at)
            begin = at + _STEP.size
            if length in (_BUFFER, _RELEASE):
                yield Step(time_ns, b"", length == _BUFFER)
                at = begin
            elif len(data) - begin >= length:
                yield Step(time_ns, data[begin : begin + length])
                at = begin + length
            else:
                break
        more = file.read(_MANY)
        if not more:
            return
        data, at = data[at:] + more, 0

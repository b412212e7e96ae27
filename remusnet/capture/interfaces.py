"""The interfaces of a pcapng section: what they are, and how their clocks count.

Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html, section 4.2
(if_tsresol, if_tsoffset).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remusnet.frames import Int64s

_END_OF_OPTIONS, _TSRESOL, _TSOFFSET = 0, 9, 14
_NS = 1_000_000_000
_LARGEST_NS = 2**63 - 1
"""The 11th of April 2262: what an int64 of nanoseconds holds."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface description block.

    ``snap_length``: bytes, 0 for unlimited. ``ticks_per_second``: a power of 10 or of 2.
    ``offset_s``: seconds to add to every time.
    """

    link_type: int
    snap_length: int
    ticks_per_second: int = 1_000_000
    offset_s: int = 0

    def nanoseconds(self, ticks: npt.NDArray[np.uint64]) -> tuple[Int64s, npt.NDArray[np.bool_]]:
        """int64[n] nanoseconds since the Unix epoch (finer clocks are rounded down), bool[n].

        The second tells which times an int64 holds, up to the year 2262; the others are 0.
        """
        offset_ns = self.offset_s * _NS
        if _NS % self.ticks_per_second == 0 and offset_ns == 0:
            tick_ns = _NS // self.ticks_per_second
            valid = ticks <= np.uint64(_LARGEST_NS // tick_ns)
            time_ns = np.where(valid, ticks, np.uint64(0)).astype(np.int64) * tick_ns
            return time_ns, valid
        # Clocks of powers of 2, finer than ns, or set off are rare: exact Python integers will do.
        exact = [tick * _NS // self.ticks_per_second + offset_ns for tick in ticks.tolist()]
        valid = np.array([ns <= _LARGEST_NS for ns in exact], np.bool_)
        return np.array([ns if ns <= _LARGEST_NS else 0 for ns in exact], np.int64), valid


def parse(body: bytes, order: str) -> Interface | None:
    """The interface in ``body`` (a block without its head and tail, at least 8 bytes).

    None where its options contradict themselves.
    """
    link_type, _, snap_length = struct.unpack_from(f"{order}HHI", body)
    ticks_per_second = 1_000_000
    offset_s = 0
    for code, value in _options(body[8:], order):
        if value is None:
            return None
        if code == _TSRESOL:
            if len(value) != 1:
                return None
            exponent = value[0] & 0x7F
            ticks_per_second = 2**exponent if value[0] & 0x80 else 10**exponent
        elif code == _TSOFFSET:
            if len(value) != 8:
                return None
            (offset_s,) = struct.unpack(f"{order}q", value)
    if abs(offset_s) * _NS > _LARGEST_NS:
        return None
    return Interface(link_type, snap_length, ticks_per_second, offset_s)


def _options(body: bytes, order: str) -> Iterator[tuple[int, bytes | None]]:
    """Code and value of each option; the value is None where the block ends within it."""
    at = 0
    while at + 4 <= len(body):
        code, length = struct.unpack_from(f"{order}HH", body, at)
        if code == _END_OF_OPTIONS:
            return
        value = body[at + 4 : at + 4 + length]
        yield code, value if len(value) == length else None
        at += 4 + length + -length % 4

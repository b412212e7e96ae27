"""Frames column by column: what a capture is read into, and what everything else works on.

One array a property instead of one object a frame: 150,000 frames are judged and replayed in
fractions of a second, and a slice costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


def stretches(data: Bytes, size: int) -> npt.NDArray[np.void]:
    """void[len(data) - size + 1]: item i is the ``size`` bytes of ``data`` that begin at i.

    A view whose items overlap. Indexed with positions, it copies (or stores) all those stretches
    of bytes in one step, one memcpy each.
    """
    return np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))


def numbers(data: Bytes, at: Int64s, size: int) -> Int64s:
    """int64[n]: the big-endian numbers of ``size`` bytes (1, 2, 4 or 6) that begin at each ``at``.

    What would begin before ``data``, or reach beyond its end, is noise: a number of other bytes.
    """
    if size == 6:
        return (numbers(data, at, 2) << 32) | numbers(data, at + 2, 4)
    if len(data) < size:
        return np.zeros(len(at), np.int64)
    if size == 1:
        return np.take(data, at, mode="clip").astype(np.int64)
    # One look-up for all bytes of a number, wherever it begins: four times as fast as one a byte.
    every: npt.NDArray[Any] = np.ndarray((len(data) - size + 1,), f">u{size}", data, strides=(1,))
    found: Int64s = every[np.clip(at, 0, len(every) - 1)].astype(np.int64)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """n Ethernet frames in the order of their capture file.

    ``data``: uint8, all bytes that were read. ``offset``, ``caplen``: int64[n], where a frame's
    captured bytes lie in it and how many there are.
    ``length``: int64[n], bytes on the wire (more than ``caplen`` where a snap length cut a frame).
    ``time_ns``: int64[n], nanoseconds since the Unix epoch. Not necessarily ascending.
    """

    data: Bytes
    offset: Int64s
    caplen: Int64s
    length: Int64s
    time_ns: Int64s

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.offset, self.caplen, self.length, self.time_ns)}
        if len(shapes) != 1:
            raise ValueError(f"columns of different lengths: {shapes}")

    def __len__(self) -> int:
        return len(self.offset)

    def frame(self, index: int) -> bytes:
        """The captured bytes of frame ``index`` (counted from 0)."""
        start = int(self.offset[index])
        return self.data[start : start + int(self.caplen[index])].tobytes()

    def take(self, indices: Int64s) -> Frames:
        """The frames at ``indices``, in that order; the bytes are shared, not copied."""
        return Frames(
            self.data,
            self.offset[indices],
            self.caplen[indices],
            self.length[indices],
            self.time_ns[indices],
        )

    def at(self, time_ns: Int64s) -> Frames:
        """The same frames at other times."""
        return Frames(self.data, self.offset, self.caplen, self.length, time_ns)

    @classmethod
    def of(
        cls,
        frames: Sequence[bytes],
        time_ns: Sequence[int] | Int64s | None = None,
        length: Sequence[int] | Int64s | None = None,
    ) -> Frames:
        """Frames from byte strings; without times they are 1 ms apart, without lengths uncut."""
        caplen = np.fromiter(map(len, frames), np.int64, len(frames))
        offset = np.concatenate([np.zeros(1, np.int64), np.cumsum(caplen)[:-1]])[: len(frames)]
        if time_ns is None:
            time_ns = np.arange(len(frames), dtype=np.int64) * 1_000_000
        return cls(
            np.frombuffer(b"".join(frames), np.uint8),
            offset,
            caplen,
            caplen if length is None else np.asarray(length, np.int64),
            np.asarray(time_ns, np.int64),
        )

"""Frames column by column: what a capture is read into, and what everything else works on.

One array a property instead of one object a frame: 150,000 frames are judged and replayed in
fractions of a second, and a slice costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


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

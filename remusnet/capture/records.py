"""What the two formats have in common: the bound of a record, and bytes moved all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from remusnet.errors import InvalidInput
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


def check_frames(name: str, count: int, captured: int) -> None:
    """Raises InvalidInput where ``count`` frames with ``captured`` bytes in all are no capture."""
    if count > MAX_FRAMES:
        raise InvalidInput(
            f"{name} has more than {MAX_FRAMES} frames, the most that remusnet reads; "
            "split it with editcap -c"
        )
    if count > _FEW and captured < count * _SHORTEST:
        raise InvalidInput(
            f"{name} is not a capture of Ethernet: its first {count} frames have "
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

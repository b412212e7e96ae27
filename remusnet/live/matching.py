"""Frames matched before and after the plug: which of those that left is which of those sent.

A frame goes on byte for byte as it was sent, so equal bytes match; of frames that are equal (an ARP
request again and again) the first sent is the first that left, for a policy holds them all or none.
But what a failure took does not come back: then those sent after it come first. Nothing of the
plug's own record is used: a check of the plug must not ask it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np

from remusnet.frames import Frames, Int64s

NEVER = -1
_COMPARED = 256
"""Bytes of a frame that are looked at; with its length they tell any two segments apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """``left_ns``: int64[n], when each of n frames left, `NEVER` where it did not.

    ``unknown``: frames that left and that no tap saw sent.
    """

    left_ns: Int64s
    unknown: int


def matched(sent: Frames, left: Frames, failed_ns: int | None = None) -> Matched:
    """Both in order of time; ``failed_ns``: when all that was held then was lost."""
    waiting: dict[tuple[int, bytes], deque[int]] = defaultdict(deque)
    after: dict[tuple[int, bytes], deque[int]] = defaultdict(deque)
    begun = sent.time_ns.tolist()
    for row, key in enumerate(_keys(sent)):
        new = failed_ns is not None and begun[row] >= failed_ns
        (after if new else waiting)[key].append(row)
    left_ns = np.full(len(sent), NEVER, np.int64)
    unknown = 0
    times = left.time_ns.tolist()
    for row, key in enumerate(_keys(left)):
        rows = waiting.get(key)
        newer = after.get(key)
        if newer and begun[newer[0]] <= times[row]:
            rows = newer
        if rows:
            left_ns[rows.popleft()] = times[row]
        else:
            unknown += 1
    return Matched(left_ns, unknown)


def _keys(frames: Frames) -> list[tuple[int, bytes]]:
    data = frames.data.tobytes()
    table = zip(frames.offset.tolist(), frames.caplen.tolist(), frames.length.tolist(), strict=True)
    return [
        (length, data[offset : offset + min(captured, _COMPARED)])
        for offset, captured, length in table
    ]

"""Frames matched before and after the plug: which of those that left is which of those sent.

A frame goes on byte for byte as it was sent, so equal bytes match; of frames that are equal (an ARP
request again and again) the first sent is the first that left, for a policy holds them all or none.
But what a failure took does not come back: then those sent after it come first. Nothing of the
plug's own record is used: a check of the plug must not ask it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from remusnet.frames import Frames, Int64s

NEVER = -1
_COMPARED = 256
"""Bytes of a frame that are looked at; with its length they tell any two segments apart."""
_DIGEST = 16


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """``left_ns``: int64[n], when each of n frames left, `NEVER` where it did not.

    ``unknown``: frames that left and that no tap saw sent.
    """

    left_ns: Int64s
    unknown: int


def matched(sent: Frames, left: Frames, failed_ns: int | None = None) -> Matched:
    """Both in order of time; ``failed_ns``: when all that was held then was lost.

    It takes some 200 bytes a frame: a run of an hour has millions.
    """
    known: dict[bytes, int] = {}
    queue = 2 * _kinds(sent, known)
    if failed_ns is not None:
        queue += sent.time_ns >= failed_ns
    going = 2 * _kinds(left, known)
    # Queue 2k has the frames of kind k, queue 2k + 1 those of them that came after the failure.
    rows = np.argsort(queue, kind="stable")
    counts = np.bincount(queue, minlength=2 * len(known))
    ends = np.cumsum(counts)
    first, end, at = (ends - counts).data, ends.data, rows.data
    begun, times = sent.time_ns.data, left.time_ns.data
    left_ns = np.full(len(sent), NEVER, np.int64)
    unknown = 0
    for row, old in enumerate(going.data):
        new = old + 1
        if first[new] < end[new] and begun[at[first[new]]] <= times[row]:
            chosen = new
        elif first[old] < end[old]:
            chosen = old
        else:
            unknown += 1
            continue
        left_ns[at[first[chosen]]] = times[row]
        first[chosen] += 1
    return Matched(left_ns, unknown)


def _kinds(frames: Frames, known: dict[bytes, int]) -> Int64s:
    """int64[n]: a number for each frame, the same for equal ones; those so far are ``known``."""
    data = frames.data.data
    found = np.empty(len(frames), np.int64)
    columns = (each.data for each in (frames.offset, frames.caplen, frames.length))
    for row, (offset, captured, length) in enumerate(zip(*columns, strict=True)):
        compared = data[offset : offset + min(captured, _COMPARED)]
        key = blake2b(compared, digest_size=_DIGEST).digest() + length.to_bytes(4)
        found[row] = known.setdefault(key, len(known))
    return found

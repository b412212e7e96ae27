"""Fragmented UDP datagrams of a capture, put together (RFC 791, section 3.2; RFC 8200, 4.5)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import FRAGMENTS, Columns
from remusnet.frames import Frames, Int64s
from remusnet.policy.policy import UDP, Fragment

_UDP_HEADER = 8
_LARGEST = 65_535
"""Bytes of a datagram; what claims to lie behind them is damage."""
_PATIENCE_NS = 30_000_000_000
"""Linux's ipfrag_time: fragments further apart are of two datagrams with one identification."""
_FRAGMENT_HEADER = 44
_SKIPPED = (0, 43, 60)
"""Headers before the fragment header that only routers look at: hop-by-hop, routing, options."""
MOST_FRAGMENTS = 100_000
"""That are looked at, one by one: SIP needs few, and a capture of nothing else has many."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One fragment: ``frame`` is its index, ``key`` tells its datagram, ``offset`` its place."""

    frame: int
    key: tuple[bytes, bytes, int]
    offset: int
    body: bytes


def fragmented_datagrams(
    frames: Frames, columns: Columns, traced: Int64s
) -> list[tuple[int, bytes]]:
    """UDP payloads of the datagrams that ``traced`` fragments (int64[n], indices) belong to.

    Each with the index of its first frame. Fragments may come in any order, twice, or not at all:
    where one is missing, ``reassembled`` has a line's end in its place.
    """
    whole = FRAGMENTS.index(Fragment.WHOLE)
    fragment = (columns.fragment > whole) & (columns.protocol == UDP)
    mine = traced[fragment[traced]]
    if len(mine) == 0:
        return []
    # Few pairs of hosts have SIP in fragments: the others' fragments aren't looked at.
    pairs = np.stack([*columns.source.T, *columns.destination.T], axis=1)
    wanted = {row.tobytes() for row in pairs[mine]}
    near = [i for i in np.flatnonzero(fragment).tolist() if pairs[i].tobytes() in wanted]
    near.sort(key=lambda index: int(frames.time_ns[index]))
    by_key: dict[tuple[bytes, bytes, int], list[Piece]] = defaultdict(list)
    for index in near[:MOST_FRAGMENTS]:
        piece = _piece(index, frames, columns)
        if piece is not None:
            by_key[piece.key].append(piece)
    found = []
    traces = frozenset(mine.tolist())
    for pieces in by_key.values():
        for datagram in _apart(pieces, frames.time_ns):
            if any(piece.frame in traces for piece in datagram):
                text = reassembled([(piece.offset, piece.body) for piece in datagram])
                found.append((min(piece.frame for piece in datagram), text[_UDP_HEADER:]))
    return found


def reassembled(parts: list[tuple[int, bytes]]) -> bytes:
    """Bytes from (place, bytes) pairs, in any order.

    Copies and overlaps keep the bytes that lie first; a gap becomes a line's end, so that the
    halves of two lines never join into a third.
    """
    joined: list[bytes] = []
    end: int | None = None
    for start, body in sorted(parts, key=lambda part: part[0]):
        fresh = body
        if end is not None and start > end:
            joined.append(_GAP)
        elif end is not None:
            fresh = body[end - start :]
        joined.append(fresh)
        end = max(start + len(body), start if end is None else end)
    return b"".join(joined)


_GAP = b"\n"


def _apart(pieces: list[Piece], time_ns: Int64s) -> list[list[Piece]]:
    """The datagrams of one identification, which senders use again."""
    found: list[list[Piece]] = []
    last_ns = 0
    for piece in pieces:
        now_ns = int(time_ns[piece.frame])
        if not found or now_ns - last_ns > _PATIENCE_NS:
            found.append([])
        found[-1].append(piece)
        last_ns = now_ns
    return found


def _piece(index: int, frames: Frames, columns: Columns) -> Piece | None:
    """None where its headers are cut, or not those of a fragment."""
    frame = frames.frame(index)
    at = 14 + 4 * int(columns.tags[index])
    if columns.ip_version[index] == 4:
        if len(frame) < at + 20:
            return None
        size = (frame[at] & 0x0F) * 4
        total = int.from_bytes(frame[at + 2 : at + 4], "big")
        identification = int.from_bytes(frame[at + 4 : at + 6], "big")
        offset = (int.from_bytes(frame[at + 6 : at + 8], "big") & 0x1FFF) * 8
        ends, body = frame[at + 12 : at + 20], frame[at + size : at + total]
    else:
        ends = frame[at + 8 : at + 40]
        end = at + 40 + int.from_bytes(frame[at + 4 : at + 6], "big")
        following, at = frame[at + 6] if len(frame) > at + 6 else 0, at + 40
        while following in _SKIPPED and len(frame) >= at + 8:
            following, at = frame[at], at + 8 + 8 * frame[at + 1]
        if following != _FRAGMENT_HEADER or len(frame) < at + 8:
            return None
        identification = int.from_bytes(frame[at + 4 : at + 8], "big")
        offset = int.from_bytes(frame[at + 2 : at + 4], "big") & 0xFFF8
        body = frame[at + 8 : end]
    half = len(ends) // 2
    if offset + len(body) > _LARGEST:
        return None
    return Piece(index, (ends[:half], ends[half:], identification), offset, body)

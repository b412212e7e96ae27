"""The text of SIP messages in a capture: whole datagrams, and TCP directions put together."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from remusnet.classify.columns import Columns
from remusnet.frames import Frames, Int64s
from remusnet.metrics.flows import flow_keys
from remusnet.policy.match import TCP, UDP

# What a message with SDP contains; a TCP segment border may cut one of them, but not all.
_TRACE = re.compile(rb"SIP/2\.0|m=audio|a=rtpmap:")
_SYN = 0x02
_GAP = b"\n"


def signalling_texts(frames: Frames, columns: Columns) -> list[bytes]:
    """Text that may hold SDP, in order of its first frames; most captures have little of it.

    A datagram is one text (of a fragmented one, its first fragment), a TCP direction another.
    """
    traced = _traced_frames(frames, columns)
    if len(traced) == 0:
        return []
    flow, first = flow_keys(columns)
    texts: list[tuple[int, bytes]] = [
        (index, _payload(frames, columns, index))
        for index in traced[columns.protocol[traced] == UDP].tolist()
    ]
    for number in np.unique(flow[traced[columns.protocol[traced] == TCP]]).tolist():
        segments = np.flatnonzero((flow == number) & (columns.payload >= 0))
        texts += [(first[number], text) for text in _tcp_texts(frames, columns, segments)]
    return [text for _, text in sorted(texts, key=lambda entry: entry[0])]


def reassembled(segments: list[tuple[int, bytes]]) -> bytes:
    """One TCP direction from (relative sequence number, payload) pairs, in any order.

    Copies and overlaps keep the bytes that lie first in sequence order; a gap becomes a line end,
    so that the halves of two lines never join into a third.
    """
    parts: list[bytes] = []
    end: int | None = None
    for start, payload in sorted(segments, key=lambda segment: segment[0]):
        fresh = payload
        if end is not None and start > end:
            parts.append(_GAP)
        elif end is not None:
            fresh = payload[end - start :]
        parts.append(fresh)
        end = max(start + len(payload), start if end is None else end)
    return b"".join(parts)


def _traced_frames(frames: Frames, columns: Columns) -> Int64s:
    """Frames whose TCP or UDP payload contains a trace of SIP or SDP, ascending."""
    hits = np.fromiter((hit.start() for hit in _TRACE.finditer(frames.data.data)), np.int64)
    # Frames taken from others share their bytes and need not lie in order.
    order = np.argsort(frames.offset, kind="stable")
    place = np.searchsorted(frames.offset[order], hits, side="right") - 1
    found = np.unique(order[place[place >= 0]])
    return found[columns.payload[found] >= 0]


def _payload(frames: Frames, columns: Columns, index: int) -> bytes:
    start = int(columns.payload[index])
    return frames.data[start : start + int(columns.payload_present[index])].tobytes()


def _tcp_texts(frames: Frames, columns: Columns, segments: Int64s) -> list[bytes]:
    """The texts of one direction, one for each connection that used it (a SYN begins one)."""
    segments = segments[np.argsort(frames.time_ns[segments], kind="stable")]
    connections: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    opened, base = 0, None
    for index in segments.tolist():
        header = _tcp_header(frames, columns, index)
        if header is None:
            continue
        sequence = int.from_bytes(header[4:8], "big")
        if header[13] & _SYN and sequence != base:
            opened, base = opened + 1, sequence
        if base is None:
            base = sequence
        payload = _payload(frames, columns, index)
        if payload:
            relative = (sequence - base + 2**31) % 2**32 - 2**31
            connections[opened].append((relative, payload))
    return [reassembled(parts) for parts in connections.values()]


def _tcp_header(frames: Frames, columns: Columns, index: int) -> npt.NDArray[np.uint8] | None:
    """The first 20 bytes of the TCP header; None behind extension headers, where no SIP is."""
    at = int(frames.offset[index]) + 14 + 4 * int(columns.tags[index])
    at += (int(frames.data[at]) & 0x0F) * 4 if columns.ip_version[index] == 4 else 40
    header = frames.data[at : at + 20]
    ports = columns.sport[index] << 16 | columns.dport[index]
    return header if int.from_bytes(header[:4], "big") == ports and len(header) == 20 else None

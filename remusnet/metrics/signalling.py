"""The text of SIP messages in a capture: datagrams and TCP directions, put together."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from remusnet.classify.columns import FRAGMENTS, Columns
from remusnet.frames import Frames, Int64s
from remusnet.metrics.flows import flow_keys
from remusnet.metrics.fragments import fragmented_datagrams, reassembled
from remusnet.policy.policy import TCP, UDP, Fragment

# What a message with SDP contains; a TCP segment border may cut one of them, but not all.
# One by one: a search for several at once, or for a letter of either case, takes 4 to 20 times as
# long (514 ms of 30 MB, where these take 24 ms together).
_TRACES = tuple(re.compile(trace) for trace in (rb"SIP/2\.0", rb"=audio", rb"=rtpmap:"))
_SYN = 0x02
MOST_BYTES = 1 << 24
"""Of one TCP connection's direction that are read, from its first on: 16 MiB of SIP are tens of
thousands of messages. What claims to lie further off is damage, or no SIP."""


def signalling_texts(frames: Frames, columns: Columns) -> list[bytes]:
    """Text that may hold SDP, in order of its first frames; most captures have little of it.

    A datagram is one text, its fragments put together; a TCP direction is another, its segments in
    order, up to `MOST_BYTES` of each connection.
    """
    traced = _traced_frames(frames, columns)
    if len(traced) == 0:
        return []
    flow, first = flow_keys(columns)
    texts: list[tuple[int, bytes]] = [
        (index, _payload(frames, columns, index))
        for index in traced[
            (columns.protocol[traced] == UDP)
            & (columns.fragment[traced] == FRAGMENTS.index(Fragment.WHOLE))
        ].tolist()
    ]
    texts += fragmented_datagrams(frames, columns, traced)
    for number in np.unique(flow[traced[columns.protocol[traced] == TCP]]).tolist():
        segments = np.flatnonzero((flow == number) & (columns.payload >= 0))
        texts += [(first[number], text) for text in _tcp_texts(frames, columns, segments)]
    return [text for _, text in sorted(texts, key=lambda entry: entry[0])]


def _traced_frames(frames: Frames, columns: Columns) -> Int64s:
    """Frames whose TCP or UDP payload contains a trace of SIP or SDP, ascending."""
    found_at = (hit.start() for trace in _TRACES for hit in trace.finditer(frames.data.data))
    hits = np.fromiter(found_at, np.int64)
    # Frames taken from others share their bytes and need not lie in order.
    order = np.argsort(frames.offset, kind="stable")
    place = np.searchsorted(frames.offset[order], hits, side="right") - 1
    found = np.unique(order[place[place >= 0]])
    # A later fragment has no payload that columns know of.
    later = columns.fragment[found] == FRAGMENTS.index(Fragment.LATER)
    carrying: Int64s = found[(columns.payload[found] >= 0) | later]
    return carrying


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
        relative = (sequence - base + 2**31) % 2**32 - 2**31
        if payload and abs(relative) < MOST_BYTES:
            connections[opened].append((relative, payload))
    return [reassembled(parts) for parts in connections.values()]


def _tcp_header(frames: Frames, columns: Columns, index: int) -> npt.NDArray[np.uint8] | None:
    """The first 20 bytes of the TCP header; None behind extension headers, where no SIP is."""
    at = int(frames.offset[index]) + 14 + 4 * int(columns.tags[index])
    at += (int(frames.data[at]) & 0x0F) * 4 if columns.ip_version[index] == 4 else 40
    header = frames.data[at : at + 20]
    ports = columns.sport[index] << 16 | columns.dport[index]
    return header if int.from_bytes(header[:4], "big") == ports and len(header) == 20 else None

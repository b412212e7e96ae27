"""SIP requests of a capture, each with what answered it: how long calls take to set up.

A message is read from the frame that it begins in (RFC 3261, section 7): over UDP that is all of
it, or its first fragment; over TCP what a sender wrote at once begins a segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Frames, Int64s, numbers
from remusnet.policy.policy import TCP, UDP

_METHODS = (
    "INVITE REGISTER OPTIONS BYE CANCEL PRACK UPDATE INFO SUBSCRIBE NOTIFY REFER MESSAGE PUBLISH"
)
_BEGINNINGS = [
    int.from_bytes(f"{word} "[:4].encode(), "big") for word in (*_METHODS.split(), "SIP/")
]
_FIRST_BYTES = np.isin(np.arange(256), [each >> 24 for each in _BEGINNINGS])
_RINGING = b"180"
_STATUS = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2})[ \r]")
_METHOD = re.compile(rb"([A-Z]+) [^ \r\n]+ SIP/2\.0\r\n")
# Field names of either case, and their compact forms (7.3.1, 7.3.3).
_CALL_ID = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]+?)[ \t]*\r\n", re.IGNORECASE)
_CSEQ = re.compile(rb"\r\ncseq[ \t]*:\s*([0-9]+)\s+([A-Z]+)", re.IGNORECASE)
_BRANCH = re.compile(
    rb"\r\n(?:via|v)[ \t]*:[^\r\n,]*?;[ \t]*branch[ \t]*=[ \t]*([^;,\s]+)", re.IGNORECASE
)
_TO_TAG = re.compile(rb"\r\n(?:to|t)[ \t]*:[^\r\n]*?;[ \t]*tag[ \t]*=", re.IGNORECASE)
_MOST_BYTES = 4096
"""Of a message, that are looked at: the fields that matter stand at its begin."""
_MIRRORED_NS = 10_000_000
"""What comes again sooner was copied on its way: no timer of SIP is as short (17.1.1.1)."""
MOST_MESSAGES = 200_000
"""That are read, one by one, from the first on: an hour of forty calls a second."""


@dataclass(slots=True)
class SipRequest:
    """One request and what answered it: a transaction (RFC 3261, section 17), told by its branch.

    ``name``: the method, ``re-INVITE`` within a dialog. ``transport``: ``udp`` or ``tcp``.
    ``request``, ``final``: indices of the frames in which the request and its first final response
    begin, ``ringing`` the one of its first 180; None where none came. ``copies``: how often the
    request or the final response came again.
    """

    name: str
    call_id: str
    transport: str
    request: int
    final: int | None = None
    ringing: int | None = None
    copies: int = 0


def sip_requests(frames: Frames, columns: Columns) -> list[SipRequest]:
    """The requests of a capture, in order of time; ACK, which nothing answers, is left out.

    Two hops of one request, before and behind a proxy, are two: their branches differ.
    """
    found: dict[tuple[bytes, bytes, bytes, bytes], SipRequest] = {}
    last_ns: dict[tuple[int, bool], int] = {}
    for index in _beginnings(frames, columns)[:MOST_MESSAGES].tolist():
        start = int(columns.payload[index])
        here = min(int(columns.payload_present[index]), _MOST_BYTES)
        text = frames.data[start : start + here].tobytes()
        method, status = _METHOD.match(text), _STATUS.match(text)
        if method is None and (status is None or (status[1] < b"200" and status[1] != _RINGING)):
            continue
        call_id, cseq, branch = (each.search(text) for each in (_CALL_ID, _CSEQ, _BRANCH))
        if call_id is None or cseq is None or branch is None or cseq[2] == b"ACK":
            continue
        key = (call_id[1], cseq[1], cseq[2], branch[1])
        known = found.get(key)
        if method is not None and method[1] == cseq[2]:
            if known is None:
                found[key] = known = _request(text, call_id[1], cseq[2], columns, index)
            elif _later(last_ns, (known.request, False), frames, index):
                known.copies += 1
        elif status is not None and status[1] == _RINGING:
            if known is not None and known.ringing is None:
                known.ringing = index
            continue
        elif status is not None and known is not None:
            if known.final is None:
                known.final = index
            elif _later(last_ns, (known.request, True), frames, index):
                known.copies += 1
        else:
            continue
        last_ns[known.request, method is None] = int(frames.time_ns[index])
    return list(found.values())


def _beginnings(frames: Frames, columns: Columns) -> Int64s:
    """Frames whose payload begins as SIP does, in order of time."""
    carries = (columns.protocol == UDP) | (columns.protocol == TCP)
    rows = np.flatnonzero(carries & (columns.payload >= 0) & (columns.payload_present >= 4))
    # Most payloads are RTP's, and their first byte says that they aren't SIP's.
    rows = rows[_FIRST_BYTES[frames.data[columns.payload[rows]]]]
    rows = rows[np.isin(numbers(frames.data, columns.payload[rows], 4), _BEGINNINGS)]
    return rows[np.argsort(frames.time_ns[rows], kind="stable")]


def _request(text: bytes, call_id: bytes, method: bytes, columns: Columns, row: int) -> SipRequest:
    name = method.decode()
    if name == "INVITE" and _TO_TAG.search(text):
        name = "re-INVITE"
    transport = "tcp" if columns.protocol[row] == TCP else "udp"
    return SipRequest(name, call_id.decode(errors="backslashreplace"), transport, row)


def _later(
    last_ns: dict[tuple[int, bool], int], what: tuple[int, bool], frames: Frames, index: int
) -> bool:
    return int(frames.time_ns[index]) - last_ns[what] >= _MIRRORED_NS

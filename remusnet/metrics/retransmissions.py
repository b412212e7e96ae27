"""TCP segments that were sent again, told from their sequence numbers (RFC 9293, 3.4)."""

from __future__ import annotations

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Bools, Frames, numbers
from remusnet.metrics.flows import flow_keys
from remusnet.policy.policy import TCP

_ETHERNET, _TAG, _IPV6 = 14, 4, 40
_SYN, _FIN = 0x02, 0x01
_HALF, _WHOLE = 1 << 31, 1 << 32


def retransmitted(frames: Frames, headers: Columns) -> Bools:
    """bool[n]: which of n frames, in order of time, carry only data that their flow has sent.

    A flow is one direction of a connection. A SYN or FIN counts as a byte of data, and an empty
    segment never as one sent again; a keep-alive's byte does. Fragments, and IPv6 with extension
    headers, are left out.
    """
    again = np.zeros(len(frames), np.bool_)
    header = _ETHERNET + _TAG * headers.tags
    version_4 = headers.ip_version == 4
    words = numbers(frames.data, frames.offset + header, 1) & 0x0F
    header = header + np.where(version_4, words * 4, _IPV6)
    at = frames.offset + header
    known = (headers.protocol == TCP) & (headers.fragment == 0) & (headers.sport >= 0)
    known &= header + 20 <= frames.caplen
    # Where the ports are not, something else stands between the headers.
    known &= numbers(frames.data, at, 2) == headers.sport
    flags = numbers(frames.data, at + 13, 1)
    length = headers.payload_length + ((flags & _SYN) != 0) + ((flags & _FIN) != 0)
    rows = np.flatnonzero(known & (length > 0))
    if not len(rows):
        return again
    flow, _ = flow_keys(headers)
    sequence = numbers(frames.data, at + 4, 4)
    syn = (flags & _SYN) != 0
    highest: dict[int, int] = {}
    for row in rows.tolist():
        key, start = int(flow[row]), int(sequence[row])
        end = (start + int(length[row])) % _WHOLE
        before = highest.get(key)
        if before is None or (syn[row] and start != (before - 1) % _WHOLE):
            highest[key] = end  # a new connection on the same ports
        elif _after(end, before):
            highest[key] = end
        else:
            again[row] = True
    return again


def _after(one: int, other: int) -> bool:
    """Whether a sequence number is beyond another, around the corner of 2**32."""
    return 0 < (one - other) % _WHOLE < _HALF

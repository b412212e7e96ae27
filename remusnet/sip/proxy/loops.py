"""Loops and breadth (RFC 3261, 16.3 and 16.6; RFC 5393).

The branch of our Via carries a hash of what decides where a request goes. A request that comes back
with the same hash would go round for ever; with another one it is a spiral, which is allowed.
"""

from __future__ import annotations

import hashlib

from remusnet.sip.message import Malformed, Request
from remusnet.sip.message.build import tag_of
from remusnet.sip.message.via import MAGIC, read

_BYTES = 8
DEFAULT_BREADTH = 60  # RFC 5393, 5.3.3


def fingerprint(request: Request) -> bytes:
    """A hash of all by which a request is routed (RFC 5393, 4.2.1), as it came."""
    number = (request.get("cseq") or b"").split()[:1]
    fields = [
        request.uri,
        *request.values("route")[:1],
        b"\0",
        *request.lines("proxy-require"),
        tag_of(request.get("from") or b""),
        tag_of(request.get("to") or b""),
        request.call_id,
        *number,
    ]
    return hashlib.blake2b(b"\n".join(fields), digest_size=_BYTES).hexdigest().encode()


def branch(print_: bytes, unique: str) -> bytes:
    """A branch that carries a fingerprint."""
    return MAGIC + print_ + b"." + unique.encode()


def has_looped(request: Request, print_: bytes, own: frozenset[bytes]) -> bool:
    """Whether a Via of ours (``own``: our sent-by values) carries the same fingerprint."""
    for value in request.values("via"):
        try:
            via = read(value)
        except Malformed:
            continue
        if via.sent_by in own and via.branch.startswith(MAGIC + print_ + b"."):
            return True
    return False


def breadth(request: Request) -> int:
    """Max-Breadth: how many branches the request may still have at one time."""
    text = request.get("max-breadth")
    if text is None or not text.isdigit():
        return DEFAULT_BREADTH
    return min(int(text[:6]), DEFAULT_BREADTH)


def shares(total: int, branches: int) -> list[int]:
    """What each of ``branches`` gets of a breadth; as many as there are, each at least 1."""
    count = min(total, branches)
    return [total // count + (place < total % count) for place in range(count)]

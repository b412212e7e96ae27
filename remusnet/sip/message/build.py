"""Messages of our own: responses (8.2.6), ACK (17.1.1.3) and CANCEL (9.1)."""

from __future__ import annotations

import secrets
from functools import lru_cache
from hashlib import blake2b

from remusnet.sip.message.headers import header
from remusnet.sip.message.message import Request, Response

# RFC 3261, 21, and the RFCs of the later ones.
REASONS = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    423: "Interval Too Brief",
    440: "Max-Breadth Exceeded",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
}
_KEY = secrets.token_bytes(16)
_EMPTY = header("Content-Length", b"0")
# Longer values are read each time: strangers must not fill the memory with them.
_REMEMBERED = 256
_COPIED = (b"via", b"from", b"to", b"call-id", b"cseq")


def respond(
    request: Request, status: int, *, tag: str = "", reason: str = "", contact: bytes | None = None
) -> Response:
    """A response to ``request`` (8.2.6.2).

    ``tag``: of To, where the request's To has none; a 100 has none of its own. A 100 carries the
    request's Timestamp.
    """
    headers = []
    for found in request.headers:
        if found.name in _COPIED:
            if found.name == b"to" and tag and status != 100 and not has_tag(found.value):
                headers.append(header("To", found.value + b";tag=" + tag.encode()))
            else:
                headers.append(found)
        elif status == 100 and found.name == b"timestamp":
            headers.append(found)
    if contact is not None:
        headers.append(header("Contact", contact))
    headers.append(_EMPTY)
    text = reason or REASONS.get(status, "Unknown")
    return Response(status, text.encode(), headers)


def reply(request: Request, status: int, *, reason: str = "") -> Response:
    """This server's own response: all that it gives to a request have the same tag (8.2.6.2)."""
    return respond(request, status, tag=own_tag(request), reason=reason)


def own_tag(request: Request) -> str:
    """The tag of this server's responses to ``request``: no client can guess it (19.3), and a
    repetition of the request gets the same (8.2.7)."""
    number = (request.get("cseq") or b"").split()[:1]
    fields = (request.call_id, tag_of(request.get("from") or b""), *number)
    return blake2b(b"\n".join(fields), key=_KEY, digest_size=8).hexdigest()


def has_tag(address: bytes) -> bool:
    """Whether a From or To value has a tag: a parameter of the header, not of its URI."""
    behind = address.rpartition(b">")[2] if b">" in address else address
    return any(part.strip().lower().startswith(b"tag=") for part in behind.split(b";")[1:])


def tag_of(address: bytes) -> bytes:
    """The tag of a From or To value; empty where it has none."""
    return _remembered_tag(address) if len(address) <= _REMEMBERED else _tag_of(address)


def _tag_of(address: bytes) -> bytes:
    behind = address.rpartition(b">")[2] if b">" in address else address
    for part in behind.split(b";")[1:]:
        name, _, value = part.strip().partition(b"=")
        if name.strip().lower() == b"tag":
            return value.strip()
    return b""


# Each is read some times, and those of a call stand in all of its messages.
_remembered_tag = lru_cache(maxsize=4096)(_tag_of)


def ack(request: Request, response: Response) -> Request:
    """The ACK of a client transaction for a final response that is no 2xx (17.1.1.3)."""
    made = _within(request, b"ACK")
    to = response.get("to")
    if to is not None:
        made.set("To", to)
    return made


def cancel(request: Request) -> Request:
    """The CANCEL for a request that was sent (9.1)."""
    return _within(request, b"CANCEL")


def _within(request: Request, method: bytes) -> Request:
    """A request of another method in the place of one that was sent: same branch, same Route."""
    kept = [
        found
        for found in request.headers
        if found.name in (b"from", b"to", b"call-id", b"route", b"max-forwards")
    ]
    via = request.values("via")[0]
    number = request.cseq[0]
    headers = [
        header("Via", via),
        *kept,
        header("CSeq", b"%d %b" % (number, method)),
        _EMPTY,
    ]
    return Request(method, request.uri, headers)

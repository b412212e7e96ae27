"""A SIP message as it came, and as it goes on (RFC 3261, 7).

Reading one finds its lines; what a line says is read when it is asked for. Editing makes a new
list of lines, so that what was received stays what it was: a transaction sends it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn, TypeVar

from remusnet.sip.message.headers import Header, canonical, header, split_list
from remusnet.sip.message.malformed import Malformed
from remusnet.sip.message.uri import is_address

M = TypeVar("M", bound="Message")

# A start line may have more blanks than one: phones do that. SIP is SIP in any case (7.1).
_REQUEST_LINE = re.compile(
    rb"([A-Za-z0-9\-.!%*_+`'~]++)[ \t]++(\S++)[ \t]++(?i:SIP)[ \t]*+/[ \t]*+([0-9.]++)[ \t]*+"
)
_LOOSE_REQUEST_LINE = re.compile(rb"([A-Za-z0-9\-.!%*_+`'~]++)[ \t]++(.*+)", re.DOTALL)
_STATUS_LINE = re.compile(
    rb"(?i:SIP)[ \t]*+/[ \t]*+([0-9.]++)[ \t]++([0-9]++)(?:[ \t]++(.*+))?", re.DOTALL
)
_END = re.compile(rb"\r?\n\r?\n")
# A line's end that no fold follows.
_LINE_END = re.compile(rb"\r?\n(?![ \t])")
# Some take it for a line's end: a header could hide behind it.
_LONE_CR = re.compile(rb"\r(?!\n)")
_NUMBER = re.compile(rb"[0-9]+")
_CSEQ = re.compile(rb"([0-9]+)[ \t]+(\S+)")
LARGEST_CSEQ = 2**31 - 1  # RFC 3261, 8.1.1.5: less than 2**31
# Those that may stand once (RFC 3261, 7.3.1 and 20).
_ONCE = (b"from", b"to", b"call-id", b"cseq", b"max-forwards", b"content-length")


class Message:
    """What requests and responses have in common. ``headers`` are in the order of the wire."""

    __slots__ = ("body", "headers")

    def __init__(self, headers: list[Header], body: bytes = b"") -> None:
        self.headers = headers
        self.body = body

    @property
    def start_line(self) -> bytes:
        """The first line, without its end."""
        raise NotImplementedError

    def serialize(self) -> bytes:
        """The message as it goes on the wire."""
        return b"\r\n".join(
            [self.start_line, *[header.line for header in self.headers], b"", self.body]
        )

    def get(self, name: str) -> bytes | None:
        """The value of the first header of that name (lower case); None where there is none."""
        wanted = name.encode()
        for found in self.headers:
            if found.name == wanted:
                return found.value
        return None

    def has(self, name: str) -> bool:
        """Whether there is a header of that name (lower case)."""
        wanted = name.encode()
        return any(found.name == wanted for found in self.headers)

    def values(self, name: str) -> list[bytes]:
        """The values of all headers of that name, those in lists one by one."""
        wanted = name.encode()
        return [
            value
            for found in self.headers
            if found.name == wanted
            for value in split_list(found.value)
        ]

    def lines(self, name: str) -> list[bytes]:
        """The values of all headers of that name, which are no lists (dates, challenges)."""
        wanted = name.encode()
        return [found.value for found in self.headers if found.name == wanted]

    def copy(self: M) -> M:
        """One whose headers can be changed while this one stays."""
        raise NotImplementedError

    # Edits, in place: of a copy.

    def set(self, name: str, value: bytes) -> None:
        """One header of that name (as it is written) with this value, in the place of the first."""
        new = header(name, value)
        place = next((i for i, old in enumerate(self.headers) if old.name == new.name), None)
        if place is None:
            self.headers.append(new)
        else:
            rest = [old for old in self.headers[place + 1 :] if old.name != new.name]
            self.headers[place:] = [new, *rest]

    def push(self, name: str, value: bytes) -> None:
        """A header above the first of its name (at the top if there is none): Via, Route."""
        new = header(name, value)
        place = next((i for i, old in enumerate(self.headers) if old.name == new.name), 0)
        self.headers.insert(place, new)

    def add(self, name: str, value: bytes) -> None:
        """A header below all others."""
        self.headers.append(header(name, value))

    def pop(self, name: str) -> bytes | None:
        """Take out the topmost value of that name (lower case), also from a list."""
        wanted = name.encode()
        for place, found in enumerate(self.headers):
            if found.name != wanted:
                continue
            first, *rest = split_list(found.value) or [b""]
            if rest:
                written = found.line.partition(b":")[0].rstrip()
                self.headers[place] = Header(wanted, written + b": " + b", ".join(rest))
            else:
                del self.headers[place]
            return first
        return None

    def remove(self, name: str) -> None:
        """Take out all headers of that name (lower case)."""
        wanted = name.encode()
        self.headers = [found for found in self.headers if found.name != wanted]

    def replace_top(self, name: str, value: bytes) -> None:
        """Put ``value`` in the place of the topmost value of that name (as it is written)."""
        self.pop(name.lower())
        self.push(name, value)

    # What every transaction needs.

    @property
    def call_id(self) -> bytes:
        """The Call-ID; empty where there is none."""
        return self.get("call-id") or b""

    @property
    def cseq(self) -> tuple[int, bytes]:
        """Number and method of CSeq. Raises Malformed where it is none."""
        found = _CSEQ.fullmatch(self.get("cseq") or b"")
        if found is None or len(found[1]) > 10 or int(found[1]) > LARGEST_CSEQ:
            raise Malformed("invalid CSeq", 400, self)
        return int(found[1]), found[2]

    def __iter__(self) -> Iterator[Header]:
        return iter(self.headers)

    def __repr__(self) -> str:
        return f"<{self.start_line.decode('ascii', 'backslashreplace')}>"


class Request(Message):
    """A request: ``method`` and ``uri`` as they stand in its first line."""

    __slots__ = ("method", "uri")

    def __init__(self, method: bytes, uri: bytes, headers: list[Header], body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.method = method
        self.uri = uri

    @property
    def start_line(self) -> bytes:
        """Method, request URI, version."""
        return b"%b %b SIP/2.0" % (self.method, self.uri)

    def copy(self) -> Request:
        """One whose headers can be changed while this one stays."""
        return Request(self.method, self.uri, list(self.headers), self.body)


class Response(Message):
    """A response: ``status`` and ``reason``."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: bytes, headers: list[Header], body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self.status = status
        self.reason = reason

    @property
    def start_line(self) -> bytes:
        """Version, status, reason."""
        return b"SIP/2.0 %d %b" % (self.status, self.reason)

    def copy(self) -> Response:
        """One whose headers can be changed while this one stays."""
        return Response(self.status, self.reason, list(self.headers), self.body)


def parse(data: bytes, *, stream: bool = False) -> Request | Response:
    """The message in ``data``: a datagram, or what a `Framer` cut out of a ``stream``.

    What stands behind Content-Length is left out (18.3). Raises Malformed, with the status that a
    request like it is answered, and with as much of the message as could be read.
    """
    data = data.lstrip(b"\r\n")  # 7.5
    end = _END.search(data)
    head = data[: end.start()] if end else data.rstrip(b"\r\n")
    body = data[end.end() :] if end else b""
    first, *lines = _LINE_END.split(head)
    headers: list[Header] = []
    bad_line = False
    lone_cr = head.count(b"\r") != head.count(b"\r\n")
    for line in lines:
        name, colon, _value = line.partition(b":")
        known = canonical(name) if colon else None
        if known is None or (lone_cr and _LONE_CR.search(line)):
            bad_line = True
        else:
            headers.append(Header(known, line))
    message = _with_start_line(first, headers, body)
    if end is None:
        _refuse("no empty line ends the headers", message)
    if bad_line:
        _refuse("a line that is no header", message)
    _check(message)
    _cut_body(message, stream=stream)
    return message


def _with_start_line(first: bytes, headers: list[Header], body: bytes) -> Request | Response:
    if found := _STATUS_LINE.fullmatch(first):
        version, status, reason = found.groups()
        response = Response(int(status[:4]), reason or b"", headers, body)
        if version != b"2.0":
            raise Malformed("a response of another version", 0, response)
        if not (len(status) == 3 and 100 <= response.status <= 699):
            raise Malformed("an invalid status", 0, response)
        if b"\r" in first or b"\n" in first:
            raise Malformed("a reason of several lines", 0, response)
        return response
    if found := _REQUEST_LINE.fullmatch(first):
        method, uri, version = found.groups()
        request = Request(method, uri, headers, body)
        if version != b"2.0":
            _refuse("another version than SIP/2.0", request, 505)
        return request
    if found := _LOOSE_REQUEST_LINE.fullmatch(first):
        # Blanks in the URI, no version: it can be answered, not acted upon.
        request = Request(found[1], found[2], headers, body)
        _refuse("an invalid request line", request)
    raise Malformed("no SIP start line", 0)


def _check(message: Request | Response) -> None:
    """What every message must have, and what none may have twice (8.1.1, 20)."""
    counts: dict[bytes, int] = {}
    for found in message.headers:
        counts[found.name] = counts.get(found.name, 0) + 1
    for name in (b"via", b"from", b"to", b"call-id", b"cseq"):
        if name not in counts:
            _refuse(f"no {_written(name)} header", message)
    for name in _ONCE:
        if counts.get(name, 0) > 1:
            _refuse(f"{_written(name)} stands twice", message)
    if not message.call_id:
        _refuse("an empty Call-ID", message)
    for found in message.headers:
        if found.name in (b"from", b"to") and not is_address(found.value):
            _refuse(f"an invalid {_written(found.name)}", message)
    _number, method = message.cseq
    if isinstance(message, Request) and method != message.method:
        _refuse("CSeq names another method", message)


def _written(name: bytes) -> str:
    return {b"call-id": "Call-ID", b"cseq": "CSeq"}.get(name) or name.decode().title()


def _cut_body(message: Request | Response, *, stream: bool) -> None:
    stated = message.get("content-length")
    if stated is None:
        if stream:
            _refuse("no Content-Length in a stream", message)
        return
    if not _NUMBER.fullmatch(stated) or len(stated) > 9:
        _refuse("invalid Content-Length", message)
    length = int(stated)
    if length > len(message.body):
        _refuse("a body shorter than its Content-Length", message)
    message.body = message.body[:length]


def _refuse(reason: str, message: Request | Response, status: int = 400) -> NoReturn:
    # Nobody answers a response, or an ACK (17.1.1.3), or what has no Via to answer to (18.2.2).
    answerable = isinstance(message, Request) and message.method != b"ACK" and message.has("via")
    raise Malformed(reason, status if answerable else 0, message)

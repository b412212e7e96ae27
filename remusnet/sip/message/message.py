"""A SIP message as it came, and as it goes on (RFC 3261, 7).

Reading one finds its lines; what a line says is read when it is asked for. Editing makes a new
list of lines, so that what was received stays what it was: a transaction sends it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn, TypeVar

from remusnet.sip.message.headers import NAMES, Header, header, made, split_list, unfolded
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
_FOLDED = re.compile(rb"\n[ \t]")
# Some take it for a line's end: a header could hide behind it.
_LONE_CR = re.compile(rb"\r(?!\n)")
_NUMBER = re.compile(rb"[0-9]+")
_CSEQ = re.compile(rb"([0-9]+)[ \t]+(\S+)")
LARGEST_CSEQ = 2**31 - 1  # RFC 3261, 8.1.1.5: less than 2**31
_NEEDED = (b"via", b"from", b"to", b"call-id", b"cseq")  # 8.1.1
_REQUIRED = frozenset(_NEEDED)
# Those that may stand once (RFC 3261, 7.3.1 and 20).
_ONCE = (b"from", b"to", b"call-id", b"cseq", b"max-forwards", b"content-length")


class Malformed(Exception):
    """A message that the server can't act on.

    ``status``: what a request like it is answered (RFC 3261, 21.4 and 21.5); 0 where no answer can
    be built or none is due (a response, an ACK, no Via). ``message``: what could be read of it.
    """

    def __init__(self, reason: str, status: int = 400, message: Message | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.message = message


class Message:
    """What requests and responses have in common. ``headers`` are in the order of the wire.

    Code that changes ``headers`` other than by the edits below calls `forget`.
    """

    __slots__ = ("_cseq", "_first", "body", "headers")

    def __init__(self, headers: list[Header], body: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        self._first: dict[bytes, Header] | None = None  # of each name
        self._cseq: tuple[int, bytes] | None = None

    def forget(self) -> None:
        """Look again at what ``headers`` are."""
        self._first = self._cseq = None

    def _edited(self, name: bytes) -> None:
        self._first = None
        if name == b"cseq":
            self._cseq = None

    @property
    def first(self) -> dict[bytes, Header]:
        """The first header of each name."""
        if self._first is None:
            # The last one of a name counts in a dict: from below.
            self._first = {found[0]: found for found in reversed(self.headers)}
        return self._first

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
        first = self._first
        found = (self.first if first is None else first).get(name.encode())
        return None if found is None else found.value

    def has(self, name: str) -> bool:
        """Whether there is a header of that name (lower case)."""
        return name.encode() in self.first

    def values(self, name: str) -> list[bytes]:
        """The values of all headers of that name, those in lists one by one."""
        wanted = name.encode()
        if wanted not in self.first:
            return []
        found = [each.value for each in self.headers if each.name == wanted]
        if not any(b"," in value for value in found):
            return found
        return [value for each in found for value in split_list(each)]

    def lines(self, name: str) -> list[bytes]:
        """The values of all headers of that name, which are no lists (dates, challenges)."""
        wanted = name.encode()
        return [found.value for found in self.headers if found.name == wanted]

    def copy(self: M) -> M:
        """One whose headers can be changed while this one stays."""
        raise NotImplementedError

    # Edits, in place: of a copy.

    def set(self, name: str, value: bytes) -> None:
        """One header of that name, in the place of the first one, or else below all."""
        new = header(name, value)
        headers, wanted, first = self.headers, new.name, self._first
        each_once = first is not None and len(first) == len(headers)
        self._edited(wanted)
        for place, old in enumerate(headers):
            if old.name == wanted:
                headers[place] = new
                if not each_once:
                    rest = headers[place + 1 :]
                    headers[place + 1 :] = [each for each in rest if each.name != wanted]
                return
        headers.append(new)

    def push(self, name: str, value: bytes) -> None:
        """A header above the first of its name (at the top if there is none): Via, Route."""
        new = header(name, value)
        wanted = new.name
        self._edited(wanted)
        for place, old in enumerate(self.headers):
            if old.name == wanted:
                self.headers.insert(place, new)
                return
        self.headers.insert(0, new)

    def add(self, name: str, value: bytes) -> None:
        """A header below all others."""
        new = header(name, value)
        self._edited(new.name)
        self.headers.append(new)

    def pop(self, name: str) -> bytes | None:
        """Take out the topmost value of that name (lower case), also from a list."""
        wanted = name.encode()
        self._edited(wanted)
        for place, found in enumerate(self.headers):
            if found.name != wanted:
                continue
            first, *rest = split_list(found.value) or [b""]
            if rest:
                self.headers[place] = _listed(found, rest)
            else:
                del self.headers[place]
            return first
        return None

    def drop(self, name: str, count: int) -> None:
        """Take out the topmost ``count`` values of that name (lower case), in one go."""
        wanted = name.encode()
        self._edited(wanted)
        kept = []
        for found in self.headers:
            if not count or found.name != wanted:
                kept.append(found)
                continue
            values = split_list(found.value) or [b""]
            if rest := values[count:]:
                kept.append(_listed(found, rest))
            count = max(count - len(values), 0)
        self.headers = kept

    def remove(self, name: str) -> None:
        """Take out all headers of that name (lower case)."""
        wanted = name.encode()
        self._edited(wanted)
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
        if self._cseq is not None:
            return self._cseq
        found = _CSEQ.fullmatch(self.get("cseq") or b"")
        if found is None or len(found[1]) > 10 or int(found[1]) > LARGEST_CSEQ:
            raise Malformed("invalid CSeq", 400, self)
        self._cseq = int(found[1]), found[2]
        return self._cseq

    def __iter__(self) -> Iterator[Header]:
        return iter(self.headers)

    def __repr__(self) -> str:
        return f"<{self.start_line.decode('ascii', 'backslashreplace')}>"


def _listed(old: Header, values: list[bytes]) -> Header:
    """``old`` with these values, its name as it was written."""
    value = b", ".join(values)
    return Header(old.name, old.line.partition(b":")[0].rstrip() + b": " + value, value)


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
        copied = Request(self.method, self.uri, self.headers.copy(), self.body)
        copied._cseq, copied._first = self._cseq, self._first
        return copied


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
        copied = Response(self.status, self.reason, self.headers.copy(), self.body)
        copied._cseq, copied._first = self._cseq, self._first
        return copied


def parse(data: bytes, *, stream: bool = False) -> Request | Response:
    """The message in ``data``: a datagram, or what a `Framer` cut out of a ``stream``.

    What stands behind Content-Length is left out (18.3). Raises Malformed, with the status that a
    request like it is answered, and with as much of the message as could be read.
    """
    data = data.lstrip(b"\r\n")  # 7.5
    place = data.find(b"\r\n\r\n")
    head, body = data[:place], data[place + 4 :]
    first, *lines = head.split(b"\r\n")
    usual = place >= 0 and len(lines) == head.count(b"\n") == head.count(b"\r")
    if usual and _FOLDED.search(head):
        usual = False
    if not usual:
        # Not as nearly all are: folded, with other ends of lines, or without an end.
        end = _END.search(data)
        place, body = (end.start(), data[end.end() :]) if end else (-1, b"")
        first, lines = _unusual_lines(data[:place] if end else data.rstrip(b"\r\n"))
    headers = [
        made(Header, (known, line, value.strip()))
        for line in lines
        for name, colon, value in (line.partition(b":"),)
        if colon and (known := NAMES[name]) is not None
    ]
    if not usual:
        headers = [made(Header, (name, line, unfolded(value))) for name, line, value in headers]
    bad_line = len(headers) < len(lines)
    message = _with_start_line(first, headers, body)
    if place < 0:
        _refuse("no empty line ends the headers", message)
    if bad_line:
        _refuse("a line that is no header", message)
    _check(message)
    _cut_body(message, stream=stream)
    return message


def _unusual_lines(head: bytes) -> tuple[bytes, list[bytes]]:
    """The first line and the others, folds in them; empty for one that no reading is sure of."""
    lone_cr = head.count(b"\r") != head.count(b"\r\n")
    first, *lines = _LINE_END.split(head)
    return first, [b"" if lone_cr and _LONE_CR.search(line) else line for line in lines]


def _with_start_line(first: bytes, headers: list[Header], body: bytes) -> Request | Response:
    if first[:3].upper() == b"SIP" and (found := _STATUS_LINE.fullmatch(first)):
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
    first = message.first
    if not first.keys() >= _REQUIRED:
        missing = next(name for name in _NEEDED if name not in first)
        _refuse(f"no {_written(missing)} header", message)
    if len(first) < len(message.headers):
        names = [found.name for found in message.headers]
        for name in _ONCE:
            if names.count(name) > 1:
                _refuse(f"{_written(name)} stands twice", message)
    if not message.call_id:
        _refuse("an empty Call-ID", message)
    for name in (b"from", b"to"):
        if not is_address(first[name].value):
            _refuse(f"an invalid {_written(name)}", message)
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
    if stated == b"0":
        message.body = b""
        return
    if not _NUMBER.fullmatch(stated) or len(stated) > 9:
        _refuse("invalid Content-Length", message)
    length = int(stated)
    if length > len(message.body):
        _refuse("a body shorter than its Content-Length", message)
    message.body = message.body[:length]


def _refuse(reason: str, message: Request | Response, status: int = 400) -> NoReturn:
    # The server answers no response, no ACK (17.1.1.3), and nothing without a Via (18.2.2).
    answerable = isinstance(message, Request) and message.method != b"ACK" and message.has("via")
    raise Malformed(reason, status if answerable else 0, message)

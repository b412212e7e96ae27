"""Messages in a stream: where one ends (RFC 3261, 18.3; RFC 5626, 3.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from remusnet.sip.message.message import Malformed

_END = re.compile(rb"\r?\n\r?\n")
_BEGUN = re.compile(rb"[^\r\n]")
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*+:[ \t\r\n]*+([0-9]++)[ \t]*+\r?$", re.I | re.M)
_LARGEST_HEAD = 64 * 1024
_LARGEST_BODY = 1024 * 1024


class Unframed(Malformed):
    """The stream doesn't show where its next message begins: the connection has to be closed.

    ``head``: the message up to the end of its headers, as far as it can be answered; else empty.
    """

    def __init__(self, reason: str, status: int, head: bytes = b"") -> None:
        super().__init__(reason, status)
        self.head = head


class Framer:
    """Cuts a stream into messages.

    A double CRLF between messages is a keep-alive, which wants a single one back (RFC 5626, 4.4.1):
    ``pings`` counts the unanswered ones, ``messages`` all, ``requests`` those that are no
    responses.
    """

    __slots__ = ("_data", "_lost", "_searched", "_total", "messages", "pings", "requests")

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0
        self._total = 0  # of the message that waits for the rest of its body
        self._lost = False
        self.pings = 0
        self.messages = 0
        self.requests = 0

    @property
    def waiting(self) -> int:
        """How many bytes of an unfinished message there are; a line's end is no beginning."""
        # No copy: of a body of a megabyte a byte may come at a time.
        begun = _BEGUN.search(self._data)
        return len(self._data) - begun.start() if begun else 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that ``data`` completes. Raises Unframed, after those before the fault.

        What comes after a fault, until the connection has ended, is nothing.
        """
        if self._lost:
            return
        self._data += data
        while (message := self._next()) is not None:
            self.messages += 1
            if message[:8] != b"SIP/2.0 ":
                self.requests += 1
            yield message

    def _next(self) -> bytes | None:
        if not self._total:
            self._total = self._find_end()
        total = self._total
        if not total or len(self._data) < total:
            return None
        message = bytes(self._data[:total])
        del self._data[:total]
        self._searched = self._total = 0
        return message

    def _find_end(self) -> int:
        """Where the first message ends, which may not be there yet; 0: unknown yet."""
        self._skip_keepalives()
        # An end that is split over two reads begins at most three bytes before.
        end = _END.search(self._data, max(self._searched - 3, 0))
        if end is None:
            self._searched = len(self._data)
            if len(self._data) > _LARGEST_HEAD:
                raise self._lose(f"headers of more than {_LARGEST_HEAD} bytes", 513)
            return 0
        if end.end() > _LARGEST_HEAD:
            raise self._lose(f"headers of more than {_LARGEST_HEAD} bytes", 513)
        lengths = {int(found[1][:10]) for found in _LENGTH.finditer(self._data, 0, end.end())}
        if len(lengths) != 1:
            # Its end, and so the beginning of the next one, is anybody's guess.
            fault = "two Content-Lengths" if lengths else "no Content-Length"
            raise self._lose(f"{fault} in a stream", 400, end.end())
        [length] = lengths
        if length > _LARGEST_BODY:
            raise self._lose(f"a body of more than {_LARGEST_BODY} bytes", 413, end.end())
        return end.end() + length

    def _lose(self, reason: str, status: int, head: int = 0) -> Unframed:
        error = Unframed(reason, status, bytes(self._data[:head]))
        self._data.clear()
        self._lost = True
        return error

    def _skip_keepalives(self) -> None:
        while self._data[:4] == b"\r\n\r\n":
            self.pings += 1
            del self._data[:4]
            self._searched = 0
        if self._data[:2] == b"\r\n" and len(self._data) > 2 and self._data[2:3] != b"\r":
            del self._data[:2]
            self._searched = 0

"""Messages in a stream: where one ends (RFC 3261, 18.3; RFC 5626, 3.5.1)."""

from __future__ import annotations

import re

from remusnet.sip.message.malformed import Malformed

_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t\r\n]*([0-9]+)[ \t]*\r?$", re.I | re.M)
_LARGEST_HEAD = 64 * 1024
_LARGEST_BODY = 1024 * 1024


class Framer:
    """Cuts a stream into messages.

    Raises Malformed where it can't be told any more where the next message begins: the connection
    has to be closed. A double CRLF between messages is a keep-alive, which wants a single one back
    (RFC 5626, 4.4.1): ``pings`` counts those that nobody has answered yet.
    """

    __slots__ = ("_data", "_searched", "pings")

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0
        self.pings = 0

    @property
    def waiting(self) -> int:
        """How many bytes of an unfinished message there are."""
        return len(self._data)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes."""
        self._data += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        self._skip_keepalives()
        # An end that is split over two reads begins at most three bytes before.
        end = _END.search(self._data, max(self._searched - 3, 0))
        if end is None:
            self._searched = len(self._data)
            if len(self._data) > _LARGEST_HEAD:
                raise Malformed(f"headers of more than {_LARGEST_HEAD} bytes", 513)
            return None
        if end.end() > _LARGEST_HEAD:
            raise Malformed(f"headers of more than {_LARGEST_HEAD} bytes", 513)
        self._searched = end.start()
        found = _LENGTH.search(self._data, 0, end.end())
        length = int(found[1][:10]) if found else 0
        if length > _LARGEST_BODY:
            raise Malformed(f"a body of more than {_LARGEST_BODY} bytes", 413)
        total = end.end() + length
        if len(self._data) < total:
            return None
        message = bytes(self._data[:total])
        del self._data[:total]
        self._searched = 0
        if found is None:
            # Its end, and so the beginning of the next one, is anybody's guess.
            raise Malformed("no Content-Length in a stream", 400)
        return message

    def _skip_keepalives(self) -> None:
        while self._data[:4] == b"\r\n\r\n":
            self.pings += 1
            del self._data[:4]
            self._searched = 0
        if self._data[:2] == b"\r\n" and len(self._data) > 2 and self._data[2:3] != b"\r":
            del self._data[:2]
            self._searched = 0

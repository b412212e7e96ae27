"""Header lines: their names, their values, and the lists in them.

A header is kept as the line that came, with its folds. What others sent, and this server needn't
change, goes on byte for byte.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

# RFC 3261, 7.3.3 and 20, and the RFCs of the headers themselves.
_COMPACT = {
    b"a": b"accept-contact",
    b"b": b"referred-by",
    b"c": b"content-type",
    b"d": b"request-disposition",
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"j": b"reject-contact",
    b"k": b"supported",
    b"l": b"content-length",
    b"m": b"contact",
    b"o": b"event",
    b"r": b"refer-to",
    b"s": b"subject",
    b"t": b"to",
    b"u": b"allow-events",
    b"v": b"via",
    b"x": b"session-expires",
    b"y": b"identity",
}
_TOKEN = re.compile(rb"[A-Za-z0-9\-.!%*_+`'~]+")  # RFC 3261, 25.1
_FOLD = re.compile(rb"\r?\n[ \t]+")
# What may stand in an element of a list without ending it. An unclosed quote or bracket goes on to
# the end. Nothing is tried twice: strangers must not cost more than a look at each byte.
_ELEMENT = re.compile(rb'(?:[^,"<]++|"(?:[^"\\]++|\\.)*+"?|<[^>]*+>?)++', re.DOTALL)


class Header(NamedTuple):
    """One header line. ``name`` is lower case and long; ``line`` is as it came, without its end.

    ``value``: what stands behind the colon, unfolded (7.3.1), without blanks around it.
    """

    name: bytes
    line: bytes
    value: bytes


made = tuple.__new__
"""``made(Header, (name, line, value))``: a third of the price of ``Header(...)``."""


def unfolded(value: bytes) -> bytes:
    """What stands behind a colon, as `Header.value` has it."""
    return (_FOLD.sub(b" ", value) if b"\n" in value else value).strip()


def header(name: str, value: bytes) -> Header:
    """A header of our own.

    >>> header("Max-Forwards", b"70").line
    b'Max-Forwards: 70'
    """
    known, written = _written(name)
    return made(Header, (known, written + value, unfolded(value)))


@lru_cache(maxsize=256)
def _written(name: str) -> tuple[bytes, bytes]:
    return name.lower().encode(), name.encode() + b": "


class _Names(dict[bytes, bytes | None]):
    """Names as they are written -> the long name in lower case; None for what is no name."""

    def __missing__(self, name: bytes) -> bytes | None:
        known = _canonical(name)
        # Strangers must not fill the memory with names of their own.
        if len(self) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
            self[name] = known
        return known


NAMES = _Names()
_MOST_NAMES, _LONGEST_NAME = 1024, 64


def _canonical(name: bytes) -> bytes | None:
    name = name.rstrip(b" \t").lower()
    if len(name) == 1:
        name = _COMPACT.get(name, name)
    return name if _TOKEN.fullmatch(name) else None


def split_list(value: bytes) -> list[bytes]:
    """The elements of a header that is a list, in which quotes and angle brackets hide commas.

    >>> split_list(b'"a, b" <sip:x;y="1,2">, <sip:z,z>')
    [b'"a, b" <sip:x;y="1,2">', b'<sip:z,z>']
    """
    if b"," not in value:
        return [value]
    return [found for element in _ELEMENT.findall(value) if (found := element.strip())]

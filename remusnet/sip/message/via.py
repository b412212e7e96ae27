"""Via: where a request came from, and where its responses go (RFC 3261, 18.2 and 20.42).

Every message has one that is read, and most requests one that is changed, so it is read here with
one expression (which also takes the blanks in ``SIP / 2.0 / UDP`` that RFC 4475, 3.1.1.1 has).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from remusnet.sip.message.headers import split_list
from remusnet.sip.message.message import Malformed

if TYPE_CHECKING:
    from remusnet.sip.message.message import Message

_VIA = re.compile(
    rb"SIP\s*+/\s*+2\.0\s*+/\s*+(?P<transport>[A-Za-z0-9\-.!%*_+`'~]++)\s++"
    rb"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._]++)\s*+(?::\s*+(?P<port>[0-9]{1,5}+))?\s*+"
    rb"(?P<parameters>;.*)?",
    re.IGNORECASE | re.DOTALL,
)
# As nearly all write it: a branch, and rport with it or not.
_USUAL = re.compile(
    rb"SIP/2\.0/(UDP|TCP|TLS) ([A-Za-z0-9\-._]++)(?::([0-9]{1,4}+))?"
    rb"(?:(;rport)?;branch=([A-Za-z0-9\-.!%*_+`'~]++)|;branch=([A-Za-z0-9\-.!%*_+`'~]++)(;rport)?)"
)
_PARAMETER = re.compile(
    rb";\s*(?P<name>[A-Za-z0-9\-.!%*_+`'~]+)\s*"
    rb"(?:=\s*(?P<value>\"(?:[^\"\\]|\\.)*\"|\[?[A-Za-z0-9\-.!%*_+`'~:]+\]?)\s*)?"
)
# Longer values are read each time: strangers must not fill the memory with them.
_REMEMBERED = 256
MAGIC = b"z9hG4bK"  # RFC 3261, 8.1.1.7


class Via(NamedTuple):
    """One Via value. ``host`` is as it stands, ``port`` 0 where none does."""

    transport: bytes
    host: bytes
    port: int
    branch: bytes
    received: bytes | None
    rport: int | None
    wants_rport: bool
    maddr: bytes | None = None

    @property
    def sent_by(self) -> bytes:
        """Host and port in one form, for comparing (17.2.3): lower case, without port 5060."""
        host = self.host.lower()
        return host if self.port in (0, 5060) else b"%b:%d" % (host, self.port)


def read(value: bytes, message: Message | None = None) -> Via:
    """The parts of a Via value. Raises Malformed where it is none."""
    try:
        return _remembered(value) if len(value) <= _REMEMBERED else _read(value)
    except Malformed as error:
        raise Malformed(error.reason, 0, message) from None


def _read(value: bytes) -> Via:
    return _read_usual(value) or _read_any(value)


def _read_usual(value: bytes) -> Via | None:
    found = _USUAL.fullmatch(value)
    if found is None:
        return None
    transport, host, port, first, behind, branch, last = found.groups()
    return Via(
        transport, host, int(port or 0), behind or branch, None, None, bool(first or last), None
    )


def _read_any(value: bytes) -> Via:
    found = _VIA.fullmatch(value)
    if found is None:
        raise Malformed("invalid Via", 0)
    parameters = _parameters(found["parameters"] or b"")
    port = int(found["port"] or 0)
    rport = parameters.get(b"rport")
    if port > 65535 or (rport and not (rport.isdigit() and int(rport[:6]) <= 65535)):
        raise Malformed("invalid port in Via", 0)
    return Via(
        transport=found["transport"].upper(),
        host=found["host"],
        port=port,
        branch=parameters.get(b"branch", b""),
        received=parameters.get(b"received"),
        rport=int(rport) if rport else None,
        wants_rport=b"rport" in parameters,
        maddr=parameters.get(b"maddr"),
    )


# Each is read some times: by the coder, the transactions, the proxy, and in each response.
_remembered = lru_cache(maxsize=4096)(_read)


def top(message: Message) -> Via:
    """The topmost Via. Raises Malformed where there is none that can be read."""
    value = message.get("via")
    if value is None:
        raise Malformed("no Via", 0, message)
    if b"," in value:
        value = split_list(value)[0] if split_list(value) else b""
    return read(value, message)


def came_from(value: bytes, host: str, port: int) -> bytes:
    """A request's top Via as its receiver passes it on (18.2.1; RFC 3581, 4).

    ``received`` where the source differs from sent-by, or ``rport`` is asked for; what the sender
    put there itself is overwritten.

    >>> came_from(b"SIP/2.0/UDP a.example;rport;branch=z9hG4bK1", "192.0.2.1", 5062)
    b'SIP/2.0/UDP a.example;rport=5062;branch=z9hG4bK1;received=192.0.2.1'
    """
    via = read(value)
    source = host.encode()
    if not via.wants_rport and via.received is None and via.host.strip(b"[]") == source:
        return value
    changed = value
    for name in (b"received", b"rport"):
        changed = re.sub(
            rb";\s*%b(?:\s*=[^;]*)?(?=;|$)" % name, b";%b\0" % name, changed, flags=re.I
        )
    changed = changed.replace(b";received\0", b"")
    changed = changed.replace(b";rport\0", b";rport=%d" % port if via.wants_rport else b"")
    return changed + b";received=" + source


def _parameters(text: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    place = 0
    while place < len(text):
        parameter = _PARAMETER.match(text, place)
        if parameter is None:
            raise Malformed("invalid Via", 0)
        name = parameter["name"].lower()
        if name in found:
            raise Malformed(f"{name.decode()} stands twice in Via", 0)
        found[name] = parameter["value"] or b""
        place = parameter.end()
    return found

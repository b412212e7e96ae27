"""URIs and name-addrs (RFC 3261, 19.1, 20.10 and 25.1), read by sipmessage, whose gaps are mended.

sipmessage takes neither upper-case schemes, URI headers (``?``), nor parameters whose names are
Python's (``self``), and it knows sip, sips and tel alone. What it can't read is None here, or a
`Uri` of another scheme, of which only the scheme is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import sipmessage

_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*):")
# A name-addr or an addr-spec with header parameters. Nothing is tried twice: 64 KB of blanks must
# not stop the server. What has `?` or `,` in its URI needs the brackets (RFC 3261, 20).
_NAME_ADDR = re.compile(
    rb'\s*+(?P<name>"(?:[^"\\]++|\\.)*+"|[^"<]*+)\s*+<(?P<uri>[^<>]*+)>\s*+(?P<rest>;.*)?',
    re.DOTALL,
)
_ADDR_SPEC = re.compile(rb"\s*+(?P<uri>[^\s;<>\",?]++)\s*+(?P<rest>;.*)?", re.DOTALL)
# What no URI has unescaped: in a request line it would be another line, or another URI.
_NEVER = re.compile(rb"[\x00-\x20\x7f<>\"]")
# What nearly all look like: told with one expression. Its last group, and those of hosts below,
# are not possessive: Python before 3.11.5 doesn't return to where a round of one began that failed
# in its middle (gh-106052), and would take ``;`` or ``a-`` for whole.
_USUAL = re.compile(
    rb'(?:"[^"\\]*+"[ ]?|[A-Za-z0-9 ]*+)<[A-Za-z][A-Za-z0-9+.\-]*+:[^\x00-\x20\x7f<>"]*+>'
    rb"(?:;[A-Za-z0-9\-.!%*_+`'~]++(?:=[A-Za-z0-9\-.!%*_+`'~]++)?)*"
)
# What nearly all look like: no escapes, no parameter but a transport, a host in lower case.
_PLAIN = re.compile(
    rb"(sips?):([A-Za-z0-9\-_.!~*'()+]++)@"
    rb"((?:[0-9]{1,3}+\.){3}[0-9]{1,3}+"
    rb"|(?:[a-z0-9]++(?:-++[a-z0-9]++)*\.)*[a-z]++(?:-++[a-z0-9]++)*)"
    rb"(?::([0-9]{1,5}+))?(?:;transport=([A-Za-z]++))?"
)
_PARAMETER = re.compile(
    rb"\s*;\s*(?P<name>[A-Za-z0-9\-.!%*_+`'~]+)\s*"
    rb"(?:=\s*(?P<value>\"(?:[^\"\\]++|\\.)*+\"|[^\s;\"]*+))?\s*+"
)
# Longer values are read each time: strangers must not fill the memory with them.
_REMEMBERED = 256
# RFC 3261, 19.1.4: these count where only one side has them.
_ONE_SIDED = (b"user", b"ttl", b"method", b"maddr", b"transport")


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI. ``host`` is lower case, IPv6 in brackets; ``port`` 0 where none stands.

    ``user``: unescaped, None where there is none. ``parameters``: names in lower case, unescaped.
    ``headers``: what stands behind ``?``. ``text``: as it came.
    """

    text: bytes
    scheme: str
    host: str = ""
    port: int = 0
    user: bytes | None = None
    password: bytes | None = None
    parameters: tuple[tuple[bytes, bytes], ...] = ()
    headers: bytes = b""

    def parameter(self, name: bytes) -> bytes | None:
        """The value of a parameter, empty where it has none; None where it isn't there."""
        return next((value for known, value in self.parameters if known == name), None)

    @property
    def is_sip(self) -> bool:
        """Whether it is a sip or sips URI."""
        return self.scheme in ("sip", "sips")

    @property
    def address_of_record(self) -> bytes:
        """What a binding is kept under: ``user@host`` without escapes and parameters (10.3)."""
        host = self.host.encode()
        return host if self.user is None else self.user + b"@" + host

    def without(self, *names: bytes, port: bool = True) -> Uri:
        """It without these parameters and its headers, ``port`` false: without its port, too."""
        text = self.text[: -len(self.headers) - 1] if self.headers else self.text
        before, at, hosts = text.rpartition(b"@")
        first, *parameters = hosts.split(b";")
        if not at:
            first = first.partition(b":")[2]
        kept = [each for each in parameters if _parameter_name(each) not in names]
        if not port and self.port:
            first = first[: first.rindex(b":")]
        start = before + at if at else b"%b:" % self.scheme.encode()
        made = read_uri(start + b";".join([first, *kept]))
        assert made is not None
        return made

    def same(self, other: Uri) -> bool:
        """Whether both mean the same (19.1.4)."""
        if not (self.is_sip and other.is_sip):
            return self.text == other.text
        mine = (self.scheme, self.user, self.password, self.host, self.port)
        theirs = (other.scheme, other.user, other.password, other.host, other.port)
        if mine != theirs or _header_set(self.headers) != _header_set(other.headers):
            return False
        left, right = dict(self.parameters), dict(other.parameters)
        for name in left.keys() | right.keys():
            if name in left and name in right:
                if left[name].lower() != right[name].lower():
                    return False
            elif name in _ONE_SIDED:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Address:
    """A name-addr, as in From, To, Contact, Route. ``parameters`` are the header's own."""

    uri: Uri
    name: bytes = b""
    parameters: tuple[tuple[bytes, bytes], ...] = ()

    def parameter(self, name: bytes) -> bytes | None:
        """The value of a parameter, empty where it has none; None where it isn't there."""
        return next((value for known, value in self.parameters if known == name), None)


def read_uri(text: bytes) -> Uri | None:
    """The parts of a URI; None where it is none."""
    return _remembered_uri(text) if len(text) <= _REMEMBERED else _read_uri(text)


def _read_uri(text: bytes) -> Uri | None:
    plain = _PLAIN.fullmatch(text) if len(text) <= _REMEMBERED else None
    if plain is None:
        return _read_any_uri(text)
    scheme, user, host, digits, transport = plain.groups()
    port = int(digits) if digits else 0
    if digits and not 0 < port <= 65535:
        return None
    parameters = ((b"transport", transport),) if transport else ()
    return Uri(text, scheme.decode(), host.decode(), port, user, parameters=parameters)


def _read_any_uri(text: bytes) -> Uri | None:
    found = _SCHEME.match(text)
    if found is None or _NEVER.search(text):
        return None
    scheme = found[1].decode("ascii").lower()
    if scheme not in ("sip", "sips"):
        return Uri(text, scheme)
    # A user may have `?` and `;` in it; nothing but it has an `@` behind it that is not escaped.
    user_info, at, rest = text[found.end() :].rpartition(b"@")
    hosts, _, headers = rest.partition(b"?")
    if b"@" in user_info:
        return None
    try:
        # sipmessage is for the host and its parameters' grammar; the user part is bytes, which it
        # would decode.
        parsed = sipmessage.URI.parse(f"sip:{_shielded(hosts)}")
    except (ValueError, TypeError):
        return None
    if parsed.port is not None and not 0 < parsed.port <= 65535:
        return None
    user, colon, password = user_info.partition(b":")
    if at and not user:
        return None
    return Uri(
        text,
        scheme,
        host=parsed.host.lower(),
        port=parsed.port or 0,
        user=unquote_to_bytes(user) if at else None,
        password=unquote_to_bytes(password) if colon else None,
        parameters=tuple(
            (_bare(name), unquote_to_bytes(value or ""))
            for name, value in parsed.parameters.items()
        ),
        headers=headers,
    )


_remembered_uri = lru_cache(maxsize=4096)(_read_uri)


def read_address(value: bytes) -> Address | None:
    """The parts of a From, To, Contact, Route or Record-Route value; None where it is none."""
    return _remembered_address(value) if len(value) <= _REMEMBERED else _read_address(value)


def _read_address(value: bytes) -> Address | None:
    found = _NAME_ADDR.fullmatch(value) or _ADDR_SPEC.fullmatch(value)
    if found is None:
        return None
    uri = read_uri(found["uri"].strip())
    parameters = read_parameters(found["rest"] or b"")
    if uri is None or parameters is None:
        return None
    name = (found.groupdict().get("name") or b"").strip()
    if name.startswith(b'"'):
        name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
    return Address(uri, name, parameters)


_remembered_address = lru_cache(maxsize=4096)(_read_address)


def is_address(value: bytes) -> bool:
    """Whether it has the form of an address, whatever the parts of its URI are: cheap."""
    return _remembered_form(value) if len(value) <= _REMEMBERED else _is_address(value)


def _is_address(value: bytes) -> bool:
    if _USUAL.fullmatch(value):
        return True
    found = _NAME_ADDR.fullmatch(value) or _ADDR_SPEC.fullmatch(value)
    if found is None or read_parameters(found["rest"] or b"") is None:
        return False
    uri = found["uri"].strip()
    return _SCHEME.match(uri) is not None and not _NEVER.search(uri)


# A call's From and To are those of its first request, in all that follow.
_remembered_form = lru_cache(maxsize=4096)(_is_address)


def read_parameters(text: bytes) -> tuple[tuple[bytes, bytes], ...] | None:
    """``;name=value...``: names in lower case; None where that is no list of parameters."""
    found: list[tuple[bytes, bytes]] = []
    place = 0
    while place < len(text):
        parameter = _PARAMETER.match(text, place)
        if parameter is None:
            return None
        value = parameter["value"] or b""
        if value.startswith(b'"'):
            value = re.sub(rb"\\(.)", rb"\1", value[1:-1])
        found.append((parameter["name"].lower(), value))
        place = parameter.end()
    return tuple(found)


def _shielded(hosts: bytes) -> str:
    """Parameters under names that can't be Python's."""
    host, *parameters = hosts.decode("ascii").split(";")
    # sipmessage gives its parameters to a function by name, and would overwrite a `self`.
    return ";".join([host, *(f"x-{parameter}" for parameter in parameters if parameter)])


def _bare(name: str) -> bytes:
    return unquote_to_bytes(name.removeprefix("x-")).lower()


def _parameter_name(parameter: bytes) -> bytes:
    return unquote_to_bytes(parameter.partition(b"=")[0].strip()).lower()


def _header_set(headers: bytes) -> frozenset[tuple[bytes, bytes]]:
    pairs = (part.partition(b"=") for part in headers.split(b"&") if part)
    return frozenset((unquote_to_bytes(n).lower(), unquote_to_bytes(v)) for n, _, v in pairs)

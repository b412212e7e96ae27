"""Digest authentication (RFC 3261, 22; RFC 7616 by way of RFC 8760): SHA-256 first, MD5 for phones.

The server keeps no list of nonces. A nonce says when it was made, and is signed with a key of this
process; how often it was used is remembered until it is stale, so that nothing can be replayed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from remusnet.sip.message import Request, Response
from remusnet.sip.store import User

_PAIR = re.compile(
    rb"\s*(?P<name>[A-Za-z0-9\-]+)\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<token>[^\s,\"]+))\s*(?:,|$)"
)
_ALGORITHMS = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_LIFE_S = 300.0
_REMEMBERED = 100_000
_HEX = re.compile(r"[0-9a-f]{8}")


class Result(Enum):
    """What credentials came to."""

    GOOD = "good"
    NONE = "none"  # none for this realm: challenge
    STALE = "stale"  # right, but the nonce is old: challenge with stale=true
    WRONG = "wrong"


def ha1(algorithm: str, name: str, realm: str, password: str) -> str:
    """H(name:realm:password), in hexadecimal (RFC 7616, 3.4.2).

    >>> ha1("MD5", "Mufasa", "http-auth@example.org", "Circle of Life")
    '3d78807defe7de2157e2b0b6573a855f'
    """
    return _ALGORITHMS[algorithm](f"{name}:{realm}:{password}".encode()).hexdigest()


def make_user(name: str, domain: str, password: str) -> User:
    """A user with what a password becomes in the store."""
    return User(
        name, domain, ha1("SHA-256", name, domain, password), ha1("MD5", name, domain, password)
    )


@dataclass(slots=True)
class Nonces:
    """Makes nonces and judges them. ``now``: a clock, in seconds, that only grows."""

    now: Callable[[], float]
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    life_s: float = _LIFE_S
    used: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def make(self) -> str:
        """A new one."""
        text = f"{int(self.now() * 1000):012x}{secrets.token_hex(8)}"
        return text + self._sign(text)

    def judge(self, nonce: str, count: int | None) -> Result:
        """Whether it is ours and fresh, and ``count`` (nc) higher than any before."""
        text, signature = nonce[:28], nonce[28:]
        if len(nonce) != 60 or not hmac.compare_digest(
            signature.encode(), self._sign(text).encode()
        ):
            # Also one of an earlier process: the phone tries again without asking its user.
            return Result.STALE
        age = self.now() - int(text[:12], 16) / 1000
        if not 0 <= age <= self.life_s:
            return Result.STALE
        # Without qop there is no count: such a nonce is good once.
        if (count or 1) <= self.used.get(nonce, 0):
            return Result.STALE
        return Result.GOOD

    def use(self, nonce: str, count: int | None) -> None:
        """Remember that it was used so often."""
        self.used[nonce] = count or 1
        self.used.move_to_end(nonce)
        while len(self.used) > _REMEMBERED:
            self.used.popitem(last=False)

    def _sign(self, text: str) -> str:
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()[:32]


def challenge(
    response: Response,
    realm: str,
    nonces: Nonces,
    digests: Sequence[str],
    *,
    proxy: bool,
    stale: bool,
) -> None:
    """Add a challenge for each of ``digests`` to a 401 or a 407 (RFC 8760, 2.3)."""
    header = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
    nonce = nonces.make()
    for algorithm in digests:
        text = f'Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"'
        response.add(header, (text + (", stale=true" if stale else "")).encode())


def credentials(request: Request, realm: str, *, proxy: bool) -> dict[str, str] | None:
    """The digest credentials for ``realm``; None where there are none that can be read."""
    header = "proxy-authorization" if proxy else "authorization"
    for value in request.lines(header):
        found = parse_credentials(value)
        if found is not None and found.get("realm") == realm:
            return found
    return None


def take_credentials(request: Request, realm: str) -> None:
    """Take those out that are for ``realm``: the next proxy has its own (22.3)."""

    def is_for_us(value: bytes) -> bool:
        found = parse_credentials(value)
        return found is not None and found.get("realm") == realm

    request.headers = [
        each
        for each in request.headers
        if each.name != b"proxy-authorization" or not is_for_us(each.value)
    ]


def parse_credentials(value: bytes) -> dict[str, str] | None:
    """``Digest a=b, c="d"`` as a table with names in lower case; None where it is no such thing."""
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"digest":
        return None
    found: dict[str, str] = {}
    place = 0
    while place < len(rest):
        pair = _PAIR.match(rest, place)
        if pair is None:
            return None
        name = pair["name"].decode().lower()
        text = (
            pair["token"] if pair["quoted"] is None else re.sub(rb"\\(.)", rb"\1", pair["quoted"])
        )
        if name in found:
            return None
        found[name] = text.decode("utf-8", "replace")
        place = pair.end()
    return found


def check(
    given: dict[str, str],
    user: User | None,
    method: str,
    nonces: Nonces,
    digests: Sequence[str] = tuple(_ALGORITHMS),
) -> Result:
    """Whether the credentials, made with one of ``digests``, prove that the user sent this."""
    algorithm = given.get("algorithm", "MD5").upper()
    if algorithm not in digests or user is None:
        return Result.WRONG
    digest = _ALGORITHMS[algorithm]
    secret = user.ha1_sha256 if algorithm == "SHA-256" else user.ha1_md5
    nonce, uri = given.get("nonce", ""), given.get("uri", "")
    second = digest(f"{method}:{uri}".encode()).hexdigest()
    count: int | None = None
    if "qop" in given:
        if given["qop"].lower() != "auth" or not _HEX.fullmatch(given.get("nc", "").lower()):
            return Result.WRONG
        count = int(given["nc"], 16)
        middle = f"{nonce}:{given['nc']}:{given.get('cnonce', '')}:{given['qop']}"
    else:
        middle = nonce
    expected = digest(f"{secret}:{middle}:{second}".encode()).hexdigest()
    # As bytes: what isn't ASCII can't be compared as text.
    if not hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode()):
        return Result.WRONG
    result = nonces.judge(nonce, count)
    if result is Result.GOOD:
        nonces.use(nonce, count)
    return result

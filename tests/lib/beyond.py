"""Why a classifier may hold a frame that the policy lets bypass: each kind, told from the bytes.

A kind is a promise to whoever reads the plan, so each predicate is as narrow as its words.
"""

from __future__ import annotations

from collections.abc import Callable

from remusnet.classify.filters import Beyond, Classification
from remusnet.classify.headers import AH, EXTENSION_HEADERS, Headers, dissect, payload_class
from remusnet.policy.match import ARP_ETHERTYPE, TUNNEL_ETHERTYPES, UDP, Fragment, Link
from remusnet.policy.policy import Policy

_ETHERNET = 14


def kinds_of(classification: Classification, frame: bytes) -> set[Beyond]:
    """The kinds among ``classification.beyond`` that ``frame`` is of."""
    headers = dissect(frame)
    return {
        kind for kind in classification.beyond if _IS[kind](classification, frame, headers)
    }


def _is_tagged_otherwise(_: Classification, frame: bytes, headers: Headers) -> bool:
    return headers.tags > 1 or (headers.tags == 1 and frame[12:14] != b"\x81\x00")


def _is_llc(_: Classification, frame: bytes, headers: Headers) -> bool:
    return headers.link is Link.LLC


def _is_other_ethertype(
    classification: Classification, frame: bytes, headers: Headers
) -> bool:
    known = _named(classification.policy) | {ARP_ETHERTYPE}
    return headers.version == 0 and headers.ethertype not in known


def _named(policy: Policy) -> set[int]:
    named: set[int] = set()
    for rule in policy.rules:
        named |= rule.match.ethertype or set()
        for tunnel in rule.match.tunnel or ():
            named |= TUNNEL_ETHERTYPES.get(tunnel, frozenset())
    return named


def _network(headers: Headers) -> int:
    return _ETHERNET + 4 * headers.tags


def _next(frame: bytes, headers: Headers) -> int | None:
    """The IP protocol, or the first next header."""
    at = {4: 9, 6: 6}.get(headers.version)
    return None if at is None else frame[_network(headers) + at]


def _has_options(_: Classification, frame: bytes, headers: Headers) -> bool:
    return headers.version == 4 and frame[_network(headers)] & 0x0F > 5


def _has_ah(_: Classification, frame: bytes, headers: Headers) -> bool:
    return _next(frame, headers) == AH


def _has_extensions(_: Classification, frame: bytes, headers: Headers) -> bool:
    return headers.version == 6 and _next(frame, headers) in EXTENSION_HEADERS


def _is_later_fragment(_: Classification, frame: bytes, headers: Headers) -> bool:
    return headers.version == 4 and headers.fragment is Fragment.LATER


def _is_short(classification: Classification, frame: bytes, headers: Headers) -> bool:
    """Whether the packet ends before the last word that a filter for its like looks at."""
    if headers.version == 0:
        return False
    protocol = 0x8100 if headers.tags else headers.ethertype
    furthest = max(
        key.offset + 4
        for each in classification.filters
        if each.protocol == protocol
        for key in each.match.keys
    )
    return len(frame) - _network(headers) < furthest


def _is_lookalike(_: Classification, frame: bytes, headers: Headers) -> bool:
    """UDP, first bytes as in a media stream, but not in one."""
    if headers.version == 0 or headers.protocol != UDP:
        return False
    start = _network(headers) + {4: 28, 6: 48}[headers.version]
    looks = payload_class(frame[start : start + 8], 1 << 16)
    return looks is not None and headers.payload_class is None


_IS: dict[Beyond, Callable[[Classification, bytes, Headers], bool]] = {
    Beyond.TAGS: _is_tagged_otherwise,
    Beyond.LLC: _is_llc,
    Beyond.OTHER_ETHERTYPES: _is_other_ethertype,
    Beyond.IPV4_OPTIONS: _has_options,
    Beyond.AH: _has_ah,
    Beyond.IPV6_EXTENSIONS: _has_extensions,
    Beyond.LATER_FRAGMENTS: _is_later_fragment,
    Beyond.SHORT: _is_short,
    Beyond.LOOKALIKES: _is_lookalike,
}

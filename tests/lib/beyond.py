"""Why a classifier may hold a frame that the policy lets bypass: each kind, told from the bytes.

A kind is a promise to whoever reads the plan, so each predicate is as narrow as its words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remusnet.classify.filters import ETH_P_8021Q, Beyond, Classification
from remusnet.classify.headers import AH, EXTENSION_HEADERS, Headers, dissect, payload_class
from remusnet.classify.u32.conditions import U32Match
from remusnet.policy.policy import ARP_ETHERTYPE, TUNNEL_ETHERTYPES, UDP, Fragment, Link

_ETHERNET = 14


def kinds_of(classification: Classification, frame: bytes) -> set[Beyond]:
    """The kinds among ``classification.beyond`` that ``frame`` is of."""
    case = _Case(classification, frame, dissect(frame))
    if case.headers.link is Link.LLC:
        return {Beyond.LLC}.intersection(classification.beyond)
    return {kind for kind in classification.beyond if _IS[kind](case)}


@dataclass(frozen=True, slots=True)
class _Case:
    classification: Classification
    frame: bytes
    headers: Headers

    @property
    def network(self) -> int:
        """Where the network header of an Ethernet II frame starts."""
        return _ETHERNET + 4 * self.headers.tags

    @property
    def next_header(self) -> int | None:
        """The IP protocol, or the first next header of IPv6."""
        at = {4: 9, 6: 6}.get(self.headers.version)
        return None if at is None else self.frame[self.network + at]


def _has_other_tags(case: _Case) -> bool:
    tags = case.headers.tags
    return tags > 1 or (tags == 1 and case.frame[12:14] != b"\x81\x00")


def _has_other_ethertype(case: _Case) -> bool:
    known = {ARP_ETHERTYPE}
    for rule in case.classification.policy.rules:
        known |= rule.match.ethertype or set()
        for tunnel in rule.match.tunnel or ():
            known |= TUNNEL_ETHERTYPES.get(tunnel, frozenset())
    return case.headers.version == 0 and case.headers.ethertype not in known


def _is_short(case: _Case) -> bool:
    """The packet ends before the last word that a filter for its like looks at."""
    protocol = ETH_P_8021Q if case.headers.tags else case.headers.ethertype
    ends = [
        key.offset + 4
        for each in case.classification.filters
        if each.protocol == protocol and isinstance(each.match, U32Match)
        for key in each.match.keys
    ]
    return case.headers.version != 0 and len(case.frame) - case.network < max(ends, default=0)


def _looks_like_media(case: _Case) -> bool:
    if case.headers.version == 0 or case.headers.protocol != UDP:
        return False
    start = case.network + {4: 28, 6: 48}[case.headers.version]
    looks = payload_class(case.frame[start : start + 8], length=1 << 16)
    return looks is not None and case.headers.payload_class is None


_IS: dict[Beyond, Callable[[_Case], bool]] = {
    Beyond.TAGS: _has_other_tags,
    Beyond.LLC: lambda _: False,  # asked for before all others
    Beyond.OTHER_ETHERTYPES: _has_other_ethertype,
    Beyond.IPV4_OPTIONS: lambda case: (
        case.headers.version == 4 and case.frame[case.network] & 0x0F > 5
    ),
    Beyond.AH: lambda case: case.next_header == AH,
    Beyond.IPV6_EXTENSIONS: lambda case: (
        case.headers.version == 6 and case.next_header in EXTENSION_HEADERS
    ),
    Beyond.LATER_FRAGMENTS: lambda case: (
        case.headers.version == 4 and case.headers.fragment is Fragment.LATER
    ),
    Beyond.SHORT: _is_short,
    Beyond.LOOKALIKES: _looks_like_media,
}

"""Why flower may hold a frame that the policy lets bypass: each kind, told from the bytes."""

from __future__ import annotations

from collections.abc import Callable

from remusnet.classify.filters import Beyond, Classification
from remusnet.classify.headers import AH, EXTENSION_HEADERS, Headers, dissect
from remusnet.policy.policy import (
    ARP_ETHERTYPE,
    PROTOCOLS,
    TUNNEL_ETHERTYPES,
    UDP,
    Fragment,
    Link,
)

_NETWORK = 14


def kinds_of(classification: Classification, frame: bytes) -> set[Beyond]:
    """The kinds among ``classification.beyond`` that ``frame`` is of."""
    headers = dissect(frame)
    by_link = {Beyond.ALL_TAGS: headers.tags > 0, Beyond.LLC: headers.link is Link.LLC}
    if any(by_link.values()):
        return {kind for kind, is_so in by_link.items() if is_so and kind in classification.beyond}
    found = {kind for kind in classification.beyond if kind in _IS and _IS[kind](headers, frame)}
    if Beyond.OTHER_ETHERTYPES in classification.beyond:
        known = {ARP_ETHERTYPE}
        for rule in classification.policy.rules:
            known |= rule.match.ethertype or set()
            for tunnel in rule.match.tunnel or ():
                known |= TUNNEL_ETHERTYPES.get(tunnel, frozenset())
        if not headers.version and headers.ethertype not in known:
            found.add(Beyond.OTHER_ETHERTYPES)
    return found


def _next_header(headers: Headers, frame: bytes) -> int | None:
    """The IP protocol, or the first next header of IPv6."""
    at = {4: 9, 6: 6}.get(headers.version)
    return None if at is None else frame[_NETWORK + at]


def _is_zero(headers: Headers, frame: bytes) -> bool:
    return 0 in (headers.source_port, headers.destination_port, headers.icmp_type)


def _is_uncompared(headers: Headers, frame: bytes) -> bool:
    protocol = _next_header(headers, frame)
    return protocol in (33, 136, {4: 58, 6: 1}.get(headers.version))


def _is_short(headers: Headers, frame: bytes) -> bool:
    """ICMP whose type is there, and not the eight bytes of its header."""
    transport = _NETWORK + {4: 20, 6: 40}.get(headers.version, 0)
    return headers.icmp_type is not None and len(frame) < transport + 8


_IS: dict[Beyond, Callable[[Headers, bytes], bool]] = {
    Beyond.IPV4_OPTIONS: lambda headers, frame: headers.version == 4 and frame[_NETWORK] & 0x0F > 5,
    Beyond.AH: lambda headers, frame: headers.version == 4 and _next_header(headers, frame) == AH,
    Beyond.IPV6_EXTENSIONS: lambda headers, frame: (
        headers.version == 6 and _next_header(headers, frame) in EXTENSION_HEADERS
    ),
    Beyond.OTHER_PROTOCOLS: lambda headers, _: (
        headers.protocol is not None and headers.protocol not in PROTOCOLS.values()
    ),
    Beyond.IP_IN_IP: lambda headers, frame: _next_header(headers, frame) in (4, 41, 47, 137),
    Beyond.FRAGMENTS: lambda headers, _: (
        headers.version == 4 and headers.fragment is not Fragment.WHOLE
    ),
    Beyond.ZEROS: _is_zero,
    Beyond.SHORT: _is_short,
    Beyond.PAYLOADS: lambda headers, _: headers.protocol == UDP,
    Beyond.UNCOMPARED: _is_uncompared,
}

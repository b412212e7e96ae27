"""What flower holds although a policy lets it bypass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remusnet.classify.filters import Beyond
from remusnet.classify.flower.conditions import GUARDED, ICMP_OF, WITH_PORTS
from remusnet.classify.headers import EXTENSION_HEADERS
from remusnet.policy.policy import (
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    PORT_PROTOCOLS,
    TUNNEL_PROTOCOLS,
    TUNNEL_UDP_PORTS,
    Link,
    Match,
    Policy,
)
from remusnet.policy.verdict import Verdict


def beyond(policy: Policy) -> tuple[Beyond, ...]:
    """The kinds of frame that may be held so, in the order of `Beyond`."""
    bypassing = [rule.match for rule in policy.rules if rule.verdict is Verdict.BYPASS]
    if policy.default is Verdict.BYPASS:
        bypassing.append(Match())
    holding = [rule.match for rule in policy.rules if rule.verdict is Verdict.HOLD]
    found = set(_links(bypassing))
    plain = [match for match in bypassing if _may_be(match, Link.PLAIN)]
    found |= set(_packets([match for match in plain if match.payload is None]))
    if any(_may_be_ip(match, version) for match in plain for version in (4, 6)):
        found |= set(_looks(plain, holding))
    return tuple(each for each in Beyond if each in found)


def _links(bypassing: Sequence[Match]) -> Iterator[Beyond]:
    if any(_may_be(match, Link.TAGGED) for match in bypassing):
        yield Beyond.ALL_TAGS
    if any(_may_be(match, Link.LLC) for match in bypassing):
        yield Beyond.LLC


def _packets(plain: Sequence[Match]) -> Iterator[Beyond]:
    """What the guards hold, and what has no filter."""
    four = [match for match in plain if _may_be_ip(match, 4)]
    six = [match for match in plain if _may_be_ip(match, 6)]
    if any(not _is_about_ip(m) and m.ethertype is None and m.tunnel is None for m in plain):
        yield Beyond.OTHER_ETHERTYPES
    if four:
        yield Beyond.IPV4_OPTIONS
        yield Beyond.AH
    if six:
        yield Beyond.IPV6_EXTENSIONS  # AH is one of them
    if any(map(_may_have_no_name, (*four, *six))):
        yield Beyond.OTHER_PROTOCOLS
    if any(_may_be_guarded(match) for match in (*four, *six)):
        yield Beyond.IP_IN_IP


def _looks(bypassing: Sequence[Match], holding: Sequence[Match]) -> Iterator[Beyond]:
    """What flower sees wrongly or not at all of what these matches look at."""
    both = [*bypassing, *holding]
    behind = [match for match in both if _looks_behind(match)]
    if any(match.icmp_type is not None for match in behind):
        yield Beyond.SHORT
    if any(_may_be_ip(match, 4) for match in behind):
        yield Beyond.FRAGMENTS
    if any(_asks_for_zero(match) for match in bypassing) or any(map(_looks_behind, holding)):
        yield Beyond.ZEROS
    if any(match.payload is not None for match in both):
        yield Beyond.PAYLOADS
    if any(map(_is_uncompared, behind)):
        yield Beyond.UNCOMPARED


def _looks_behind(match: Match) -> bool:
    """Whether a match asks for ports or a type."""
    tunnels = any(kind in TUNNEL_UDP_PORTS for kind in match.tunnel or ())
    return match.looks_at_ports or match.icmp_type is not None or tunnels


def _asks_for_zero(match: Match) -> bool:
    ports = (match.source_port, match.destination_port, match.port)
    return any(0 in each for one in ports for each in one or ()) or 0 in (match.icmp_type or ())


def _is_uncompared(match: Match) -> bool:
    protocols = match.protocol or frozenset()
    if match.icmp_type is not None:
        return any(protocols != {number} and _may_be_ip(match, v) for v, number in ICMP_OF.items())
    return bool(protocols & (PORT_PROTOCOLS - WITH_PORTS))


def _may_be(match: Match, link: Link) -> bool:
    return match.link is None or link in match.link


def _is_about_ip(match: Match) -> bool:
    return match.looks_at_ip or match.looks_at_ports or match.icmp_type is not None


def _may_be_ip(match: Match, version: int) -> bool:
    ethertype = {4: IPV4_ETHERTYPE, 6: IPV6_ETHERTYPE}[version]
    networks = [n for n in (match.source, match.destination, match.address) if n is not None]
    return (
        (match.ethertype is None or ethertype in match.ethertype)
        and all(any(each.version == version for each in one) for one in networks)
        and (
            match.tunnel is None
            or any(kind in TUNNEL_PROTOCOLS or kind in TUNNEL_UDP_PORTS for kind in match.tunnel)
        )
    )


def _may_have_no_name(match: Match) -> bool:
    """Numbers of extension headers are plain protocols in IPv4; flower takes 0 for no header."""
    return match.tunnel is None and (
        match.protocol is None or bool(match.protocol & EXTENSION_HEADERS)
    )


def _may_be_guarded(match: Match) -> bool:
    if match.tunnel is not None:
        return any(TUNNEL_PROTOCOLS.get(kind) in GUARDED for kind in match.tunnel)
    return match.protocol is None or bool(match.protocol & GUARDED)

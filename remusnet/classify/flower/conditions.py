"""The conditions of a rule as flower keys, for untagged IPv4 and IPv6.

A key that the kernel found nothing for (net/core/flow_dissector.c) compares as 0: ports of
fragments and of headers cut short, types of ICMP likewise. So 0 lets nothing bypass, and a rule
that holds takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Network, IPv6Network
from itertools import product
from math import prod

from remusnet.classify.headers import EXTENSION_HEADERS
from remusnet.classify.u32.conditions import prefixes
from remusnet.errors import InvalidInput
from remusnet.policy.policy import (
    ICMP,
    ICMPV6,
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    PROTOCOLS,
    TCP,
    TUNNEL_PROTOCOLS,
    TUNNEL_UDP_PORTS,
    UDP,
    Fragment,
    Link,
    Match,
    Network,
    PortRange,
    Tunnel,
)
from remusnet.policy.verdict import Verdict

GUARDED = frozenset({4, 41, 47, 137})
"""IP, IPv6, GRE and MPLS in IP: kernels before 5.16 compare the header within."""
_NEVER_LISTED = GUARDED | EXTENSION_HEADERS
LISTED = frozenset(PROTOCOLS.values()) - _NEVER_LISTED
"""What bypasses where a rule names no protocol: flower has no "not"."""
WITH_PORTS = frozenset({TCP, UDP, PROTOCOLS["sctp"]})
ICMP_OF = {4: ICMP, 6: ICMPV6}

MOST_COMBINATIONS = 10_000
"""Of the conditions of one rule; many may contradict each other, and take time all the same."""


@dataclass(frozen=True, slots=True)
class FlowerMatch:
    """Header fields that cls_flower compares; None asks for nothing.

    ``source``, ``destination``: prefixes of the IP version that the filter's protocol says.
    Ports: (value, mask), for TCP, UDP and SCTP only. ``icmp_type``: of the ``ip_proto`` that goes
    with the version. ``fragment``: of IPv4.
    """

    ip_proto: int | None = None
    dscp: int | None = None
    fragment: Fragment | None = None
    source: Network | None = None
    destination: Network | None = None
    source_port: tuple[int, int] | None = None
    destination_port: tuple[int, int] | None = None
    icmp_type: int | None = None


TRUE = (FlowerMatch(),)
FALSE: tuple[FlowerMatch, ...] = ()
_PORT_ZERO = (0, 0xFFFF)
_NO_PORTS = FlowerMatch(source_port=_PORT_ZERO, destination_port=_PORT_ZERO)


def alternatives(match: Match, version: int, verdict: Verdict) -> tuple[FlowerMatch, ...]:
    """``match`` on untagged packets of IP ``version``, as any of these.

    At least its packets for HOLD, at most for BYPASS. Raises InvalidInput for too many of them.
    """
    bypass = verdict is Verdict.BYPASS
    conditions = list(_conditions(match, version, bypass))
    if bypass and match.protocol is None:
        conditions.append([FlowerMatch(ip_proto=number) for number in sorted(LISTED)])
    combinations = prod(map(len, conditions))
    if combinations > MOST_COMBINATIONS:
        raise InvalidInput(
            f"flower would need up to {combinations} filters for one rule, {MOST_COMBINATIONS} "
            "are the most: use fewer ports, prefixes and code points"
        )
    found: dict[FlowerMatch, None] = {}
    for chosen in product(*conditions):
        merged = _merged_all(chosen)
        usable = None if merged is None else _comparable(merged, version, bypass)
        if usable is not None:
            found[usable] = None
    return tuple(found)


def _comparable(match: FlowerMatch, version: int, bypass: bool) -> FlowerMatch | None:
    """The match without keys that flower lacks; None where that would let more bypass."""
    usable = match
    if match.ip_proto not in WITH_PORTS:
        usable = replace(usable, source_port=None, destination_port=None)
    if match.ip_proto != ICMP_OF[version]:
        usable = replace(usable, icmp_type=None)
    if bypass and (usable != match or match.ip_proto in _NEVER_LISTED):
        return None
    return usable


def _merged_all(matches: Iterable[FlowerMatch]) -> FlowerMatch | None:
    """All at once; None where that can't be."""
    merged: FlowerMatch | None = FlowerMatch()
    for match in matches:
        merged = merged and _merged(merged, match)
    return merged


def _merged(one: FlowerMatch, other: FlowerMatch) -> FlowerMatch | None:
    found: dict[str, object] = {}
    for field in fields(FlowerMatch):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if first is None or second is None or first == second:
            value = second if first is None else first
        elif field.name in ("source", "destination"):
            value = _narrower(first, second)
        elif field.name in ("source_port", "destination_port"):
            value = _both_ports(first, second)
        else:
            value = None
        if value is None and (first is not None or second is not None):
            return None
        found[field.name] = value
    return replace(one, **found)  # type: ignore[arg-type]  # each value is its own field's


def _narrower(one: Network, other: Network) -> Network | None:
    if isinstance(one, IPv4Network) != isinstance(other, IPv4Network):
        return None
    if not one.overlaps(other):
        return None
    return max(one, other, key=lambda network: network.prefixlen)


def _both_ports(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int] | None:
    if (one[0] ^ other[0]) & one[1] & other[1]:
        return None
    return one[0] | other[0], one[1] | other[1]


def _conditions(match: Match, version: int, bypass: bool) -> Iterator[Sequence[FlowerMatch]]:
    if match.link is not None:
        yield TRUE if Link.PLAIN in match.link else FALSE
    if match.ethertype is not None:
        ethertype = {4: IPV4_ETHERTYPE, 6: IPV6_ETHERTYPE}[version]
        yield TRUE if ethertype in match.ethertype else FALSE
    if match.protocol is not None:
        yield [FlowerMatch(ip_proto=number) for number in sorted(match.protocol)]
    if match.dscp is not None:
        yield [FlowerMatch(dscp=point) for point in sorted(match.dscp)]
    if match.fragment is not None:
        yield _fragments(match.fragment, version)
    yield from _address_conditions(match, version)
    yield from _port_conditions(match, version, bypass)
    if match.icmp_type is not None:
        types = match.icmp_type - {0} if bypass else match.icmp_type | {0}
        yield [FlowerMatch(icmp_type=number) for number in sorted(types)]
    if match.payload is not None:
        yield FALSE if bypass else [FlowerMatch(ip_proto=UDP)]
    if match.tunnel is not None:
        yield [each for kind in sorted(match.tunnel) for each in _tunnel(kind, version, bypass)]


def _fragments(parts: frozenset[Fragment], version: int) -> Sequence[FlowerMatch]:
    if version == 6:  # fragments have an extension header and never get here
        return TRUE if Fragment.WHOLE in parts else FALSE
    return [FlowerMatch(fragment=part) for part in sorted(parts)]


def _address_conditions(match: Match, version: int) -> Iterator[Sequence[FlowerMatch]]:
    if match.source is not None:
        yield _networks(match.source, [_source], version)
    if match.destination is not None:
        yield _networks(match.destination, [_destination], version)
    if match.address is not None:
        yield _networks(match.address, [_source, _destination], version)


def _networks(
    networks: Iterable[Network], ends: Sequence[Callable[[Network], FlowerMatch]], version: int
) -> Sequence[FlowerMatch]:
    family = IPv4Network if version == 4 else IPv6Network
    found = [network for network in networks if isinstance(network, family)]
    if any(network.prefixlen == 0 for network in found):
        return TRUE
    return [end(network) for network in found for end in ends]


def _source(network: Network) -> FlowerMatch:
    return FlowerMatch(source=network)


def _destination(network: Network) -> FlowerMatch:
    return FlowerMatch(destination=network)


def _port_conditions(match: Match, version: int, bypass: bool) -> Iterator[Sequence[FlowerMatch]]:
    if match.source_port is not None:
        yield _ports(match.source_port, [_source_port], version, bypass)
    if match.destination_port is not None:
        yield _ports(match.destination_port, [_destination_port], version, bypass)
    if match.port is not None:
        yield _ports(match.port, _EITHER_PORT, version, bypass)


def _ports(
    ranges: Iterable[PortRange],
    ends: Sequence[Callable[[tuple[int, int]], FlowerMatch]],
    version: int,
    bypass: bool,
) -> list[FlowerMatch]:
    blocks = [
        block
        for ports in ranges
        for block in prefixes(max(ports.low, 1) if bypass else ports.low, ports.high)
    ]
    if any(mask == 0 for _, mask in blocks):
        # Every port: a key that compares nothing is none, of either end, and to the kernel the
        # filters with it would be the same one twice.
        return list(TRUE)
    found = [end(block) for block in blocks for end in ends]
    return found if bypass else [*found, *_without_ports(version)]


def _source_port(block: tuple[int, int]) -> FlowerMatch:
    return FlowerMatch(source_port=block)


def _destination_port(block: tuple[int, int]) -> FlowerMatch:
    return FlowerMatch(destination_port=block)


_EITHER_PORT = (_source_port, _destination_port)


def _without_ports(version: int) -> list[FlowerMatch]:
    """Where ports are out of sight; of a first fragment flower does not look at them."""
    fragments = [FlowerMatch(fragment=part) for part in (Fragment.FIRST, Fragment.LATER)]
    return [_NO_PORTS, *(fragments if version == 4 else [])]


def _tunnel(kind: Tunnel, version: int, bypass: bool) -> Iterator[FlowerMatch]:
    if kind in TUNNEL_PROTOCOLS:
        yield FlowerMatch(ip_proto=TUNNEL_PROTOCOLS[kind])
    ports = [PortRange(port, port) for port in sorted(TUNNEL_UDP_PORTS.get(kind, ()))]
    if ports:
        for each in _ports(ports, _EITHER_PORT, version, bypass):
            yield replace(each, ip_proto=UDP)

"""The conditions of a rule as comparisons of numbers, in a context of the BPF program.

The program has taken a frame apart and put what rules ask for into registers; what it could not see
is a number of its own there (`OUT_OF_SIGHT`, `HIDDEN`). So three-valued logic needs nothing
special: for a rule that holds those numbers are among the ones it asks for, for a rule that lets
bypass not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network

from remusnet.policy.policy import (
    TUNNEL_ETHERTYPES,
    TUNNEL_PROTOCOLS,
    TUNNEL_UDP_PORTS,
    UDP,
    Fragment,
    Link,
    Match,
    Network,
    PayloadClass,
    Policy,
    PortRange,
    Tunnel,
)
from remusnet.policy.verdict import Verdict


class Register(IntEnum):
    """Words of scratch memory by what is in them."""

    TAGS = 0
    LINK = 1
    ETHERTYPE = 2
    NETWORK = 3
    """Where the network header starts."""
    END = 4
    """Where the packet ends by its header; what follows is an Ethernet trailer."""
    FRAGMENT = 5
    """The fragment bits as the header has them: see `FRAGMENT_BITS`."""
    PROTOCOL = 6
    TRANSPORT = 7
    """Where the transport header starts."""
    SOURCE_PORT = 8
    DESTINATION_PORT = 9
    ICMP_TYPE = 10
    PAYLOAD = 11
    """The number of a payload class: see `PAYLOADS`."""
    LENGTH = 12
    """Bytes of a datagram with its header."""
    SCRATCH = 13


@dataclass(frozen=True, slots=True)
class Field:
    """``size`` bytes of the packet, ``offset`` bytes from the network header."""

    offset: int
    size: int


HIDDEN = 0x100
"""In PROTOCOL: the chain of headers goes on in another fragment."""
NO_ETHERTYPE = 0x10000
"""In ETHERTYPE: LLC without one."""
OUT_OF_SIGHT = 0x10000
"""In the registers of ports, ICMP type and payload class: out of sight, or not there."""

LINK_NUMBERS = {Link.PLAIN: 0, Link.TAGGED: 1, Link.LLC: 2}
NO_PAYLOAD = 0
PAYLOADS = {payload: number for number, payload in enumerate(PayloadClass, start=1)}

Range = tuple[int, int]
FRAGMENT_BITS: dict[int, dict[Fragment, tuple[Range, ...]]] = {
    # Bit 13 is "more fragments", the 13 below the offset.
    4: {
        Fragment.WHOLE: ((0, 0),),
        Fragment.FIRST: ((0x2000, 0x2000),),
        Fragment.LATER: ((0x0001, 0x1FFF), (0x2001, 0x3FFF)),
    },
    # Bit 0 is "more fragments", the 13 highest the offset.
    6: {
        Fragment.WHOLE: ((0, 0),),
        Fragment.FIRST: ((1, 1),),
        Fragment.LATER: ((8, 0xFFFF),),
    },
}
"""By IP version: which values of the fragment bits say what."""
LATER_BITS = {4: 0x1FFF, 6: 0xFFF8}


@dataclass(frozen=True, slots=True)
class Within:
    """A register or field is in one of ``ranges``, which ascend and do not touch."""

    where: Register | Field
    ranges: tuple[Range, ...]


Alternatives = tuple[tuple[Within, ...], ...]
"""Any of these suffices; each is a number of comparisons that all have to hold."""
FALSE: Alternatives = ()
TRUE: Alternatives = ((),)


@dataclass(frozen=True, slots=True)
class Step:
    """A rule in a context: all ``conditions`` have to hold for its verdict."""

    name: str
    verdict: Verdict
    conditions: tuple[Alternatives, ...]


def steps(policy: Policy, version: int) -> tuple[Step, ...]:
    """The rules of ``policy`` that can decide on packets of IP ``version`` (0: no IP), in order.

    The last has no conditions. Where all have one verdict, it is the only one.
    """
    found = []
    for rule in policy.rules:
        holds = rule.verdict is Verdict.HOLD
        conditions = tuple(
            TRUE if () in each else each for each in _conditions(rule.match, version, holds)
        )
        if FALSE not in conditions:
            asked = tuple(each for each in conditions if each != TRUE)
            found.append(Step(rule.name, rule.verdict, asked))
            if not asked:
                break
    else:
        found.append(Step("default", policy.default, ()))
    while len(found) > 1 and found[-2].verdict is found[-1].verdict:
        del found[-2]
    return tuple(found)


def asked(found: Iterable[Step]) -> frozenset[Register | Field]:
    """What has to be read for these steps."""
    return frozenset(
        within.where
        for step in found
        for condition in step.conditions
        for alternative in condition
        for within in alternative
    )


def _conditions(match: Match, version: int, holds: bool) -> Iterator[Alternatives]:
    if match.link is not None:
        yield _among(Register.LINK, (LINK_NUMBERS[link] for link in match.link))
    if match.ethertype is not None:
        yield _ethertype(match.ethertype, version)
    if match.tunnel is not None:
        yield _tunnels(match.tunnel, version, holds)
    if not version:
        about_ip = match.looks_at_ip or match.looks_at_ports or match.icmp_type is not None
        if about_ip:
            yield FALSE
        return
    if match.protocol is not None:
        yield _among(Register.PROTOCOL, match.protocol, [HIDDEN] if holds else [])
    if match.fragment is not None:
        parts = (r for part in match.fragment for r in FRAGMENT_BITS[version][part])
        yield ((Within(Register.FRAGMENT, _merged(parts)),),)
    if match.dscp is not None:
        yield ((_dscp(match.dscp, version),),)
    yield from _address_conditions(match, version)
    yield from _port_conditions(match, holds)
    unknown = [OUT_OF_SIGHT] if holds else []
    if match.icmp_type is not None:
        yield _among(Register.ICMP_TYPE, match.icmp_type, unknown)
    if match.payload is not None:
        yield _among(Register.PAYLOAD, (PAYLOADS[each] for each in match.payload), unknown)


def _address_conditions(match: Match, version: int) -> Iterator[Alternatives]:
    source, destination = (12, 16) if version == 4 else (8, 24)
    if match.source is not None:
        yield _networks(match.source, source, version)
    if match.destination is not None:
        yield _networks(match.destination, destination, version)
    if match.address is not None:
        yield (
            *_networks(match.address, source, version),
            *_networks(match.address, destination, version),
        )


def _port_conditions(match: Match, holds: bool) -> Iterator[Alternatives]:
    if match.source_port is not None:
        yield ((_ports(Register.SOURCE_PORT, match.source_port, holds),),)
    if match.destination_port is not None:
        yield ((_ports(Register.DESTINATION_PORT, match.destination_port, holds),),)
    if match.port is not None:
        yield _either_port(match.port, holds)


def _either_port(ports: Sequence[PortRange], holds: bool) -> Alternatives:
    ends = (Register.SOURCE_PORT, Register.DESTINATION_PORT)
    return tuple((_ports(end, ports, holds),) for end in ends)


def _ports(end: Register, ports: Iterable[PortRange], holds: bool) -> Within:
    unknown = [(OUT_OF_SIGHT, OUT_OF_SIGHT)] if holds else []
    return Within(end, _merged([*((each.low, each.high) for each in ports), *unknown]))


def _among(where: Register, numbers: Iterable[int], more: Sequence[int] = ()) -> Alternatives:
    return ((Within(where, _merged((n, n) for n in (*numbers, *more))),),)


def _ethertype(ethertypes: frozenset[int], version: int) -> Alternatives:
    if version:
        return TRUE if {4: 0x0800, 6: 0x86DD}[version] in ethertypes else FALSE
    return _among(Register.ETHERTYPE, ethertypes)


def _dscp(points: Iterable[int], version: int) -> Within:
    if version == 4:  # the six high bits of the second byte
        return Within(Field(1, 1), _merged((p << 2, p << 2 | 3) for p in points))
    return Within(Field(0, 2), _merged((0x6000 | p << 6, 0x6000 | p << 6 | 63) for p in points))


def _networks(networks: Iterable[Network], offset: int, version: int) -> Alternatives:
    family = IPv4Network if version == 4 else IPv6Network
    return tuple(tuple(_words(each, offset)) for each in networks if isinstance(each, family))


def _words(network: Network, offset: int) -> Iterator[Within]:
    """Those words of an address that the prefix reaches into."""
    low, high = int(network.network_address), int(network.broadcast_address)
    for index in range(network.max_prefixlen // 32):
        shift = network.max_prefixlen - 32 * (index + 1)
        words = (low >> shift) & 0xFFFFFFFF, (high >> shift) & 0xFFFFFFFF
        if words != (0, 0xFFFFFFFF):
            yield Within(Field(offset + 4 * index, 4), (words,))


def _tunnels(kinds: frozenset[Tunnel], version: int, holds: bool) -> Alternatives:
    if not version:
        ethertypes = {e for kind in kinds for e in TUNNEL_ETHERTYPES.get(kind, ())}
        return _among(Register.ETHERTYPE, ethertypes) if ethertypes else FALSE
    protocols = {TUNNEL_PROTOCOLS[kind] for kind in kinds if kind in TUNNEL_PROTOCOLS}
    ports = {port for kind in kinds for port in TUNNEL_UDP_PORTS.get(kind, ())}
    found: Alternatives = ()
    if protocols or (ports and holds):
        found = _among(Register.PROTOCOL, protocols, [HIDDEN] if holds else [])
    if ports:
        (udp,) = _among(Register.PROTOCOL, [UDP])
        either = _either_port([PortRange(port, port) for port in ports], holds)
        found = (*found, *((*udp, *each) for each in either))
    return found


def _merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """``ranges`` in order, those that touch as one."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)

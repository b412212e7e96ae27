"""cls_flower's keys as netlink attributes and back.

Layout: linux/pkt_cls.h, TCA_FLOWER_*; net/sched/cls_flower.c, fl_set_key and fl_dump_key. A key is
a value and, for most, a mask; where the mask is 0 it compares nothing, and is not shown again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from remusnet.classify.filters import ETH_P_IP, ETH_P_IPV6
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.kernel.wire.codec import attribute
from remusnet.policy.policy import ICMP, ICMPV6, PROTOCOLS, TCP, UDP, Fragment

FLOWER_CLASSID, FLOWER_ACT = 1, 3
_ETH_TYPE, _IP_PROTO, _FLAGS, _IN_HW_COUNT = 8, 9, 22, 86
_NO_KEYS = {FLOWER_CLASSID, FLOWER_ACT, _FLAGS, _IN_HW_COUNT}

_IS_FRAGMENT, _IS_FIRST = 1, 2
# As tc has them: "nofrag", "frag/firstfrag", "frag/nofirstfrag".
_FRAGMENTS = {
    Fragment.WHOLE: (0, _IS_FRAGMENT),
    Fragment.FIRST: (_IS_FRAGMENT | _IS_FIRST, _IS_FRAGMENT | _IS_FIRST),
    Fragment.LATER: (_IS_FRAGMENT, _IS_FRAGMENT | _IS_FIRST),
}
_DSCP_MASK = 0xFC  # of the type of service byte


@dataclass(frozen=True, slots=True)
class _Key:
    """Where a field of a match is: attributes ``value`` and ``mask``, each of ``size`` bytes.

    ``write`` makes value and mask of it, as numbers; ``read`` makes it of them.
    """

    field: str
    value: int
    mask: int
    size: int
    write: Callable[[Any], tuple[int, int]]
    read: Callable[[int, int], object]


def _network4(value: int, mask: int) -> IPv4Network:
    return IPv4Network((IPv4Address(value), str(IPv4Address(mask))))


def _network6(value: int, mask: int) -> IPv6Network:
    length = mask.bit_count()
    if mask != (1 << 128) - (1 << 128 - length):
        raise ValueError("no prefix")
    return IPv6Network((IPv6Address(value), length))


def _of_network(network: IPv4Network | IPv6Network) -> tuple[int, int]:
    return int(network.network_address), int(network.netmask)


def _dscp(value: int, mask: int) -> int:
    if mask != _DSCP_MASK or value & ~mask:
        raise ValueError("more than a DSCP")
    return value >> 2


def _icmp_type(value: int, mask: int) -> int:
    if mask != 0xFF:
        raise ValueError("a part of a type")
    return value


def _fragment(value: int, mask: int) -> Fragment:
    return {both: fragment for fragment, both in _FRAGMENTS.items()}[value, mask]


def _port(value: int, mask: int) -> tuple[int, int]:
    return value, mask


def _ports(source: tuple[int, int], destination: tuple[int, int]) -> tuple[_Key, _Key]:
    return (
        _Key("source_port", *source, 2, lambda port: port, _port),
        _Key("destination_port", *destination, 2, lambda port: port, _port),
    )


_COMMON = (
    _Key("dscp", 73, 74, 1, lambda dscp: (dscp << 2, _DSCP_MASK), _dscp),
    _Key("fragment", 47, 48, 4, _FRAGMENTS.__getitem__, _fragment),
)
_BY_ETHERTYPE = {
    ETH_P_IP: (
        _Key("source", 10, 11, 4, _of_network, _network4),
        _Key("destination", 12, 13, 4, _of_network, _network4),
    ),
    ETH_P_IPV6: (
        _Key("source", 14, 15, 16, _of_network, _network6),
        _Key("destination", 16, 17, 16, _of_network, _network6),
    ),
}
_BY_PROTOCOL: Mapping[int, tuple[_Key, ...]] = {
    TCP: _ports((18, 35), (19, 36)),
    UDP: _ports((20, 37), (21, 38)),
    PROTOCOLS["sctp"]: _ports((41, 39), (42, 40)),
    ICMP: (_Key("icmp_type", 51, 52, 1, lambda kind: (kind, 0xFF), _icmp_type),),
    ICMPV6: (_Key("icmp_type", 55, 56, 1, lambda kind: (kind, 0xFF), _icmp_type),),
}


def encode_flower(match: FlowerMatch, protocol: int) -> bytes:
    """The keys of ``match`` on frames of the ethertype ``protocol``."""
    parts = [attribute(_ETH_TYPE, protocol.to_bytes(2, "big"))]
    if match.ip_proto is not None:
        parts.append(attribute(_IP_PROTO, bytes([match.ip_proto])))
    for key in _keys(protocol, match.ip_proto):
        field = getattr(match, key.field)
        if field is not None:
            value, mask = key.write(field)
            parts.append(attribute(key.value, value.to_bytes(key.size, "big")))
            parts.append(attribute(key.mask, mask.to_bytes(key.size, "big")))
    return b"".join(parts)


def decode_flower(options: Mapping[int, bytes], protocol: int) -> FlowerMatch | None:
    """The match that these keys are; None for what no match of ours becomes."""
    if options.get(_ETH_TYPE) != protocol.to_bytes(2, "big"):
        return None
    ip_proto = options[_IP_PROTO][0] if _IP_PROTO in options else None
    known = _NO_KEYS | {_ETH_TYPE, _IP_PROTO}
    fields: dict[str, Any] = {"ip_proto": ip_proto}
    for key in _keys(protocol, ip_proto):
        known |= {key.value, key.mask}
        mask = int.from_bytes(options.get(key.mask, b""), "big")
        if mask:
            value = int.from_bytes(options.get(key.value, b""), "big")
            try:
                fields[key.field] = key.read(value, mask)
            except (ValueError, LookupError):
                return None
    return FlowerMatch(**fields) if options.keys() <= known else None


def _keys(protocol: int, ip_proto: int | None) -> Iterator[_Key]:
    yield from _COMMON
    yield from _BY_ETHERTYPE.get(protocol, ())
    yield from _BY_PROTOCOL.get(-1 if ip_proto is None else ip_proto, ())

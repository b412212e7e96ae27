"""Frames and matches at the edges of every condition: each value that makes a difference.

Generated frames seldom have just those. Each match asks for one thing, so that a mistake in it
shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from ipaddress import ip_network
from itertools import pairwise
from random import Random

from remusnet.policy.policy import (
    ICMP,
    ICMPV6,
    PORT_PROTOCOLS,
    TCP,
    TUNNEL_UDP_PORTS,
    UDP,
    Fragment,
    Link,
    Match,
    Network,
    PayloadClass,
    PortRange,
    Tunnel,
)
from tests.lib import layers

_RNG = Random(4)
_UDP = layers.udp(_RNG, layers.rtp(_RNG, 40), sport=40000, dport=40002)
NETWORKS: tuple[Network, ...] = tuple(
    ip_network(prefix)
    for prefix in (
        "0.0.0.0/1",
        "10.0.0.0/9",
        "10.128.0.0/25",
        "255.255.255.255/32",
        "8000::/1",
        "2001:db8::/31",
        "2001:db8::/32",
        "2001:db8:8000::/33",
        "2001:db8:0:0:8000::/65",
        "2001:db8::ff00:0/104",
        "fe80::1/128",
    )
)
PORTS = sorted(
    {
        edge
        for port in (0, 9, 1024, 5004, 65535, *(p for ps in TUNNEL_UDP_PORTS.values() for p in ps))
        for edge in (port - 1, port, port + 1)
        if 0 <= edge <= 65535
    }
)


@cache
def frames() -> tuple[bytes, ...]:
    """All of them but `first_bytes`."""
    return tuple(
        frame
        for made in (
            _traffic_classes,
            _addressed,
            _fragments,
            _ported,
            _cut,
            _typed,
            _others,
        )
        for frame in made()
    )


def _v4(packet: bytes) -> bytes:
    return layers.ethernet(_RNG, layers.IPV4, packet)


def _v6(packet: bytes) -> bytes:
    return layers.ethernet(_RNG, layers.IPV6, packet)


def first_bytes() -> Iterator[bytes]:
    """Every version and header length, of packets with 0 to 40 bytes behind 20 (or 40)."""
    for first in range(256):
        for size in (0, 4, 8, 40):
            four = layers.ipv4(_RNG, UDP, _UDP[:size].ljust(size, b"\0"))
            yield _v4(bytes((first,)) + four[1:])
        yield _v6(bytes((first,)) + layers.ipv6(_RNG, UDP, _UDP)[1:])


def _traffic_classes() -> Iterator[bytes]:
    """Every DSCP with only ones or zeros beside it."""
    four, six = layers.ipv4(_RNG, UDP, _UDP), layers.ipv6(_RNG, UDP, _UDP)
    for value in sorted((*range(0, 256, 4), *range(3, 256, 4))):
        yield _v4(four[:1] + bytes((value,)) + four[2:])
        for label in (0, 0xFFFFF):
            first = 6 << 28 | value << 20 | label
            yield _v6(first.to_bytes(4, "big") + six[4:])


def _addressed() -> Iterator[bytes]:
    """The first and last address of each prefix, and its neighbours, at either end."""
    four, six = layers.ipv4(_RNG, UDP, _UDP), layers.ipv6(_RNG, UDP, _UDP)
    for network in NETWORKS:
        size = network.max_prefixlen // 8
        first, last = int(network.network_address), int(network.broadcast_address)
        for number in (first - 1, first, last, last + 1):
            if not 0 <= number < 1 << 8 * size:
                continue
            address = number.to_bytes(size, "big")
            other = bytes(size)
            for both in (address + other, other + address):
                yield (
                    _v4(four[:12] + both + four[20:])
                    if size == 4
                    else _v6(six[:8] + both + six[40:])
                )


def _fragments() -> Iterator[bytes]:
    """Each bit of the fragment fields, alone and with "more fragments"."""
    for bit in range(16):
        for flags in (1 << bit, 1 << bit | 0x2000, 1 << bit | 1):
            four = layers.ipv4(_RNG, UDP, _UDP)
            yield _v4(four[:6] + flags.to_bytes(2, "big") + four[8:])
            for protocol in (UDP, layers.DESTINATION_OPTIONS):
                header = bytes((protocol, 0)) + flags.to_bytes(2, "big") + bytes(4)
                yield _v6(layers.ipv6(_RNG, layers.FRAGMENT, header + _UDP))


def _ported() -> Iterator[bytes]:
    for port in PORTS:
        for protocol in sorted(PORT_PROTOCOLS) if port in (9, 10) else (UDP,):
            for ports in ((port, 40000), (40000, port)):
                data = b"".join(each.to_bytes(2, "big") for each in ports) + bytes(16)
                yield _v4(layers.ipv4(_RNG, protocol, data))
                yield _v6(layers.ipv6(_RNG, protocol, data))
    for size in range(9):
        yield _v4(layers.ipv4(_RNG, UDP, _UDP[:size]))
        yield _v6(layers.ipv6(_RNG, UDP, _UDP[:size]))


def _cut() -> Iterator[bytes]:
    for frame in (_v4(layers.ipv4(_RNG, UDP, _UDP)), _v6(layers.ipv6(_RNG, UDP, _UDP))):
        for size in range(14, 74):
            yield frame[:size]


def _typed() -> Iterator[bytes]:
    for protocol in (ICMP, ICMPV6):
        for number in (0, 1, 8, 9, 132, 133, 137, 138, 255):
            for size in (0, 1, 7, 8, 24):
                data = (bytes((number,)) + bytes(23))[:size]
                yield _v4(layers.ipv4(_RNG, protocol, data))
                yield _v6(layers.ipv6(_RNG, protocol, data))


def _others() -> Iterator[bytes]:
    for protocol in range(256):
        yield _v4(layers.ipv4(_RNG, protocol, bytes(40)))
        yield _v6(layers.ipv6(_RNG, protocol, bytes(40)))
    for ethertype in (0x05FF, 0x0600, 0x0806, 0x8035, 0x8847, 0x8848, 0x8863, 0x8864, 0xFFFF):
        for tags in ((), (0x8100,), (0x88A8,), (0x9100,), (0x8100, 0x8100)):
            words = b"".join(tag.to_bytes(2, "big") + b"\0\1" for tag in tags)
            yield bytes(12) + words + ethertype.to_bytes(2, "big") + bytes(46)
            llc = b"\0\x40" + layers.snap(ethertype)
            yield bytes(12) + words + llc + bytes(46)


def matches() -> Iterator[Match]:
    """One condition each, and those that need a protocol beside them."""
    yield from _network_matches()
    yield from _transport_matches()
    for payload in PayloadClass:
        yield Match(payload=frozenset({payload}))
    for tunnel in Tunnel:
        yield Match(tunnel=frozenset({tunnel}))
    for link in Link:
        yield Match(link=frozenset({link}))
    for ethertype in (0x0800, 0x0806, 0x86DD, 0x8864, 0xFFFF):
        yield Match(ethertype=frozenset({ethertype}))


def _network_matches() -> Iterator[Match]:
    for points in ({0}, {1}, {31}, {46}, {63}, {1, 3, 4}):
        yield Match(dscp=frozenset(points))
    for network in NETWORKS:
        yield Match(source=(network,))
        yield Match(destination=(network,))
        yield Match(address=(network,))
    for part in Fragment:
        yield Match(fragment=frozenset({part}))
    for numbers in ({0}, {1}, {UDP}, {TCP}, {58}, {59}, {132}, {255}, {1, 3, 5}):
        yield Match(protocol=frozenset(numbers))


def _transport_matches() -> Iterator[Match]:
    for low, high in pairwise((0, 9, 1024, 5004, 65535)):
        ports = (PortRange(low, high), PortRange(low, low))
        yield Match(protocol=frozenset({UDP}), source_port=ports)
        yield Match(protocol=frozenset({UDP}), destination_port=ports)
        yield Match(protocol=frozenset({UDP}), port=ports[1:])
    for protocol in sorted(PORT_PROTOCOLS):
        yield Match(protocol=frozenset({protocol}), port=(PortRange(9, 9),))
    for types in ({0}, {1, 8}, {133, 134, 135, 136, 137}, {255}):
        for protocol in (ICMP, ICMPV6):
            yield Match(protocol=frozenset({protocol}), icmp_type=frozenset(types))

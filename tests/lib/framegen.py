"""Raw Ethernet frames of every kind that a guest may send: quick, and the same for the same seed.

A kind is a link, a network, a transport and a damage, each by name; the name travels with the
frame. Non-IP networks have the transport ``-``. `generate` walks through all combinations, in an
order that the seed decides, and again from the start; of each combination every second frame is
damaged, so that ``2 * len(COMBINATIONS)`` frames have each of them whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.lib import layers
from tests.lib.damage import DAMAGES, NONE


class Sample(NamedTuple):
    """A frame, and what was meant to be in it."""

    frame: bytes
    link: str
    network: str
    transport: str
    damage: str

    @property
    def kind(self) -> str:
        """For example ``qinq/ipv6-hop-by-hop/tcp/whole``."""
        return "/".join(self[1:])


def generate(count: int, seed: int, *, shortest: int = 0) -> list[Sample]:
    """``count`` frames of at least ``shortest`` bytes (a cut one gets zeros; a vif needs 14)."""
    rng = Random(seed)
    order = rng.sample(COMBINATIONS, len(COMBINATIONS))
    damages = list(DAMAGES)
    samples = []
    for index in range(count):
        visit, position = divmod(index, len(order))
        damage = rng.choice(damages) if (visit + position) % 2 else NONE
        sample = build(rng, *order[position], damage)
        if len(sample.frame) < shortest:
            sample = sample._replace(frame=sample.frame.ljust(shortest, b"\0"))
        samples.append(sample)
    return samples


def build(rng: Random, link: str, network: str, transport: str, damage: str = NONE) -> Sample:
    """One frame of this kind."""
    if transport == NO_TRANSPORT:
        ethertype, packet = NON_IP[network](rng)
    else:
        ethertype, packet = NETWORKS[network](rng, *TRANSPORTS[transport](rng))
    frame = LINKS[link](rng, ethertype, packet)
    if damage != NONE:
        frame = DAMAGES[damage](rng, frame, len(frame) - len(packet))
    return Sample(frame, link, network, transport, damage)


def with_id(frame: bytes, identity: int) -> bytes:
    """``frame`` with ``identity`` (below 2**40) as its source address 02:xx:xx:xx:xx:xx.

    Raises ValueError for a frame that has no room for its addresses.
    """
    if len(frame) < 12:
        raise ValueError(f"a frame of {len(frame)} bytes has no source address")
    return frame[:6] + b"\x02" + identity.to_bytes(5, "big") + frame[12:]


def id_of(frame: bytes) -> int:
    """What `with_id` wrote."""
    return int.from_bytes(frame[7:12], "big")


# -- links: (rng, ethertype, packet) -> frame ------------------------------------------------------

Link = Callable[[Random, int, bytes], bytes]


def _tagged(*outer: int, vlan: int | None = None) -> Link:
    """Tags whose ethertypes are ``outer``, outermost first."""

    def frame(rng: Random, ethertype: int, packet: bytes) -> bytes:
        inner = (*outer[1:], ethertype)
        return layers.ethernet(
            rng, outer[0], b"".join(layers.tag(rng, e, vlan) for e in inner) + packet
        )

    return frame


def _snap(oui: bytes, *outer: int) -> Link:
    """802.3 with SNAP, behind tags whose ethertypes are ``outer``."""

    def frame(rng: Random, ethertype: int, packet: bytes) -> bytes:
        packet = layers.snap(ethertype, oui) + packet
        link = _tagged(*outer) if outer else layers.ethernet
        return link(rng, len(packet), packet)

    return frame


def _llc(llc: bytes) -> Link:
    def frame(rng: Random, _ethertype: int, packet: bytes) -> bytes:
        return layers.ethernet(rng, len(llc + packet), llc + packet)

    return frame


def _tag_in_snap(rng: Random, ethertype: int, packet: bytes) -> bytes:
    packet = layers.snap(0x8100) + layers.tag(rng, ethertype) + packet
    return layers.ethernet(rng, len(packet), packet)


LINKS: dict[str, Link] = {
    "plain": layers.ethernet,
    "tag": _tagged(0x8100),
    "priority": _tagged(0x8100, vlan=0),
    "service-tag": _tagged(0x88A8),
    "old-tag": _tagged(0x9100),
    "qinq": _tagged(0x88A8, 0x8100),
    "two-tags": _tagged(0x8100, 0x8100),
    "old-qinq": _tagged(0x9100, 0x8100),
    "three-tags": _tagged(0x88A8, 0x8100, 0x8100),
    "snap": _snap(b"\x00\x00\x00"),
    "snap-802.1h": _snap(b"\x00\x00\xf8"),
    "snap-cisco": _snap(b"\x00\x00\x0c"),
    "tag-snap": _snap(b"\x00\x00\x00", 0x8100),
    "snap-tag": _tag_in_snap,
    "llc-ip": _llc(b"\x06\x06\x03"),
    "llc-stp": _llc(b"\x42\x42\x03"),
}


# -- networks: (rng, protocol, transport) -> ethertype, packet -------------------------------------

Network = Callable[[Random, int, bytes], tuple[int, bytes]]


def _ipv4(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    return layers.IPV4, layers.ipv4(rng, protocol, data)


def _ipv4_df(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    return layers.IPV4, layers.ipv4(rng, protocol, data, flags=2)


def _ipv4_options(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    # Router alert (RFC 2113), then no-operations: 4 to 40 bytes.
    options = b"\x94\x04\x00\x00" + b"\x01" * 4 * rng.choice((0, 1, 9))
    return layers.IPV4, layers.ipv4(rng, protocol, data, options=options)


def _ipv4_first(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    return layers.IPV4, layers.ipv4(rng, protocol, data[: max(8, len(data) & ~7)], flags=1)


def _ipv4_later(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    return layers.IPV4, layers.ipv4(
        rng, protocol, data, flags=rng.randrange(2), offset=rng.choice(OFFSETS)
    )


def _ipv4_ah(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    return layers.IPV4, layers.ipv4(
        rng, layers.AH, layers.ah(rng, protocol, rng.choice((12, 16))) + data
    )


def _ipv4_later_ah(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    return layers.IPV4, layers.ipv4(
        rng, layers.AH, layers.ah(rng, protocol) + data, offset=rng.choice(OFFSETS)
    )


def _chain(*headers: int) -> Network:
    """IPv6 extension headers in that order."""

    def packet(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
        return layers.IPV6, _chained(rng, headers, protocol, data)

    return packet


def _chained(rng: Random, headers: tuple[int, ...], protocol: int, data: bytes) -> bytes:
    for header in reversed(headers):
        if header == layers.ROUTING:
            data = layers.routing_header(rng, protocol) + data
        elif header == layers.FRAGMENT:  # an atomic one
            data = layers.fragment_header(rng, protocol, 0, False) + data
        elif header == layers.AH:
            # RFC 4302, 3.3.3.2: in IPv6 a multiple of 8 bytes.
            data = layers.ah(rng, protocol, 12) + data
        else:
            data = layers.options_header(rng, protocol) + data
        protocol = header
    return layers.ipv6(rng, protocol, data)


def _ipv6_mixed(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    known = (layers.ROUTING, layers.DESTINATION_OPTIONS, layers.AH, layers.FRAGMENT)
    headers = (layers.HOP_BY_HOP, *rng.choices(known, k=rng.randrange(7)))
    return layers.IPV6, _chained(rng, headers, protocol, data)


def _ipv6_first(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    data = layers.fragment_header(rng, protocol, 0, True) + data[: max(8, len(data) & ~7)]
    return layers.IPV6, layers.ipv6(rng, layers.FRAGMENT, data)


def _ipv6_later(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    data = layers.fragment_header(rng, protocol, rng.choice(OFFSETS), rng.random() < 0.5) + data
    return layers.IPV6, layers.ipv6(rng, layers.FRAGMENT, data)


def _ipv6_later_options(rng: Random, protocol: int, data: bytes) -> tuple[int, bytes]:
    """A later fragment of a datagram with destination options: what follows them is hidden."""
    return _ipv6_later(rng, layers.DESTINATION_OPTIONS, layers.options_header(rng, protocol) + data)


OFFSETS = (1, 2, 185, 0x1FFF)
NETWORKS: dict[str, Network] = {
    "ipv4": _ipv4,
    "ipv4-df": _ipv4_df,
    "ipv4-options": _ipv4_options,
    "ipv4-first": _ipv4_first,
    "ipv4-later": _ipv4_later,
    "ipv4-ah": _ipv4_ah,
    "ipv4-later-ah": _ipv4_later_ah,
    "ipv6": _chain(),
    "ipv6-hop-by-hop": _chain(layers.HOP_BY_HOP),
    "ipv6-routing": _chain(layers.ROUTING),
    "ipv6-destination": _chain(layers.DESTINATION_OPTIONS),
    "ipv6-ah": _chain(layers.AH),
    "ipv6-first": _ipv6_first,
    "ipv6-later": _ipv6_later,
    "ipv6-later-options": _ipv6_later_options,
    "ipv6-atomic": _chain(layers.FRAGMENT),
    "ipv6-mixed": _ipv6_mixed,
    "ipv6-chain-8": _chain(layers.HOP_BY_HOP, *[layers.DESTINATION_OPTIONS] * 7),
    "ipv6-chain-9": _chain(layers.HOP_BY_HOP, *[layers.DESTINATION_OPTIONS] * 8),
}


def _arp(rng: Random) -> tuple[int, bytes]:
    return layers.ARP, b"\x00\x01\x08\x00\x06\x04\x00\x01" + rng.randbytes(20)


def _mpls(rng: Random) -> tuple[int, bytes]:
    label = (rng.randrange(16, 1 << 20) << 12 | 1 << 8 | 64).to_bytes(4, "big")
    return 0x8847, label + layers.ipv4(rng, layers.TCP, layers.tcp(rng))


def _pppoe(rng: Random) -> tuple[int, bytes]:
    packet = b"\x00\x21" + layers.ipv4(rng, layers.TCP, layers.tcp(rng))
    return 0x8864, b"\x11\x00\x00\x01" + len(packet).to_bytes(2, "big") + packet


def _other(ethertype: int) -> Callable[[Random], tuple[int, bytes]]:
    return lambda rng: (ethertype, rng.randbytes(46))


NON_IP: dict[str, Callable[[Random], tuple[int, bytes]]] = {
    "arp": _arp,
    "mpls": _mpls,
    "pppoe": _pppoe,
    "lldp": _other(0x88CC),
    "macsec": _other(0x88E5),
    "experimental": _other(0x88B5),
}


# -- transports: rng -> protocol, transport header and what it carries -----------------------------

Transport = Callable[[Random], tuple[int, bytes]]


def _datagram(payload: Callable[[Random, int], bytes]) -> Transport:
    """UDP with a payload of a length around the limits; half of them between media ports."""

    def datagram(rng: Random) -> tuple[int, bytes]:
        ports = layers.PORTS if rng.random() < 0.5 else layers.MEDIA_PORTS
        data = payload(rng, rng.choice(layers.LENGTHS))
        return layers.UDP, layers.udp(rng, data, sport=rng.choice(ports), dport=rng.choice(ports))

    return datagram


def _to(port: int, payload: Callable[[Random], bytes]) -> Transport:
    return lambda rng: (layers.UDP, layers.udp(rng, payload(rng), sport=40000, dport=port))


def _inner_tcp(rng: Random) -> bytes:
    return layers.ipv4(rng, layers.TCP, layers.tcp(rng))


def _vxlan(rng: Random) -> bytes:
    return b"\x08\0\0\0\0\0\x01\0" + layers.ethernet(rng, layers.IPV4, _inner_tcp(rng))


TRANSPORTS: dict[str, Transport] = {
    "tcp": lambda rng: (layers.TCP, layers.tcp(rng, rng.randbytes(rng.choice(layers.LENGTHS)))),
    "tcp-options": lambda rng: (
        layers.TCP,
        layers.tcp(rng, b"GET", b"\x01" * 4 * rng.choice((1, 3, 10))),
    ),
    "udp": _datagram(lambda rng, length: rng.randbytes(length)),
    "rtp": _datagram(layers.rtp),
    "rtcp": _datagram(layers.rtcp),
    "stun": _datagram(layers.stun),
    "dtls": _datagram(layers.dtls),
    "turn": _datagram(layers.turn),
    "quic": _datagram(layers.quic_long),
    "quic-short": _datagram(layers.quic_short),
    "dns": _to(53, layers.dns),
    "vxlan": _to(4789, _vxlan),
    "nat-t": _to(4500, layers.esp),
    "icmp": lambda rng: (layers.ICMP, layers.icmp(rng, rng.choice((0, 8)))),
    "icmpv6": lambda rng: (layers.ICMPV6, layers.icmp(rng, rng.choice((128, 129)))),
    "neighbour": lambda rng: (
        layers.ICMPV6,
        layers.neighbour_discovery(rng, rng.randrange(133, 138)),
    ),
    "sctp": lambda rng: (layers.SCTP, layers.sctp(rng)),
    "esp": lambda rng: (layers.ESP, layers.esp(rng)),
    "gre": lambda rng: (layers.GRE, layers.gre(_inner_tcp(rng), layers.IPV4)),
    "ipip": lambda rng: (layers.IPIP, _inner_tcp(rng)),
    "6in4": lambda rng: (layers.SIX_IN_FOUR, layers.ipv6(rng, layers.TCP, layers.tcp(rng))),
    "none": lambda _: (layers.NO_NEXT, b""),
}

NO_TRANSPORT = "-"
COMBINATIONS = [
    *itertools.product(LINKS, NETWORKS, TRANSPORTS),
    *itertools.product(LINKS, NON_IP, [NO_TRANSPORT]),
]
"""Every (link, network, transport)."""

"""Frames that scapy writes: a second hand beside `tests.lib.framegen`, with checksums.

Fewer and slower (about a millisecond each), but nobody here decided how their headers look.
"""

from __future__ import annotations

import itertools
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import GRE, LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.rtp import RTP
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.packet import Packet, Raw

from tests.lib.framegen import Sample

MACS: dict[str, Any] = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
V4: dict[str, Any] = {"src": "192.0.2.1", "dst": "198.51.100.2"}
V6: dict[str, Any] = {"src": "2001:db8::1", "dst": "2001:db8::2"}

LINKS: dict[str, Packet] = {
    "plain": Ether(**MACS),
    "tag": Ether(**MACS) / Dot1Q(vlan=100, prio=5),
    "priority": Ether(**MACS) / Dot1Q(vlan=0, prio=5),
    "qinq": Ether(**MACS) / Dot1AD(vlan=7) / Dot1Q(vlan=8),
    "snap": Dot3(**MACS) / LLC() / SNAP(),
}
OPTIONS = [PadN(optdata=b"\0" * 4)]
ATOMIC = IPv6ExtHdrFragment(id=3, m=0, offset=0)
NETWORKS: dict[str, Packet] = {
    "ipv4": IP(**V4),
    "ipv4-df": IP(**V4, flags="DF"),
    "ipv4-options": IP(**V4, options=[IPOption_Router_Alert()]),
    "ipv4-first": IP(**V4, flags="MF"),
    "ipv4-later": IP(**V4, frag=5),
    "ipv4-ah": IP(**V4) / AH(spi=1, seq=1, icv=b"\0" * 12),
    "ipv6": IPv6(**V6),
    "ipv6-hop-by-hop": IPv6(**V6) / IPv6ExtHdrHopByHop(options=OPTIONS),
    "ipv6-routing": IPv6(**V6) / IPv6ExtHdrRouting(addresses=["2001:db8::9"]),
    "ipv6-destination": IPv6(**V6) / IPv6ExtHdrDestOpt(options=OPTIONS),
    "ipv6-first": IPv6(**V6) / IPv6ExtHdrFragment(id=1, m=1),
    "ipv6-later": IPv6(**V6) / IPv6ExtHdrFragment(id=2, offset=9),
    "ipv6-atomic": IPv6(**V6) / ATOMIC,
    "ipv6-mixed": IPv6(**V6) / IPv6ExtHdrHopByHop(options=OPTIONS) / ATOMIC / IPv6ExtHdrDestOpt(),
}
TRANSPORTS: dict[str, Packet] = {
    "tcp": TCP(sport=5060, dport=50000, flags="PA") / Raw(b"INVITE"),
    "tcp-options": TCP(sport=443, dport=50001, options=[("MSS", 1460), ("SAckOK", b"")]),
    "rtp": UDP(sport=16384, dport=5004) / RTP(sequence=1) / Raw(b"\xd5" * 160),
    "udp": UDP(sport=40000, dport=9) / Raw(b"discard it"),
    "icmp": ICMP() / Raw(b"ping"),
    "icmpv6": ICMPv6EchoRequest(),
    "neighbour": ICMPv6ND_NS(tgt="2001:db8::2"),
    "sctp": SCTP(sport=5060, dport=5060, tag=1) / SCTPChunkData(data=b"data"),
    "esp": ESP(spi=7, seq=1, data=b"\x11" * 40),
    "gre": GRE() / IP(**V4) / TCP(),
    "ipip": IP(**V4) / TCP(),
    "6in4": IPv6(**V6) / TCP(),
}


NEEDS_IPV6 = ("icmpv6", "neighbour")
"""Their checksum covers IPv6 addresses, so scapy writes them over nothing else."""


def generate() -> list[Sample]:
    """Every link with every network with every transport that fits it, once."""
    return [
        Sample(bytes(LINKS[link] / NETWORKS[network] / TRANSPORTS[transport]), *kind, "whole")
        for kind in itertools.product(LINKS, NETWORKS, TRANSPORTS)
        for link, network, transport in [kind]
        if network.startswith("ipv6") or transport not in NEEDS_IPV6
    ]

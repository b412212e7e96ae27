"""What a guest may send early: what a rule looks at, rules in order, and what holds beside them.

The closed vocabularies (ethertypes, protocols, classes of payload, tunnels), `Match`, a conjunction
over them, `Rule` and `Policy`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from remusnet.policy.verdict import Verdict

Network = IPv4Network | IPv6Network

ETHERTYPES = {
    "ipv4": 0x0800,
    "arp": 0x0806,
    "rarp": 0x8035,
    "ipv6": 0x86DD,
    "pppoe-discovery": 0x8863,
    "pppoe": 0x8864,
    "mpls": 0x8847,
    "mpls-multicast": 0x8848,
    "eapol": 0x888E,
    "lldp": 0x88CC,
    "ptp": 0x88F7,
}
"""EtherType by name (IEEE registry). VLAN tags are no ethertype: they are looked through."""

PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "icmpv6": 58,
    "ospf": 89,
    "etherip": 97,
    "pim": 103,
    "vrrp": 112,
    "l2tp": 115,
    "sctp": 132,
    "udplite": 136,
}
"""IP protocol by name (IANA). Extension headers and AH are walked, so they have no place here."""

DSCPS = {
    "cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48, "cs7": 56,
    "af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22,
    "af31": 26, "af32": 28, "af33": 30, "af41": 34, "af42": 36, "af43": 38,
    "ef": 46, "va": 44, "le": 1,
}  # fmt: skip
"""Differentiated services code point by name (RFC 2474, 2597, 3246, 5865, 8622)."""

TCP, UDP, ICMP, ICMPV6 = PROTOCOLS["tcp"], PROTOCOLS["udp"], PROTOCOLS["icmp"], PROTOCOLS["icmpv6"]
PORT_PROTOCOLS = frozenset(PROTOCOLS[name] for name in ("tcp", "udp", "dccp", "sctp", "udplite"))
"""The protocols whose header begins with a source and a destination port."""

ARP_ETHERTYPE, IPV4_ETHERTYPE, IPV6_ETHERTYPE = 0x0806, 0x0800, 0x86DD
VLAN_ETHERTYPE = 0x8100
TAG_ETHERTYPES = frozenset({VLAN_ETHERTYPE, 0x88A8, 0x9100})
"""802.1Q (priority tags too), 802.1ad, and what was used for stacked tags before 802.1ad."""
SMALLEST_ETHERTYPE = 0x0600
"""Below, the two bytes are an 802.3 length (IEEE 802.3, 3.2.6)."""

LOWEST_MEDIA_PORT = 1024
NEVER_MEDIA_PORTS = frozenset(
    {
        1194,  # OpenVPN
        1701,  # L2TP
        2152,  # GTP-U
        3544,  # Teredo
        4500,  # IPsec NAT traversal: a quarter of all SPIs look like RTP
        4789,  # VXLAN
        6081,  # Geneve
        6635,  # MPLS in UDP
        8472,  # VXLAN as Linux first numbered it
        51820,  # WireGuard
    }
)
"""UDP ports that carry tunnels: what looks like media there is taken for chance."""
STUN_COOKIE = 0x2112A442
"""The second word of each STUN message (RFC 8489, section 5)."""


def is_innermost(ethertype: int) -> bool:
    """Whether a frame's innermost ethertype can be this. To the kernel, others mean other things:

    3 is every protocol, 4 is LLC, and a tag's ethertype is every frame with such a tag.
    """
    return ethertype >= SMALLEST_ETHERTYPE and ethertype not in TAG_ETHERTYPES


class Link(StrEnum):
    """How a frame names its payload."""

    PLAIN = "plain"
    """Ethernet II without tags."""
    TAGGED = "tagged"
    """Ethernet II behind one or two VLAN or priority tags."""
    LLC = "llc"
    """802.3 with LLC or SNAP, tagged or not."""


class Fragment(StrEnum):
    """Which part of an IP datagram a frame carries."""

    WHOLE = "whole"
    """All of it (an IPv6 atomic fragment, RFC 6946, is whole too)."""
    FIRST = "first"
    """Its beginning, with the ports."""
    LATER = "later"
    """A part without ports."""


class PayloadClass(StrEnum):
    """What a whole UDP datagram carries, told by its first bytes (RFC 7983), lengths and ports.

    Neither port may be below `LOWEST_MEDIA_PORT` or in `NEVER_MEDIA_PORTS`.
    """

    RTP = "rtp"
    """First byte 128-191, second not 192-223, at least 12 bytes."""
    RTCP = "rtcp"
    """First byte 128-191, second 192-223 (RFC 5761), at least 8 bytes."""
    STUN = "stun"
    """First byte 0-3 and the magic cookie of RFC 8489, at least 20 bytes."""
    DTLS = "dtls"
    """First byte 20-63, at least 13 bytes (a record header)."""
    TURN = "turn"
    """TURN channel data: first byte 64-79, at least 4 bytes."""


class Tunnel(StrEnum):
    """Encapsulations that remusnet knows by a protocol number, an ethertype or a UDP port."""

    IPIP = "ipip"
    SIX_IN_FOUR = "6in4"
    GRE = "gre"
    ESP = "esp"
    ETHERIP = "etherip"
    L2TP = "l2tp"
    MPLS = "mpls"
    PPPOE = "pppoe"
    VXLAN = "vxlan"
    GENEVE = "geneve"
    GTP_U = "gtp-u"
    IPSEC_NAT_T = "ipsec-nat-t"
    OPENVPN = "openvpn"
    WIREGUARD = "wireguard"
    TEREDO = "teredo"


TUNNEL_PROTOCOLS: dict[Tunnel, int] = {
    Tunnel.IPIP: 4,
    Tunnel.SIX_IN_FOUR: 41,
    Tunnel.GRE: 47,
    Tunnel.ESP: 50,
    Tunnel.ETHERIP: 97,
    Tunnel.L2TP: 115,
}
TUNNEL_ETHERTYPES: dict[Tunnel, frozenset[int]] = {
    Tunnel.MPLS: frozenset({0x8847, 0x8848}),
    Tunnel.PPPOE: frozenset({0x8863, 0x8864}),
}
TUNNEL_UDP_PORTS: dict[Tunnel, frozenset[int]] = {
    Tunnel.L2TP: frozenset({1701}),
    Tunnel.VXLAN: frozenset({4789, 8472}),
    Tunnel.GENEVE: frozenset({6081}),
    Tunnel.GTP_U: frozenset({2152}),
    Tunnel.IPSEC_NAT_T: frozenset({4500}),
    Tunnel.OPENVPN: frozenset({1194}),
    Tunnel.WIREGUARD: frozenset({51820}),
    Tunnel.TEREDO: frozenset({3544}),
}


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports ``low`` to ``high``, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 65535:
            raise ValueError(f"invalid port range: {self.low}-{self.high}")

    def __contains__(self, port: int) -> bool:
        return self.low <= port <= self.high

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


@dataclass(frozen=True, slots=True)
class Match:
    """A conjunction of conditions; each is a set of alternatives, and None is no condition.

    ``link``: how the frame is encapsulated. ``ethertype``: the innermost, behind tags and SNAP.
    ``protocol``: the IP protocol behind extension headers and AH.
    ``source``, ``destination``: IP prefixes; ``address``: either end.
    ``source_port``, ``destination_port``: port ranges; ``port``: either end.
    ``dscp``: code points 0-63. ``icmp_type``: types of ICMP or ICMPv6.
    ``fragment``, ``payload``, ``tunnel``: see their enums.

    Raises ValueError where the conditions can never hold together.
    """

    link: frozenset[Link] | None = None
    ethertype: frozenset[int] | None = None
    protocol: frozenset[int] | None = None
    source: tuple[Network, ...] | None = None
    destination: tuple[Network, ...] | None = None
    address: tuple[Network, ...] | None = None
    source_port: tuple[PortRange, ...] | None = None
    destination_port: tuple[PortRange, ...] | None = None
    port: tuple[PortRange, ...] | None = None
    dscp: frozenset[int] | None = None
    icmp_type: frozenset[int] | None = None
    fragment: frozenset[Fragment] | None = None
    payload: frozenset[PayloadClass] | None = None
    tunnel: frozenset[Tunnel] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) is not None and not getattr(self, field.name):
                raise ValueError(f"empty condition: {field.name}")
        if self.looks_at_ports and not (self.protocol and self.protocol <= PORT_PROTOCOLS):
            raise ValueError("ports need protocol tcp, udp, dccp, sctp or udplite")
        if self.icmp_type is not None and not (
            self.protocol and self.protocol <= {ICMP, ICMPV6} and len(self.protocol) == 1
        ):
            raise ValueError("icmp_type needs protocol icmp or icmpv6")
        if self.payload is not None:
            if self.protocol is not None and UDP not in self.protocol:
                raise ValueError("payload needs protocol udp, or none")
            if self.fragment is not None and Fragment.WHOLE not in self.fragment:
                raise ValueError("payload can only be told of whole datagrams")
        ip = {IPV4_ETHERTYPE, IPV6_ETHERTYPE}
        if self.looks_at_ip and self.ethertype is not None and not self.ethertype & ip:
            raise ValueError("ethertype is not IP, but other conditions are about IP")
        if self.looks_at_ports and self.fragment == frozenset({Fragment.LATER}):
            raise ValueError("ports can not be told of later fragments")
        if not self._ip_versions():
            raise ValueError("addresses and ethertype are of different IP versions")

    def _ip_versions(self) -> set[int]:
        """Which IP versions a packet may have whose addresses and ethertype match."""
        versions = {4, 6}
        for networks in (self.source, self.destination, self.address):
            if networks is not None:
                versions &= {network.version for network in networks}
        if self.ethertype is not None and versions < {4, 6}:
            ethertypes = {IPV4_ETHERTYPE: 4, IPV6_ETHERTYPE: 6}
            versions &= {ethertypes.get(ethertype, 0) for ethertype in self.ethertype}
        return versions

    @property
    def looks_at_ports(self) -> bool:
        """Whether a port is among the conditions."""
        return not (
            self.source_port is None and self.destination_port is None and self.port is None
        )

    @property
    def looks_at_ip(self) -> bool:
        """Whether a condition can only hold of IP packets."""
        return any(
            value is not None
            for value in (
                self.protocol,
                self.source,
                self.destination,
                self.address,
                self.dscp,
                self.fragment,
                self.payload,
            )
        )


ANYTHING = Match()
"""Matches every frame."""

# Names reach file names and comments of shell scripts, so they are kept plain.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
DEFAULT_RULE = "default"
ODD_RULE = "odd"
RESERVED_NAMES = frozenset({DEFAULT_RULE, ODD_RULE})


@dataclass(frozen=True, slots=True)
class Rule:
    """``match -> verdict``. Raises ValueError for a name that is not plain."""

    name: str
    verdict: Verdict
    match: Match

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in RESERVED_NAMES:
            raise ValueError(f"invalid rule name: {self.name!r}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a guest may send early: the first rule that matches decides, else ``default``.

    What can not be seen counts against bypassing: a rule that holds also takes a frame that it
    *might* match (a later fragment, where it asks for ports), a rule that lets bypass needs to be
    sure. ``holds_odd``: frames too short or too odd to be judged are held without asking the rules;
    only the baseline policy ``stock-remus`` does without, as Xen's own script does.

    Raises ValueError for a name that is not plain, or rules of the same name.
    """

    name: str
    rules: tuple[Rule, ...]
    default: Verdict
    description: str = ""
    holds_odd: bool = True

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"invalid policy name: {self.name!r}")
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("two rules have the same name")

    @staticmethod
    def from_toml(text: str) -> Policy:
        """The policy that ``text`` describes, in the form of a policy file.

            >>> policy = remusnet.Policy.from_toml('''
            ... name = "my-media"
            ... extends = "real-time"
            ... [[rule]]
            ... name = "game"
            ... verdict = "bypass"
            ... protocol = "udp"
            ... destination-port = "27015"
            ... ''')
            >>> remusnet.plan("vif1.0", policy=policy).classification.policy.rules[0].name
            'game'

        Raises InvalidInput, one line with the first mistake and their number.
        """
        from remusnet.policy.toml import load

        return load(text, "the policy")


def named_ethertypes(policy: Policy) -> set[int]:
    """The ethertypes that its rules ask for, tunnels included.

    Without IPv4 and IPv6, and without those that no frame's innermost ethertype can be.
    """
    named: set[int] = set()
    for rule in policy.rules:
        named |= rule.match.ethertype or set()
        for kind in rule.match.tunnel or ():
            named |= TUNNEL_ETHERTYPES.get(kind, frozenset())
    return set(filter(is_innermost, named - {IPV4_ETHERTYPE, IPV6_ETHERTYPE}))

"""What a policy becomes: kernel filters in order, and what they hold beyond the policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remusnet.classify.bpf.assembler import Instruction
from remusnet.policy.match import Fragment, Network
from remusnet.policy.policy import Policy
from remusnet.policy.verdict import Verdict

ETH_P_ALL = 0x0003
ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
ETH_P_8021Q = 0x8100
ETH_P_IPV6 = 0x86DD
ETH_P_8021AD = 0x88A8

# As tc prints them; every other number is given to tc as it is.
_PROTOCOL_NAMES = {
    ETH_P_ALL: "all",
    ETH_P_IP: "ip",
    ETH_P_ARP: "arp",
    ETH_P_8021Q: "802.1Q",
    ETH_P_IPV6: "ipv6",
    ETH_P_8021AD: "802.1ad",
}

LAST_PREF = 1000
"""The preference of the filter that holds what no other let pass."""


def protocol_name(protocol: int) -> str:
    """An ethertype in tc's words: ``ip``, ``802.1Q``, ``all``, or ``0x8847``."""
    return _PROTOCOL_NAMES.get(protocol, f"{protocol:#06x}")


@dataclass(frozen=True, slots=True)
class U32Key:
    """One comparison of u32: 32 bits at ``offset`` bytes from the network header, big-endian.

    ``offset`` is a multiple of 4 and may be negative (the Ethernet header). With mask 0 it only
    asks that the four bytes be there; u32 leaves the whole preference where they are not.
    """

    offset: int
    mask: int
    value: int

    def __post_init__(self) -> None:
        if self.offset % 4 or self.value & ~self.mask or not 0 <= self.mask <= 0xFFFFFFFF:
            raise ValueError(f"invalid u32 key: {self}")


@dataclass(frozen=True, slots=True)
class U32Match:
    """A u32 selector: all keys have to agree."""

    keys: tuple[U32Key, ...]


@dataclass(frozen=True, slots=True)
class BpfMatch:
    """A classic BPF program that cls_bpf runs from the Ethernet header on: 0 is no match."""

    program: tuple[Instruction, ...]


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


FilterMatch = U32Match | FlowerMatch | BpfMatch
"""What a filter asks for, in the terms of its tc classifier."""

EVERY_FRAME = U32Match((U32Key(-16, 0, 0),))
"""Four bytes before the Ethernet header are always there: matches even an empty frame."""


class Beyond(StrEnum):
    """Kinds of frame that a classifier may hold although the policy lets them bypass."""

    TAGS = "two VLAN tags, or a tag that is not 802.1Q"
    LLC = "802.3 frames (LLC, SNAP)"
    OTHER_ETHERTYPES = "ethertypes that the rules do not name, other than IPv4, IPv6 and ARP"
    IPV4_OPTIONS = "IPv4 with options"
    AH = "AH (IPsec authentication header)"
    IPV6_EXTENSIONS = "IPv6 with extension headers"
    LATER_FRAGMENTS = "later IPv4 fragments"
    SHORT = "packets too short for what a rule looks at"
    LOOKALIKES = "UDP that looks like media but for its ports or lengths"
    ALL_TAGS = "frames with a VLAN tag"
    OTHER_PROTOCOLS = "IP protocols that have no name in policies"
    IP_IN_IP = "IP, GRE or MPLS in IP"
    FRAGMENTS = "IPv4 fragments, where a rule looks behind the IP header"
    ZEROS = "port 0 and ICMP type 0, which stand for a header that is not there"
    PAYLOADS = "UDP that rules tell by its payload"
    UNCOMPARED = "DCCP and UDP-Lite by port, ICMP of the other IP version by type"


@dataclass(frozen=True, slots=True)
class Filter:
    """One tc filter at the vif's ingress: ``match -> verdict``.

    ``pref``: tc's preference (lower is asked first; one protocol each). ``protocol``: an ethertype
    as the kernel has it in skb->protocol, the tag's for a tagged frame. ``comment``: for a person.
    """

    pref: int
    protocol: int
    match: FilterMatch
    verdict: Verdict
    comment: str


@dataclass(frozen=True, slots=True)
class Classification:
    """A policy as filters of one classifier.

    Sound always: no frame that the policy holds bypasses. ``beyond``: kinds of frame that it may
    hold although the policy lets them bypass; exact where there are none.
    """

    classifier: str
    policy: Policy
    filters: tuple[Filter, ...]
    beyond: tuple[Beyond, ...]

    @property
    def exact(self) -> bool:
        """Whether it holds just what the policy holds."""
        return not self.beyond

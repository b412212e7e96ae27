"""What a policy becomes: kernel filters in order, and what they hold beyond the policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from remusnet.classify.bpf.assembler import Instruction
from remusnet.classify.headers import SMALLEST_ETHERTYPE, TAG_ETHERTYPES
from remusnet.errors import InvalidInput
from remusnet.policy.policy import (
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    TUNNEL_ETHERTYPES,
    Fragment,
    Link,
    Match,
    Network,
    Policy,
)
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


def is_innermost(ethertype: int) -> bool:
    """Whether a frame's innermost ethertype can be this. To the kernel, others mean other things:

    3 is every protocol, 4 is LLC, and a tag's ethertype is every frame with such a tag.
    """
    return ethertype >= SMALLEST_ETHERTYPE and ethertype not in TAG_ETHERTYPES


def named_ethertypes(policy: Policy) -> set[int]:
    """What its rules ask for, tunnels included; IPv4 and IPv6, and what is no frame's, left out."""
    named: set[int] = set()
    for rule in policy.rules:
        named |= rule.match.ethertype or set()
        for kind in rule.match.tunnel or ():
            named |= TUNNEL_ETHERTYPES.get(kind, frozenset())
    return set(filter(is_innermost, named - {IPV4_ETHERTYPE, IPV6_ETHERTYPE}))


def held_ethertypes(policy: Policy, classifier: str) -> Iterator[tuple[str, frozenset[int]]]:
    """Of a policy that lets odd frames bypass: each rule's name, and the ethertypes that it holds.

    Raises InvalidInput for one that does more than hold untagged frames by them: what is in an odd
    frame can't be told, so no such rule can be kept. ``classifier`` is named then.
    """
    for rule in policy.rules:
        only = Match(link=frozenset({Link.PLAIN}), ethertype=rule.match.ethertype)
        if rule.verdict is not Verdict.HOLD or rule.match != only or only.ethertype is None:
            raise not_whole(policy, classifier, rule.name)
        yield rule.name, only.ethertype
    if policy.default is not Verdict.BYPASS:
        raise InvalidInput(f"policy {policy.name}: holds by default, so it has to hold odd frames")


def not_whole(policy: Policy, classifier: str, rule: str) -> InvalidInput:
    """The error for a rule that does not hold an ethertype as a whole."""
    return InvalidInput(
        f"policy {policy.name}: {classifier} can let odd frames bypass only beside rules that "
        f"hold untagged frames of an ethertype, and rule {rule} is none"
    )

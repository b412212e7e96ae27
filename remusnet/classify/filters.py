"""What a policy becomes: kernel filters in order, and what they hold beyond the policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from remusnet.classify.bpf.assembler import BpfMatch
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.classify.u32.conditions import U32Match
from remusnet.errors import InvalidInput
from remusnet.policy.policy import VLAN_ETHERTYPE, Link, Match, Policy
from remusnet.policy.verdict import Verdict

ETH_P_ALL = 0x0003
ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
ETH_P_8021Q = VLAN_ETHERTYPE
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


FilterMatch = U32Match | FlowerMatch | BpfMatch
"""What a filter asks for, in the terms of its tc classifier."""


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


def held_ethertypes(policy: Policy, classifier: str) -> Iterator[tuple[str, frozenset[int]]]:
    """The rules of a policy that lets odd frames bypass: names, and the ethertypes that they hold.

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

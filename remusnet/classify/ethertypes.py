"""What a policy says of ethertypes as a whole: which it names, and which it holds."""

from __future__ import annotations

from collections.abc import Iterator

from remusnet.classify.headers import SMALLEST_ETHERTYPE, TAG_ETHERTYPES
from remusnet.errors import InvalidInput
from remusnet.policy.match import IPV4_ETHERTYPE, IPV6_ETHERTYPE, TUNNEL_ETHERTYPES, Link, Match
from remusnet.policy.policy import Policy
from remusnet.policy.verdict import Verdict


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

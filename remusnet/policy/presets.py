"""The policies that ship with remusnet."""

from __future__ import annotations

from remusnet.errors import InvalidInput, quoted, suggestion
from remusnet.policy.policy import (
    ARP_ETHERTYPE,
    ICMPV6,
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    TCP,
    Link,
    Match,
    PayloadClass,
    Policy,
    Rule,
)
from remusnet.policy.verdict import Verdict

TCP_ONLY = Policy(
    name="tcp-only",
    description="Hold TCP; everything else bypasses, tunnels included.",
    rules=(Rule("tcp", Verdict.HOLD, Match(protocol=frozenset({TCP}))),),
    default=Verdict.BYPASS,
)
REAL_TIME = Policy(
    name="real-time",
    description="Hold everything but RTP, RTCP, ARP and IPv6 neighbour discovery.",
    rules=(
        Rule("arp", Verdict.BYPASS, Match(ethertype=frozenset({ARP_ETHERTYPE}))),
        Rule(
            "neighbour-discovery",
            Verdict.BYPASS,
            # RFC 4861: router and neighbour solicitation and advertisement, redirect.
            Match(
                ethertype=frozenset({IPV6_ETHERTYPE}),
                protocol=frozenset({ICMPV6}),
                icmp_type=frozenset(range(133, 138)),
            ),
        ),
        Rule(
            "media",
            Verdict.BYPASS,
            Match(payload=frozenset({PayloadClass.RTP, PayloadClass.RTCP})),
        ),
    ),
    default=Verdict.HOLD,
)
HOLD_ALL = Policy(
    name="hold-all",
    description="Hold every frame: strict output commit.",
    rules=(),
    default=Verdict.HOLD,
)
STOCK_REMUS = Policy(
    name="stock-remus",
    description="Hold untagged IPv4, as Xen's own script does: the baseline to compare with.",
    rules=(
        Rule(
            "ipv4",
            Verdict.HOLD,
            Match(link=frozenset({Link.PLAIN}), ethertype=frozenset({IPV4_ETHERTYPE})),
        ),
    ),
    default=Verdict.BYPASS,
    holds_odd=False,
)

PRESETS: dict[str, Policy] = {
    policy.name: policy for policy in (TCP_ONLY, REAL_TIME, HOLD_ALL, STOCK_REMUS)
}
DEFAULT_POLICY = TCP_ONLY


def preset(name: str) -> Policy:
    """The shipped policy of that name.

    Raises InvalidInput, with a suggestion, for any other name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise InvalidInput(
            f"unknown policy: {quoted(name)}{suggestion(name, PRESETS)}; "
            f"known are {', '.join(PRESETS)}, or the path of a .toml file"
        ) from None

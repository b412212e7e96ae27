"""Hypothesis strategies for policies: every condition, contradictory ones left out."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st

from remusnet.policy.policy import (
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    Fragment,
    Link,
    Match,
    PayloadClass,
    Policy,
    PortRange,
    Rule,
    Tunnel,
)
from remusnet.policy.verdict import Verdict

NETWORKS = [
    ip_network(prefix)
    for prefix in ("0.0.0.0/0", "10.0.0.0/9", "10.128.0.0/9", "::/0", "2001:db8::/33", "fe80::/10")
]
PROTOCOLS = (TCP, UDP, ICMP, ICMPV6, 47, 51, 60, 132)
"""With AH and destination options, which no packet is of: they are walked."""
CONDITIONS: dict[str, st.SearchStrategy[Any]] = {
    "link": st.frozensets(st.sampled_from(Link), min_size=1),
    "ethertype": st.frozensets(st.sampled_from([0x0800, 0x0806, 0x86DD, 0x8847]), min_size=1),
    "protocol": st.frozensets(st.sampled_from(PROTOCOLS), min_size=1),
    "fragment": st.frozensets(st.sampled_from(Fragment), min_size=1),
    "payload": st.frozensets(st.sampled_from(PayloadClass), min_size=1),
    "tunnel": st.frozensets(st.sampled_from(Tunnel), min_size=1),
    "dscp": st.frozensets(st.integers(0, 63), min_size=1, max_size=32),
    "icmp_type": st.frozensets(st.sampled_from([0, 8, 128, 133, 135, 136]), min_size=1),
} | {
    name: st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2, unique=True).map(tuple)
    for name in ("source", "destination", "address")
}  # fmt: skip
PORTS = st.sampled_from(
    [
        PortRange(0, 1023),
        PortRange(1024, 65535),
        PortRange(5004, 5005),
        PortRange(0, 65535),
    ]
)
CONDITIONS |= {
    name: st.lists(PORTS, min_size=1, max_size=2, unique=True).map(tuple)
    for name in ("source_port", "destination_port", "port")
}


@st.composite
def matches(draw: st.DrawFn) -> Match:
    """One to three conditions that can hold together."""
    names = draw(st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=3, unique=True))
    values = {name: draw(CONDITIONS[name]) for name in names}
    if any("port" in name for name in names):
        values["protocol"] = frozenset({draw(st.sampled_from([TCP, UDP, 132]))})
    if "icmp_type" in names:
        values["protocol"] = frozenset({draw(st.sampled_from([ICMP, ICMPV6]))})
    try:
        return Match(**values)
    except ValueError:
        return Match(**{name: values[name] for name in names[:1] if name not in NEEDY})


NEEDY = frozenset({"icmp_type", "source_port", "destination_port", "port"})


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Up to four rules and a default; odd frames are held, as in every policy that users write."""
    found = draw(st.lists(st.tuples(st.sampled_from(Verdict), matches()), max_size=4))
    rules = tuple(Rule(f"rule{i}", verdict, match) for i, (verdict, match) in enumerate(found))
    return Policy("drawn", rules, draw(st.sampled_from(Verdict)))

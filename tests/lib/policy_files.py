"""A hypothesis strategy for all that a policy file can say, whether or not frames are like that.

`tests.lib.policies` is the one for classifiers: few values, which frames are likely to hit.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Any

from hypothesis import strategies as st

from remusnet.policy import (
    Fragment,
    Link,
    Match,
    PayloadClass,
    Policy,
    PortRange,
    Rule,
    Tunnel,
    Verdict,
)
from remusnet.policy.policy import ICMP, ICMPV6, NAME, PORT_PROTOCOLS, RESERVED_NAMES, UDP, Network

Fields = dict[str, st.SearchStrategy[Any]]

# What the loader refuses because no frame has it: see remusnet.policy.conditions.
_NEVER_ETHERTYPES = {0x8100, 0x88A8, 0x9100}
_NEVER_PROTOCOLS = {0, 43, 44, 51, 60}
_MAPPED_IPV4 = IPv6Network("::ffff:0:0/96")

names = st.from_regex(NAME, fullmatch=True).filter(lambda name: name not in RESERVED_NAMES)
descriptions = st.text(max_size=60).filter(str.isprintable)
ethertypes = st.integers(0x0600, 0xFFFF).filter(lambda number: number not in _NEVER_ETHERTYPES)
protocols = st.integers(0, 255).filter(lambda number: number not in _NEVER_PROTOCOLS)
ports = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(
    lambda ends: PortRange(min(ends), max(ends))
)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A prefix of either version, of any length."""
    if draw(st.booleans()):
        return IPv4Network((draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 32))), False)
    network = IPv6Network((draw(st.integers(0, 2**128 - 1)), draw(st.integers(0, 128))), False)
    return IPv6Network("2001:db8::/32") if network.subnet_of(_MAPPED_IPV4) else network


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[frozenset[Any]]:
    return st.frozensets(values, min_size=1, max_size=4)


def _listed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=1, max_size=4).map(tuple)


_ON_ANY_FRAME: Fields = {
    "link": _some(st.sampled_from(Link)),
    "tunnel": _some(st.sampled_from(Tunnel)),
}
_ON_IP: Fields = {
    "source": _listed(networks()),
    "destination": _listed(networks()),
    "address": _listed(networks()),
    "dscp": _some(st.integers(0, 63)),
}
_ON_PORTS: Fields = {
    "source_port": _listed(ports),
    "destination_port": _listed(ports),
    "port": _listed(ports),
}
_IP_ETHERTYPES: Fields = {"ethertype": _some(st.sampled_from([0x0800, 0x86DD]))}
_FRAGMENTS: Fields = {"fragment": _some(st.sampled_from(Fragment))}
_WHOLE_TOO: Fields = {
    "fragment": _some(st.sampled_from(Fragment)).map(lambda parts: parts | {Fragment.WHOLE})
}
_PAYLOADS: Fields = {"payload": _some(st.sampled_from(PayloadClass))}


def _matches(required: Fields, *optional: Fields) -> st.SearchStrategy[Match]:
    fields = {name: values for each in optional for name, values in each.items()}
    return st.fixed_dictionaries(required, optional=fields).flatmap(_if_possible)


def _if_possible(fields: dict[str, Any]) -> st.SearchStrategy[Match]:
    """The match of these fields, unless its addresses are of different IP versions."""
    try:
        return st.just(Match(**fields))
    except ValueError as error:
        if "different IP versions" in str(error):
            return st.nothing()
        raise


matches: st.SearchStrategy[Match] = st.one_of(
    _matches({}, _ON_ANY_FRAME, {"ethertype": _some(ethertypes)}),
    _matches({"protocol": _some(protocols)}, _ON_ANY_FRAME, _ON_IP, _IP_ETHERTYPES, _FRAGMENTS),
    _matches(
        {"protocol": _some(st.sampled_from(sorted(PORT_PROTOCOLS)))}, _ON_IP, _ON_PORTS, _WHOLE_TOO
    ),
    _matches(
        {
            "protocol": st.sampled_from([ICMP, ICMPV6]).map(lambda number: frozenset({number})),
            "icmp_type": _some(st.integers(0, 255)),
        },
        _ON_IP,
        _FRAGMENTS,
    ),
    _matches(_PAYLOADS, _ON_ANY_FRAME, _ON_IP, _IP_ETHERTYPES),
    _matches({"protocol": st.just(frozenset({UDP})), **_PAYLOADS}, _ON_IP, _ON_PORTS, _WHOLE_TOO),
)
"""Matches of every kind."""


@st.composite
def any_policies(draw: st.DrawFn) -> Policy:
    """A policy of up to six rules that holds odd frames, as those of files do."""
    rule_names = draw(st.lists(names, unique=True, max_size=6))
    return Policy(
        name=draw(names),
        description=draw(descriptions),
        default=draw(st.sampled_from(Verdict)),
        rules=tuple(
            Rule(name, draw(st.sampled_from(Verdict)), draw(matches)) for name in rule_names
        ),
    )

"""A policy as text: in plain words for comments and tables, and as a TOML file with comments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from remusnet.policy.conditions import CONDITIONS
from remusnet.policy.match import (
    DSCPS,
    ETHERTYPES,
    PROTOCOLS,
    Fragment,
    Link,
    Match,
    PayloadClass,
    PortRange,
)
from remusnet.policy.policy import Policy, Rule
from remusnet.policy.verdict import Verdict

_MOST_NAMED = 4

_LINKS = {
    Link.PLAIN: "untagged Ethernet II",
    Link.TAGGED: "VLAN-tagged Ethernet II",
    Link.LLC: "802.3 with LLC",
}
_FRAGMENTS = {
    Fragment.WHOLE: "unfragmented",
    Fragment.FIRST: "first fragments",
    Fragment.LATER: "later fragments",
}
# Names that are not just their key in capitals.
_SPELLINGS = {
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "icmpv6": "ICMPv6",
    "pppoe": "PPPoE",
    "pppoe-discovery": "PPPoE discovery",
    "mpls-multicast": "MPLS multicast",
    "etherip": "EtherIP",
    "udplite": "UDP-Lite",
    "ipip": "IPv4 in IP",
}


def describe(match: Match) -> str:
    """What a match asks for, on one line: ``RTP or RTCP, to 192.0.2.0/24``."""
    phrases = [
        say(value) for field, say in _PHRASES if (value := getattr(match, field)) is not None
    ]
    return ", ".join(phrases) or "every frame"


def describe_rule(rule: Rule) -> str:
    """A rule as a sentence without its full stop: ``Bypass ARP``."""
    return f"{rule.verdict.capitalize()} {describe(rule.match)}"


def describe_verdict(policy: Policy, verdict: Verdict) -> str:
    """What a policy does this with, on one line: ``ARP; RTP or RTCP``, ``everything else``."""
    parts = [describe(rule.match) for rule in policy.rules if rule.verdict is verdict]
    if policy.default is verdict:
        parts.append("everything else" if policy.rules else "every frame")
    return "; ".join(parts) or "nothing"


def _listed(names: Iterable[str]) -> str:
    """``a``, ``a or b``, ``a, b, c, d or 12 more``."""
    names = list(names)
    if len(names) > _MOST_NAMED:
        names = [*names[:_MOST_NAMED], f"{len(names) - _MOST_NAMED} more"]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _ranges(numbers: Iterable[int]) -> list[str]:
    """Runs of numbers: ``133-137``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [str(low) if low == high else f"{low}-{high}" for low, high in runs]


def _named(
    names: Mapping[str, int], otherwise: Callable[[int], str]
) -> Callable[[frozenset[int]], str]:
    by_number = {number: _SPELLINGS.get(name, name.upper()) for name, number in names.items()}

    def say(numbers: frozenset[int]) -> str:
        return _listed(by_number.get(number) or otherwise(number) for number in sorted(numbers))

    return say


def _payloads(payloads: frozenset[PayloadClass]) -> str:
    names = (payload.upper() for payload in PayloadClass if payload in payloads)
    return _listed("TURN channel data" if name == "TURN" else name for name in names)


def _ports(where: str) -> Callable[[tuple[PortRange, ...]], str]:
    return lambda ports: where.format(_listed(str(each) for each in ports))


def _networks(where: str) -> Callable[[Iterable[object]], str]:
    return lambda networks: f"{where} {_listed(str(network) for network in networks)}"


_PHRASES: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("link", lambda links: _listed(_LINKS[link] for link in Link if link in links)),
    ("ethertype", _named(ETHERTYPES, "ethertype {:#06x}".format)),
    ("payload", _payloads),
    ("tunnel", lambda kinds: f"{_listed(sorted(kinds))} tunnels"),
    ("protocol", _named(PROTOCOLS, "IP protocol {}".format)),
    ("icmp_type", lambda types: f"type {_listed(_ranges(types))}"),
    ("source", _networks("from")),
    ("destination", _networks("to")),
    ("address", _networks("from or to")),
    ("source_port", _ports("from port {}")),
    ("destination_port", _ports("to port {}")),
    ("port", _ports("port {} at either end")),
    ("dscp", _named(DSCPS, "DSCP {}".format)),
    ("fragment", lambda parts: _listed(_FRAGMENTS[part] for part in Fragment if part in parts)),
)
"""The fields of `Match` in the order of speech, and how each is said."""


_WIDTH = 100
_WHAT_HAPPENS = {Verdict.HOLD: "is held", Verdict.BYPASS: "bypasses"}


def to_toml(policy: Policy) -> str:
    """The text that `remusnet.policy.toml.load` reads back as an equal policy.

    Two things a file can not say: ``holds_odd=False``, which only ``stock-remus`` has (a comment
    says it), and a description that is not one printable line.
    """
    head = [f'name = "{policy.name}"']
    if policy.description:
        head.append(f"description = {_basic_string(policy.description)}")
    rest = "What no rule matches" if policy.rules else "Every frame"
    head += [
        "",
        f"# {rest} {_WHAT_HAPPENS[policy.default]}.",
        *(_ODD_HELD if policy.holds_odd else _ODD_BYPASSES),
        f'default = "{policy.default}"',
    ]
    return "\n\n".join(["\n".join(head), *(_rule(rule) for rule in policy.rules)]) + "\n"


_ODD_HELD = ("# Frames too short or too odd to be judged are held, whatever this file says.",)
_ODD_BYPASSES = (
    "# Frames too short or too odd to be judged are not held for that: they go by these rules.",
    "# Only stock-remus does that: the policy of a file always holds them.",
)


def _basic_string(text: str) -> str:
    # JSON's escapes are TOML's; only DEL goes bare in JSON and not in TOML.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _rule(rule: Rule) -> str:
    lines = [
        f"# {describe_rule(rule)}.",
        "[[rule]]",
        f'name = "{rule.name}"',
        f'verdict = "{rule.verdict}"',
    ]
    for condition in CONDITIONS:
        alternatives = condition.ordered(rule.match)
        if alternatives is not None:
            lines += _assignment(condition.key, [condition.write(each) for each in alternatives])
    return "\n".join(lines)


def _assignment(key: str, items: list[str]) -> list[str]:
    if len(items) == 1:
        return [f"{key} = {items[0]}"]
    line = f"{key} = [{', '.join(items)}]"
    return [line] if len(line) <= _WIDTH else [f"{key} = [", *(f"    {i}," for i in items), "]"]

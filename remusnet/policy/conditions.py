"""The conditions of a rule: how a policy file has each, and how each is said to a person.

One table serves the loader and the writer, so that neither knows a key that the other does not.
A reader takes one TOML value and raises `Unfit` where it can not be what the key asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Network, ip_network
from typing import Any

from remusnet.policy.policy import (
    DSCPS,
    ETHERTYPES,
    PROTOCOLS,
    TAG_ETHERTYPES,
    Fragment,
    Link,
    Match,
    Network,
    PayloadClass,
    Policy,
    PortRange,
    Rule,
    Tunnel,
)
from remusnet.policy.verdict import Verdict
from remusnet.tables.documents import Unfit, close_to, read_word
from remusnet.tables.mistakes import shown

# Hop-by-hop, routing, fragment, AH, destination options: a frame's protocol is what follows them.
_WALKED_PROTOCOLS = frozenset({0, 43, 44, 51, 60})
_MAPPED_IPV4 = IPv6Network("::ffff:0:0/96")

_PREFIX = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?", re.ASCII)
_PORTS = re.compile(r"([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_PREFIX_EXPECTED = 'an address or a prefix, such as "192.0.2.0/24" or "2001:db8::/32"'
_PORTS_EXPECTED = '0-65535, or a range such as "10000-20000"'


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of a rule.

    ``key``: in the file; ``field``: of `Match`; ``read``: one alternative of a TOML value;
    ``write``: the TOML of one alternative; ``gather``: the field's value of all alternatives.
    """

    key: str
    field: str
    read: Callable[[object], Any]
    write: Callable[[Any], str]
    gather: Callable[[Iterable[Any]], Any]

    def ordered(self, match: Match) -> list[Any] | None:
        """The alternatives of ``match``, always in the same order; None without the condition."""
        value = getattr(match, self.field)
        if value is None:
            return None
        return list(value) if isinstance(value, tuple) else sorted(value)


def _word_reader(vocabulary: type[StrEnum], what: str) -> Callable[[object], StrEnum]:
    def read(value: object) -> StrEnum:
        return vocabulary(read_word(value, list(vocabulary), what))

    return read


def _number_reader(
    names: Mapping[str, int], lowest: int, highest: int, what: str, form: str = "d"
) -> Callable[[object], int]:
    """A reader of numbers ``lowest`` to ``highest``, some of which have names."""
    numbers = f"{lowest:{form}}-{highest:{form}}"
    expected = f"one of {', '.join(names)}, or {numbers}" if names else numbers

    def read(value: object) -> int:
        if isinstance(value, str):
            if value in names:
                return names[value]
            if _DIGITS.fullmatch(value):
                raise Unfit(f"{what} in quotes: {shown(value)}", f"{numbers} without quotes")
            kind = "unknown" if names else "invalid"
            raise Unfit(f"{kind} {what}: {shown(value)}{close_to(value, names)}", expected)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise Unfit(f"invalid {what}: {shown(value)}", expected)
        return value

    return read


def _number_writer(names: Mapping[str, int], form: str = "d") -> Callable[[int], str]:
    by_number = {number: name for name, number in names.items()}

    def write(number: int) -> str:
        return f'"{by_number[number]}"' if number in by_number else f"{number:{form}}"

    return write


_read_any_ethertype = _number_reader(ETHERTYPES, 0x0600, 0xFFFF, "ethertype", "#06x")
_read_any_protocol = _number_reader(PROTOCOLS, 0, 255, "protocol")


def _read_ethertype(value: object) -> int:
    ethertype = _read_any_ethertype(value)
    if ethertype in TAG_ETHERTYPES:
        raise Unfit(
            f"ethertype {ethertype:#06x} is a VLAN tag, and tags are looked through",
            'link = "tagged"',
        )
    return ethertype


def _read_protocol(value: object) -> int:
    protocol = _read_any_protocol(value)
    if protocol in _WALKED_PROTOCOLS:
        raise Unfit(
            f"protocol {protocol} is an extension header or AH, and those are looked through",
            'the protocol behind it, or fragment = ["first", "later"] for fragments',
        )
    return protocol


def _read_prefix(value: object) -> Network:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise Unfit(f"invalid address: {shown(value)}", _PREFIX_EXPECTED)
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise Unfit(f"invalid address: {shown(value)}", _PREFIX_EXPECTED) from None
    if "/" in value and network != _as_written(value):
        raise Unfit(f"host bits set: {shown(value)}", f'"{network}"')
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED_IPV4):
        mapped = network.network_address.ipv4_mapped
        raise Unfit(
            f"an IPv4 address in IPv6 form, which no packet has: {shown(value)}",
            f'"{mapped}/{network.prefixlen - 96}"',
        )
    return network


def _as_written(prefix: str) -> Network | None:
    """The network, or None where the address has bits beyond the prefix."""
    try:
        return ip_network(prefix)
    except ValueError:
        return None


def _write_prefix(network: Network) -> str:
    return f'"{network}"'


def _read_ports(value: object) -> PortRange:
    if isinstance(value, str) and (found := _PORTS.fullmatch(value)):
        low = int(found[1])
        high = int(found[2]) if found[2] is not None else low
    elif isinstance(value, int) and not isinstance(value, bool):
        low = high = value
    else:
        raise Unfit(f"invalid port: {shown(value)}", _PORTS_EXPECTED)
    for port in (low, high):
        if not 0 <= port <= 65535:
            raise Unfit(f"invalid port: {shown(port)}", _PORTS_EXPECTED)
    if low > high:
        raise Unfit(f"a port range that ends before it begins: {shown(value)}", f'"{high}-{low}"')
    return PortRange(low, high)


def _write_ports(ports: PortRange) -> str:
    return str(ports) if ports.low == ports.high else f'"{ports}"'


def _write_word(word: StrEnum) -> str:
    return f'"{word}"'


def _vocabulary(key: str, words_of: type[StrEnum]) -> Condition:
    return Condition(key, key, _word_reader(words_of, key), _write_word, frozenset)


def _ends(key: str, read: Callable[[object], Any], write: Callable[[Any], str]) -> Condition:
    return Condition(key, key.replace("-", "_"), read, write, tuple)


CONDITIONS = (
    _vocabulary("link", Link),
    Condition(
        "ethertype", "ethertype", _read_ethertype, _number_writer(ETHERTYPES, "#06x"), frozenset
    ),
    Condition("protocol", "protocol", _read_protocol, _number_writer(PROTOCOLS), frozenset),
    _ends("source", _read_prefix, _write_prefix),
    _ends("destination", _read_prefix, _write_prefix),
    _ends("address", _read_prefix, _write_prefix),
    _ends("source-port", _read_ports, _write_ports),
    _ends("destination-port", _read_ports, _write_ports),
    _ends("port", _read_ports, _write_ports),
    Condition(
        "dscp", "dscp", _number_reader(DSCPS, 0, 63, "dscp"), _number_writer(DSCPS), frozenset
    ),
    Condition(
        "icmp-type",
        "icmp_type",
        _number_reader({}, 0, 255, "icmp-type"),
        _number_writer({}),
        frozenset,
    ),
    _vocabulary("fragment", Fragment),
    _vocabulary("payload", PayloadClass),
    _vocabulary("tunnel", Tunnel),
)
"""Every condition, in the order in which they are written."""


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

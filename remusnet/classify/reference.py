"""The reference classifier: what a policy says of a frame, judged from its bytes, and the hazards.

A condition may hold, not hold, or be unknown (the ports of a later fragment). What is unknown
counts against bypassing: a rule that holds takes what it might match, a rule that lets bypass needs
to be sure. A hazard is what can go wrong for a guest whose frames bypass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from remusnet.classify.headers import Headers, dissect
from remusnet.policy.policy import (
    DEFAULT_RULE,
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    ODD_RULE,
    TCP,
    TUNNEL_ETHERTYPES,
    TUNNEL_PROTOCOLS,
    TUNNEL_UDP_PORTS,
    UDP,
    Fragment,
    Link,
    Match,
    Network,
    Policy,
    PortRange,
    Tunnel,
)
from remusnet.policy.verdict import Verdict

Truth = bool | None
"""True, False, or None: unknown."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a frame: the verdict, the rule's name (or ``default``, ``odd``) and why."""

    verdict: Verdict
    rule: str
    reason: str


def classify(policy: Policy, frame: bytes, length: int | None = None) -> Decision:
    """The decision of ``policy`` on a raw Ethernet frame (``length``: bytes it had on the wire)."""
    return judge(policy, dissect(frame, length))


def judge(policy: Policy, headers: Headers) -> Decision:
    """The decision of ``policy`` on a frame with these headers."""
    if headers.odd is not None and policy.holds_odd:
        return Decision(Verdict.HOLD, ODD_RULE, headers.odd)
    for rule in policy.rules:
        truth = matches(rule.match, headers)
        if truth:
            return Decision(rule.verdict, rule.name, "matches")
        if truth is None and rule.verdict is Verdict.HOLD:
            return Decision(Verdict.HOLD, rule.name, f"might match: {_hidden(headers)}")
    return Decision(policy.default, DEFAULT_RULE, "no rule matches")


def matches(match: Match, headers: Headers) -> Truth:
    """Whether all conditions of ``match`` hold."""
    truth: Truth = True
    for condition in _conditions(match, headers):
        if condition is False:
            return False
        if condition is None:
            truth = None
    return truth


def _hidden(headers: Headers) -> str:
    if headers.odd is not None:
        return headers.odd
    if headers.fragment is Fragment.LATER:
        return "a later fragment hides what the rule looks at"
    return "cut before what the rule looks at"


def _conditions(match: Match, headers: Headers) -> Iterator[Truth]:
    for value, condition in (
        (match.link, _link),
        (match.ethertype, _ethertype),
        (match.protocol, _protocol),
        (match.fragment, _fragment),
        (match.dscp, _dscp),
        (match.icmp_type, _icmp_type),
        (match.payload, _payload),
        (match.tunnel, _tunnel),
    ):
        if value is not None:
            yield condition(match, headers)
    if match.source is not None:
        yield _in_networks(match.source, headers, headers.source)
    if match.destination is not None:
        yield _in_networks(match.destination, headers, headers.destination)
    if match.address is not None:
        yield _either(
            lambda value: _in_networks(match.address or (), headers, value),
            headers.source,
            headers.destination,
        )
    if match.source_port is not None:
        yield _in_ports(match.source_port, headers, headers.source_port)
    if match.destination_port is not None:
        yield _in_ports(match.destination_port, headers, headers.destination_port)
    if match.port is not None:
        yield _either(
            lambda value: _in_ports(match.port or (), headers, value),
            headers.source_port,
            headers.destination_port,
        )


def _either(test: Callable[[int | None], Truth], first: int | None, second: int | None) -> Truth:
    truths = {test(first), test(second)}
    return True if True in truths else None if None in truths else False


def _absent(headers: Headers) -> Truth:
    """The truth of an unseen part of IP: unknown if the frame is, or could be, IP."""
    return None if headers.version or headers.odd is not None else False


def _link(match: Match, headers: Headers) -> Truth:
    assert match.link is not None
    return None if headers.link is None else headers.link in match.link


def _ethertype(match: Match, headers: Headers) -> Truth:
    assert match.ethertype is not None
    if headers.ethertype is None:
        return None if headers.odd is not None else False
    return headers.ethertype in match.ethertype


def _protocol(match: Match, headers: Headers) -> Truth:
    assert match.protocol is not None
    if headers.protocol is None:
        return _absent(headers)
    return headers.protocol in match.protocol


def _fragment(match: Match, headers: Headers) -> Truth:
    assert match.fragment is not None
    if headers.fragment is None:
        return _absent(headers)
    return headers.fragment in match.fragment


def _dscp(match: Match, headers: Headers) -> Truth:
    assert match.dscp is not None
    return _absent(headers) if headers.dscp is None else headers.dscp in match.dscp


def _icmp_type(match: Match, headers: Headers) -> Truth:
    assert match.icmp_type is not None
    if headers.icmp_type is None:
        return _absent(headers)
    return headers.icmp_type in match.icmp_type


def _payload(match: Match, headers: Headers) -> Truth:
    assert match.payload is not None
    if headers.protocol is None:
        return _absent(headers)
    if headers.protocol != UDP or headers.fragment is not Fragment.WHOLE:
        return False  # a class is defined for whole UDP datagrams only
    if headers.payload_class is None:
        return False if headers.payload_seen else None
    return headers.payload_class in match.payload


def _tunnel(match: Match, headers: Headers) -> Truth:
    assert match.tunnel is not None
    truths = {_is_tunnel(kind, headers) for kind in match.tunnel}
    return True if True in truths else None if None in truths else False


def _is_tunnel(kind: Tunnel, headers: Headers) -> Truth:
    truths: set[Truth] = set()
    if kind in TUNNEL_ETHERTYPES:
        if headers.ethertype is None:
            truths.add(None if headers.odd is not None else False)
        else:
            truths.add(headers.ethertype in TUNNEL_ETHERTYPES[kind])
    if kind in TUNNEL_PROTOCOLS:
        known = headers.protocol is not None
        truths.add(headers.protocol == TUNNEL_PROTOCOLS[kind] if known else _absent(headers))
    if kind in TUNNEL_UDP_PORTS:
        if headers.protocol is None:
            truths.add(_absent(headers))
        elif headers.protocol != UDP:
            truths.add(False)
        elif headers.source_port is None or headers.destination_port is None:
            truths.add(None)
        else:
            ports = {headers.source_port, headers.destination_port}
            truths.add(bool(ports & TUNNEL_UDP_PORTS[kind]))
    return True if True in truths else None if None in truths else False


def _in_networks(networks: tuple[Network, ...], headers: Headers, value: int | None) -> Truth:
    if value is None:
        return _absent(headers)
    for network in networks:
        version = 4 if isinstance(network, IPv4Network) else 6
        if version == headers.version and value & int(network.netmask) == int(
            network.network_address
        ):
            return True
    return False


def _in_ports(ranges: tuple[PortRange, ...], headers: Headers, value: int | None) -> Truth:
    if value is None:
        return _absent(headers)
    return any(value in ports for ports in ranges)


_IPSEC = frozenset({Tunnel.ESP, Tunnel.IPSEC_NAT_T})


@dataclass(frozen=True, slots=True)
class Hazard:
    """Frames that should worry where they bypass: what they match, and why it matters."""

    name: str
    match: Match
    text: str


HAZARDS = (
    Hazard(
        "tcp",
        Match(protocol=frozenset({TCP})),
        "TCP bypasses: after a failover the backup does not know what the peer acknowledged",
    ),
    Hazard(
        "sip-over-udp",
        Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5061),)),
        "SIP over UDP bypasses: a peer may have seen an answer that the backup never sent",
    ),
    Hazard(
        "ipsec",
        Match(tunnel=_IPSEC),
        "ESP bypasses: it may carry TCP, and after a failover sequence numbers are used again",
    ),
    Hazard(
        "quic",
        Match(protocol=frozenset({UDP}), port=(PortRange(443, 443),)),
        "QUIC bypasses: it is as stateful as TCP, and packet numbers are used again",
    ),
    Hazard(
        "tunnel",
        Match(tunnel=frozenset(Tunnel) - _IPSEC),
        "tunnels bypass with everything in them, TCP included",
    ),
)
IP_FRAGMENTS = Hazard(
    "fragments",
    Match(fragment=frozenset({Fragment.LATER})),
    "later fragments carry no ports: rules that ask for ports or payload can not let them bypass, "
    "and hold them where they might match",
)


def hazards_of_frame(policy: Policy, headers: Headers, verdict: Verdict) -> Iterator[Hazard]:
    """What to worry about in a frame with ``headers`` on which ``policy`` gave ``verdict``."""
    if verdict is Verdict.BYPASS:
        yield from (each for each in HAZARDS if matches(each.match, headers))
    if headers.fragment is Fragment.LATER and any(_asks_inside(r.match) for r in policy.rules):
        yield IP_FRAGMENTS


def hazards_of_policy(policy: Policy) -> Iterator[tuple[Hazard, tuple[str, ...]]]:
    """The hazards that frames could be under ``policy``, each with the examples that would."""
    for hazard in HAZARDS:
        examples = tuple(
            name
            for name, headers in _EXAMPLES
            if matches(hazard.match, headers) and judge(policy, headers).verdict is Verdict.BYPASS
        )
        if examples:
            yield hazard, examples


def _asks_inside(match: Match) -> bool:
    return match.looks_at_ports or match.icmp_type is not None or match.payload is not None


def _examples() -> Iterator[tuple[str, Headers]]:
    """One frame of each kind that a hazard is about, with its name for a person."""
    for name, link, version in (
        ("IPv4", Link.PLAIN, 4),
        ("IPv6", Link.PLAIN, 6),
        ("tagged IPv4", Link.TAGGED, 4),
        ("tagged IPv6", Link.TAGGED, 6),
    ):
        yield name, _packet(TCP, 443, link, version)
    for name, port in (("SIP over UDP", 5060), ("QUIC", 443)):
        yield name, _packet(UDP, port)
    for kind in Tunnel:
        for ethertype in sorted(TUNNEL_ETHERTYPES.get(kind, ())):
            yield kind, Headers(link=Link.PLAIN, ethertype=ethertype)
        if kind in TUNNEL_PROTOCOLS:
            yield kind, _packet(TUNNEL_PROTOCOLS[kind])
        for port in sorted(TUNNEL_UDP_PORTS.get(kind, ())):
            yield kind, _packet(UDP, port)


def _packet(
    protocol: int, port: int | None = None, link: Link = Link.PLAIN, version: int = 4
) -> Headers:
    return Headers(
        link=link,
        ethertype=IPV4_ETHERTYPE if version == 4 else IPV6_ETHERTYPE,
        version=version,
        source=0,  # in no network that a policy would name
        destination=0,
        dscp=0,
        fragment=Fragment.WHOLE,
        protocol=protocol,
        source_port=None if port is None else 49152,
        destination_port=port,
    )


_EXAMPLES = tuple(_examples())

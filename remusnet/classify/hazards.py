"""What can go wrong for a guest whose frames bypass: known hazards, told from headers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remusnet.classify.headers import Headers
from remusnet.classify.reference import judge, matches
from remusnet.policy.match import (
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    TCP,
    TUNNEL_ETHERTYPES,
    TUNNEL_PROTOCOLS,
    TUNNEL_UDP_PORTS,
    UDP,
    Fragment,
    Link,
    Match,
    PortRange,
    Tunnel,
)
from remusnet.policy.policy import Policy
from remusnet.policy.verdict import Verdict

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

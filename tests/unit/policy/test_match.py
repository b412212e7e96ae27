"""The vocabulary of a rule, and which conditions can hold together."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.policy.policy import (
    ANYTHING,
    DSCPS,
    ETHERTYPES,
    ICMP,
    ICMPV6,
    NEVER_MEDIA_PORTS,
    PORT_PROTOCOLS,
    PROTOCOLS,
    TCP,
    TUNNEL_ETHERTYPES,
    TUNNEL_PROTOCOLS,
    TUNNEL_UDP_PORTS,
    UDP,
    Fragment,
    Match,
    PayloadClass,
    PortRange,
    Tunnel,
)

MEDIA = (PortRange(5004, 5005),)
RTP = frozenset({PayloadClass.RTP})
V4, V6 = (ip_network("10.0.0.0/8"),), (ip_network("2001:db8::/32"),)


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ({"protocol": frozenset()}, "empty condition: protocol"),
        ({"source": ()}, "empty condition: source"),
        ({"port": MEDIA}, "ports need protocol"),
        ({"source_port": MEDIA, "protocol": frozenset({UDP, ICMP})}, "ports need protocol"),
        ({"icmp_type": frozenset({8})}, "icmp_type needs protocol"),
        ({"icmp_type": frozenset({8}), "protocol": frozenset({TCP})}, "icmp_type needs protocol"),
        ({"icmp_type": frozenset({8}), "protocol": frozenset({ICMP, ICMPV6})}, "icmp_type needs"),
        ({"payload": RTP, "protocol": frozenset({TCP})}, "payload needs protocol udp"),
        ({"payload": RTP, "fragment": frozenset({Fragment.FIRST})}, "whole datagrams"),
        ({"protocol": frozenset({TCP}), "ethertype": frozenset({0x0806})}, "ethertype is not IP"),
        ({"source": V4, "ethertype": frozenset({0x0806})}, "ethertype is not IP"),
        ({"dscp": frozenset({46}), "ethertype": frozenset({0x8847})}, "ethertype is not IP"),
        ({"source": V4, "destination": V6}, "different IP versions"),
        ({"source": V6, "address": V4}, "different IP versions"),
        ({"destination": V6, "ethertype": frozenset({0x0800})}, "different IP versions"),
        ({"address": V4, "ethertype": frozenset({0x86DD, 0x0806})}, "different IP versions"),
        (
            {"protocol": frozenset({UDP}), "port": MEDIA, "fragment": frozenset({Fragment.LATER})},
            "ports can not be told of later fragments",
        ),
    ],
)
def test_conditions_that_never_hold_together_are_refused(
    conditions: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        Match(**conditions)


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"protocol": PORT_PROTOCOLS, "port": MEDIA},
        {"protocol": frozenset({ICMPV6}), "icmp_type": frozenset({135})},
        {"payload": RTP},
        {"payload": RTP, "protocol": frozenset({TCP, UDP})},
        {"payload": RTP, "fragment": frozenset({Fragment.WHOLE, Fragment.LATER})},
        {"ethertype": frozenset({0x0806, 0x0800}), "protocol": frozenset({TCP})},
        {"source": V4 + V6, "destination": V6},
        {"source": V4, "ethertype": frozenset({0x0800, 0x86DD})},
        {"tunnel": frozenset({Tunnel.MPLS}), "ethertype": frozenset({0x8847})},
    ],
)
def test_conditions_that_may_hold_together_are_a_match(conditions: dict[str, Any]) -> None:
    assert (Match(**conditions) == ANYTHING) == (not conditions)


def test_a_match_knows_whether_it_looks_at_ports_and_at_ip() -> None:
    udp = frozenset({UDP})
    assert Match(protocol=udp, destination_port=MEDIA).looks_at_ports
    assert Match(protocol=udp, source_port=MEDIA).looks_at_ports
    assert Match(protocol=udp, port=MEDIA).looks_at_ports
    assert not Match(protocol=udp).looks_at_ports
    for match in (
        Match(protocol=udp),
        Match(source=V4),
        Match(destination=V4),
        Match(address=V4),
        Match(dscp=frozenset({46})),
        Match(fragment=frozenset(Fragment)),
        Match(payload=RTP),
    ):
        assert match.looks_at_ip
    for match in (ANYTHING, Match(ethertype=frozenset({1})), Match(tunnel=frozenset(Tunnel))):
        assert not match.looks_at_ip


@given(st.integers(-1, 65536), st.integers(-1, 65536), st.integers(-1, 65537))
def test_a_port_range_has_its_ends_and_what_lies_between(low: int, high: int, port: int) -> None:
    if 0 <= low <= high <= 65535:
        assert (port in PortRange(low, high)) == (port in range(low, high + 1))
    else:
        with pytest.raises(ValueError, match="invalid port range"):
            PortRange(low, high)


def test_a_port_range_of_one_port_is_written_as_one() -> None:
    assert str(PortRange(5060, 5060)) == "5060"
    assert str(PortRange(1024, 65535)) == "1024-65535"


def test_the_names_stand_for_the_registered_numbers() -> None:
    """Copied from the registries of IANA and IEEE, independently of the code."""
    assert PROTOCOLS.items() >= {
        ("icmp", 1), ("tcp", 6), ("udp", 17), ("dccp", 33), ("gre", 47), ("esp", 50),
        ("icmpv6", 58), ("sctp", 132), ("udplite", 136), ("ipip", 4), ("ipv6", 41),
    }  # fmt: skip
    assert ETHERTYPES.items() >= {
        ("ipv4", 0x0800), ("arp", 0x0806), ("ipv6", 0x86DD), ("mpls", 0x8847), ("pppoe", 0x8864),
        ("lldp", 0x88CC), ("eapol", 0x888E), ("ptp", 0x88F7), ("rarp", 0x8035),
    }  # fmt: skip
    assert DSCPS.items() >= {("cs0", 0), ("ef", 46), ("va", 44), ("le", 1)}


@pytest.mark.parametrize("level", range(1, 5))
def test_assured_forwarding_counts_classes_in_eights_and_drops_in_twos(level: int) -> None:
    """RFC 2597, 6."""
    assert [DSCPS[f"af{level}{drop}"] for drop in (1, 2, 3)] == [
        8 * level + 2 * drop for drop in (1, 2, 3)
    ]
    assert DSCPS[f"cs{level}"] == 8 * level


def test_extension_headers_have_no_name_as_protocols() -> None:
    """They are walked, so that a rule on one could never match."""
    assert not {0, 43, 44, 51, 60} & set(PROTOCOLS.values())


def test_every_tunnel_is_known_by_something() -> None:
    known = {*TUNNEL_PROTOCOLS, *TUNNEL_ETHERTYPES, *TUNNEL_UDP_PORTS}
    assert known == set(Tunnel)


def test_the_ports_of_udp_tunnels_are_no_media_ports() -> None:
    for ports in TUNNEL_UDP_PORTS.values():
        assert ports <= NEVER_MEDIA_PORTS

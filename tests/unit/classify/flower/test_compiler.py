"""flower filters: what they have to let pass, their guards, and what rules become."""

from __future__ import annotations

from ipaddress import ip_network
from random import Random

import pytest

from remusnet.classify.filters import LAST_PREF
from remusnet.classify.flower.compiler import compile_flower
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.classify.reference import classify
from remusnet.classify.u32.conditions import EVERY_FRAME, U32Match
from remusnet.errors import InvalidInput
from remusnet.policy.policy import (
    ICMP,
    PROTOCOLS,
    TCP,
    UDP,
    Fragment,
    Match,
    Policy,
    PortRange,
    Tunnel,
)
from remusnet.policy.presets import PRESETS, REAL_TIME, STOCK_REMUS, TCP_ONLY
from remusnet.policy.verdict import Verdict
from tests.lib import layers
from tests.lib.classifiers import policy
from tests.lib.flower_machine import Machine
from tests.lib.framegen import build

HOLD, BYPASS = Verdict.HOLD, Verdict.BYPASS


# -- what has to pass ------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["ipv4", "ipv4-first", "ipv4-later", "ipv6"])
@pytest.mark.parametrize("transport", ["udp", "icmp", "icmpv6", "sctp", "esp", "vxlan"])
def test_under_tcp_only_what_is_no_tcp_passes(network: str, transport: str) -> None:
    machine = Machine(compile_flower(TCP_ONLY).filters)
    for seed in range(20):
        frame = build(Random(seed), "plain", network, transport).frame
        assert machine.verdict(frame) is BYPASS


@pytest.mark.parametrize("kind", ["ipv6/neighbour", "arp/-"])
def test_under_real_time_address_resolution_passes(kind: str) -> None:
    machine = Machine(compile_flower(REAL_TIME).filters)
    for seed in range(20):
        frame = build(Random(seed), "plain", *kind.split("/")).frame
        assert machine.verdict(frame) is BYPASS


# -- guards: each holds what flower alone would let pass -------------------------------------------

UDP_PACKET = build(Random(3), "plain", "ipv4", "udp").frame
UDP_PACKET_6 = build(Random(3), "plain", "ipv6", "udp").frame
IPIP = layers.ethernet(
    Random(3),
    layers.IPV4,
    layers.ipv4(Random(3), 4, layers.ipv4(Random(3), UDP, layers.udp(Random(3), b""))),
)
UNGUARDED = {
    "another version": (UDP_PACKET[:14] + b"\x55" + UDP_PACKET[15:], False),
    "another version of IPv6": (UDP_PACKET_6[:14] + b"\x40" + UDP_PACKET_6[15:], False),
    "options cut": (UDP_PACKET[:14] + b"\x4f" + UDP_PACKET[15 : 14 + 24], False),
    "nine extension headers": (build(Random(3), "plain", "ipv6-chain-9", "udp").frame, False),
    "UDP in IP in IP": (IPIP, True),
}


@pytest.mark.parametrize("name", UNGUARDED)
def test_without_guards_flower_would_leak(name: str) -> None:
    frame, old = UNGUARDED[name]
    held = policy((BYPASS, Match(protocol=frozenset({UDP}))))
    filters = compile_flower(held).filters
    bare = [
        each
        for each in filters
        if not isinstance(each.match, U32Match) or each.match == EVERY_FRAME
    ]
    assert classify(held, frame).verdict is HOLD
    assert Machine(filters, old=old).verdict(frame) is HOLD
    assert Machine(bare, old=old).verdict(frame) is BYPASS


# -- what rules become -----------------------------------------------------------------------------


def matches(*rules: tuple[Verdict, Match], default: Verdict = HOLD) -> list[FlowerMatch]:
    """The flower filters for IPv4."""
    filters = compile_flower(policy(*rules, default=default)).filters
    return [
        each.match
        for each in filters
        if isinstance(each.match, FlowerMatch) and each.protocol == 0x0800
    ]


def test_what_hides_ports_is_held_by_a_rule_that_holds() -> None:
    sip = Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5060),))
    port = (5060, 0xFFFF)
    assert matches((HOLD, sip), default=BYPASS)[:5] == [
        FlowerMatch(ip_proto=UDP, source_port=port),
        FlowerMatch(ip_proto=UDP, destination_port=port),
        FlowerMatch(ip_proto=UDP, source_port=(0, 0xFFFF), destination_port=(0, 0xFFFF)),
        FlowerMatch(ip_proto=UDP, fragment=Fragment.FIRST),
        FlowerMatch(ip_proto=UDP, fragment=Fragment.LATER),
    ]


@pytest.mark.parametrize("field", ["port", "source_port", "destination_port"])
def test_every_port_is_one_filter_of_the_protocol(field: str) -> None:
    """With a key that compares nothing, of either end, the kernel would refuse the second."""
    every = Match(protocol=frozenset({UDP}), **{field: (PortRange(7, 7), PortRange(0, 65535))})  # type: ignore[arg-type]  # a field of ports
    assert matches((HOLD, every), default=BYPASS)[0] == FlowerMatch(ip_proto=UDP)


def test_port_zero_lets_nothing_bypass() -> None:
    low = Match(protocol=frozenset({UDP}), source_port=(PortRange(0, 3),))
    assert matches((BYPASS, low)) == [
        FlowerMatch(ip_proto=UDP, source_port=(1, 0xFFFF)),
        FlowerMatch(ip_proto=UDP, source_port=(2, 0xFFFE)),
    ]


def test_icmp_type_zero_lets_nothing_bypass_and_is_held_with_any_other() -> None:
    echo = Match(protocol=frozenset({ICMP}), icmp_type=frozenset({0, 8}))
    assert matches((BYPASS, echo)) == [FlowerMatch(ip_proto=ICMP, icmp_type=8)]
    request = Match(protocol=frozenset({ICMP}), icmp_type=frozenset({8}))
    assert matches((HOLD, request), default=BYPASS)[:2] == [
        FlowerMatch(ip_proto=ICMP, icmp_type=0),
        FlowerMatch(ip_proto=ICMP, icmp_type=8),
    ]


def test_ports_that_flower_does_not_compare_make_a_rule_hold_the_protocol() -> None:
    lite = Match(protocol=frozenset({136}), port=(PortRange(1, 1),))
    assert matches((HOLD, lite), default=BYPASS)[0] == FlowerMatch(ip_proto=136)
    assert matches((BYPASS, lite)) == []


def test_two_conditions_on_one_field_are_both_met() -> None:
    wide, narrow, other = map(ip_network, ("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8"))
    both = Match(
        protocol=frozenset({TCP}),
        source=(wide,),
        address=(narrow, other),
        source_port=(PortRange(0, 7),),
        port=(PortRange(4, 4),),
    )
    four = (4, 0xFFFF)
    found = matches((BYPASS, both))
    assert FlowerMatch(ip_proto=TCP, source=narrow, source_port=four) in found
    assert all(each.source in (wide, narrow) for each in found)
    assert all(each.source == narrow or each.destination in (narrow, other) for each in found)


def test_a_rule_without_a_protocol_lets_named_protocols_bypass() -> None:
    found = matches((BYPASS, Match(source=(ip_network("10.0.0.0/8"),))))
    assert {each.ip_proto for each in found} == set(PROTOCOLS.values()) - {4, 41, 47}


def test_tunnels_that_old_kernels_look_into_do_not_bypass() -> None:
    kinds = frozenset({Tunnel.IPIP, Tunnel.GRE, Tunnel.ESP})
    assert matches((BYPASS, Match(tunnel=kinds))) == [FlowerMatch(ip_proto=50)]


def test_the_last_filter_holds_every_frame() -> None:
    for preset in PRESETS.values():
        if preset.holds_odd:
            last = compile_flower(preset).filters[-1]
            assert (last.pref, last.match, last.verdict) == (LAST_PREF, EVERY_FRAME, HOLD)


def test_the_baseline_needs_no_flower() -> None:
    (only,) = compile_flower(STOCK_REMUS).filters
    assert only.match == EVERY_FRAME


def test_too_many_filters_are_refused() -> None:
    points, ports = frozenset(range(64)), tuple(PortRange(2 * n, 2 * n) for n in range(1, 60))
    crowded = Match(protocol=frozenset({UDP}), dscp=points, destination_port=ports)
    with pytest.raises(InvalidInput, match=r"policy test needs \d+ flower filters"):
        compile_flower(policy((BYPASS, crowded)))


def test_too_many_combinations_are_refused_before_they_take_time() -> None:
    some = tuple(ip_network(f"10.{n >> 8}.{n & 255}.0/24") for n in range(1000))
    with pytest.raises(InvalidInput, match="up to 2000000 filters for one rule"):
        compile_flower(
            policy((BYPASS, Match(source=some, address=some, protocol=frozenset({TCP}))))
        )


def many_rules(count: int) -> Policy:
    networks = (ip_network(f"10.{n >> 8}.{n & 255}.0/24") for n in range(count))
    rules = [
        (BYPASS if n % 2 else HOLD, Match(source=(network,), protocol=frozenset({UDP})))
        for n, network in enumerate(networks)
    ]
    return policy(*rules, default=BYPASS)


def test_the_last_preference_is_the_last_filters_alone() -> None:
    """Each rule has one of its own; five more are ARP's, the guards' and the default's."""
    filters = compile_flower(many_rules(985)).filters
    assert sorted({each.pref for each in filters})[-2:] == [LAST_PREF - 1, LAST_PREF]
    assert [each.pref for each in filters].count(LAST_PREF) == 1


def test_too_many_rules_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at 1000 preferences"):
        compile_flower(many_rules(986))


def test_ports_that_contradict_each_other_become_no_filter() -> None:
    both = Match(
        protocol=frozenset({UDP}),
        source_port=(PortRange(9, 9),),
        port=(PortRange(10, 10), PortRange(9, 9)),
    )
    nine, ten = (9, 0xFFFF), (10, 0xFFFF)
    assert set(matches((BYPASS, both))) == {
        FlowerMatch(ip_proto=UDP, source_port=nine),
        FlowerMatch(ip_proto=UDP, source_port=nine, destination_port=nine),
        FlowerMatch(ip_proto=UDP, source_port=nine, destination_port=ten),
    }


@pytest.mark.parametrize("ethertype", [0x0003, 0x0004, 0x8100, 0x88A8, 0x9100])
def test_what_is_no_innermost_ethertype_becomes_no_filter(ethertype: int) -> None:
    """To tc, 3 is every protocol, 4 is LLC, and a tag is every frame that has it."""
    found = compile_flower(policy((BYPASS, Match(ethertype=frozenset({ethertype}))))).filters
    assert [each.pref for each in found] == [LAST_PREF]

"""What should worry a user: in a frame that bypasses, and in what a policy lets bypass."""

from __future__ import annotations

from random import Random

import pytest

from remusnet.classify.headers import dissect
from remusnet.classify.reference import hazards_of_frame, hazards_of_policy
from remusnet.policy.policy import UDP, Match, Policy, PortRange, Rule
from remusnet.policy.presets import PRESETS, TCP_ONLY
from remusnet.policy.verdict import Verdict
from tests.lib import layers
from tests.lib.framegen import build


def names(frame: bytes, policy: Policy, verdict: Verdict) -> list[str]:
    return [hazard.name for hazard in hazards_of_frame(policy, dissect(frame), verdict)]


def udp(port: int, network: str = "ipv4") -> bytes:
    rng = Random(port)
    data = layers.udp(rng, b"x" * 20, sport=40000, dport=port)
    if network == "later":
        return layers.ethernet(rng, layers.IPV4, layers.ipv4(rng, layers.UDP, data, offset=9))
    return layers.ethernet(rng, layers.IPV4, layers.ipv4(rng, layers.UDP, data))


def sample(kind: str) -> bytes:
    return build(Random(1), *kind.split("/")).frame


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (udp(5060), ["sip-over-udp"]),
        (udp(443), ["quic"]),
        (udp(4500), ["ipsec"]),
        (udp(4789), ["tunnel"]),
        (udp(5004), []),
        (sample("plain/ipv4/tcp"), ["tcp"]),
        (sample("plain/ipv4/esp"), ["ipsec"]),
        (sample("plain/ipv6/gre"), ["tunnel"]),
        (sample("plain/mpls/-"), ["tunnel"]),
        (sample("plain/arp/-"), []),
    ],
)
def test_a_frame_is_a_hazard_only_where_it_bypasses(frame: bytes, expected: list[str]) -> None:
    assert names(frame, TCP_ONLY, Verdict.BYPASS) == expected
    assert names(frame, TCP_ONLY, Verdict.HOLD) == []


@pytest.mark.parametrize("verdict", Verdict)
def test_a_later_fragment_is_one_where_a_rule_asks_for_what_it_does_not_carry(
    verdict: Verdict,
) -> None:
    ports = Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5060),))
    policy = Policy("ports", (Rule("sip", Verdict.HOLD, ports),), Verdict.BYPASS)
    assert "fragments" in names(udp(5004, "later"), policy, verdict)
    assert "fragments" not in names(udp(5004, "later"), TCP_ONLY, verdict)
    assert "fragments" not in names(udp(5004), policy, verdict)


def test_what_each_preset_warns_of() -> None:
    found = {name: [h.name for h, _ in hazards_of_policy(p)] for name, p in PRESETS.items()}
    assert found == {
        "tcp-only": ["sip-over-udp", "ipsec", "quic", "tunnel"],
        "real-time": [],
        "hold-all": [],
        "stock-remus": ["tcp", "tunnel"],
    }


def test_a_policy_that_holds_sip_does_not_warn_of_it() -> None:
    sip = Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5061),))
    policy = Policy(
        "sip", (Rule("sip", Verdict.HOLD, sip), *TCP_ONLY.rules), default=Verdict.BYPASS
    )
    assert "sip-over-udp" not in [hazard.name for hazard, _ in hazards_of_policy(policy)]


def test_the_examples_of_a_hazard_are_those_that_bypass() -> None:
    found = {h.name: examples for h, examples in hazards_of_policy(PRESETS["stock-remus"])}
    assert found["tcp"] == ("IPv6", "tagged IPv4", "tagged IPv6")
    assert set(found["tunnel"]) == {"mpls", "pppoe"}

"""Policy files: what they say, and that what is written is read back."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given

from remusnet.policy import (
    PRESETS,
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
from remusnet.policy.conditions import CONDITIONS
from remusnet.policy.toml import load, to_toml, unreachable
from tests.lib.policy_files import any_policies

HEAD = 'name = "p"\ndefault = "hold"\n'


def test_a_file_says_everything_that_a_policy_can() -> None:
    text = """
    name = "phones"
    description = "Ünïcode, \\"quotes\\" and [brackets]"
    default = "bypass"
    [[rule]]
    verdict = "hold"
    link = ["plain", "tagged"]
    ethertype = ["ipv4", 0x86dd]
    protocol = ["udp", 132]
    source = "192.0.2.0/24"
    destination = ["2001:db8::/32", "198.51.100.7"]
    address = "203.0.113.0/24"
    source-port = 5060
    destination-port = ["10000-20000", 4000, "53"]
    port = "1 - 9"
    dscp = ["ef", 3]
    fragment = ["whole", "first"]
    tunnel = "vxlan"
    [[rule]]
    name = "media"
    verdict = "bypass"
    payload = ["rtp", "rtcp"]
    [[rule]]
    verdict = "bypass"
    protocol = "icmpv6"
    icmp-type = [133, 134]
    """
    assert load(text, "phones.toml") == Policy(
        name="phones",
        description='Ünïcode, "quotes" and [brackets]',
        default=Verdict.BYPASS,
        rules=(
            Rule(
                "rule-1",
                Verdict.HOLD,
                Match(
                    link=frozenset({Link.PLAIN, Link.TAGGED}),
                    ethertype=frozenset({0x0800, 0x86DD}),
                    protocol=frozenset({17, 132}),
                    source=(ip_network("192.0.2.0/24"),),
                    destination=(ip_network("2001:db8::/32"), ip_network("198.51.100.7/32")),
                    address=(ip_network("203.0.113.0/24"),),
                    source_port=(PortRange(5060, 5060),),
                    destination_port=(
                        PortRange(10000, 20000),
                        PortRange(4000, 4000),
                        PortRange(53, 53),
                    ),
                    port=(PortRange(1, 9),),
                    dscp=frozenset({46, 3}),
                    fragment=frozenset({Fragment.WHOLE, Fragment.FIRST}),
                    tunnel=frozenset({Tunnel.VXLAN}),
                ),
            ),
            Rule(
                "media",
                Verdict.BYPASS,
                Match(payload=frozenset({PayloadClass.RTP, PayloadClass.RTCP})),
            ),
            Rule(
                "rule-3",
                Verdict.BYPASS,
                Match(protocol=frozenset({58}), icmp_type=frozenset({133, 134})),
            ),
        ),
    )


def test_every_field_of_a_match_has_a_key() -> None:
    assert {condition.field for condition in CONDITIONS} == set(Match.__dataclass_fields__)


def test_a_file_that_extends_a_preset_asks_its_own_rules_first() -> None:
    text = 'name = "p"\nextends = "real-time"\n[[rule]]\nverdict = "hold"\nethertype = "arp"\n'
    policy = load(text, "p.toml")
    assert [rule.name for rule in policy.rules] == [
        "rule-1",
        *(rule.name for rule in PRESETS["real-time"].rules),
    ]
    assert policy.default is Verdict.HOLD
    assert load('default = "bypass"\n' + text, "p.toml").default is Verdict.BYPASS


def test_a_file_that_extends_stock_remus_still_holds_odd_frames() -> None:
    """Only the baseline itself fails open."""
    assert load('name = "p"\nextends = "stock-remus"\n', "p.toml").holds_odd


@given(any_policies())
def test_what_is_written_is_read_back_equal(policy: Policy) -> None:
    assert load(to_toml(policy), "p.toml") == policy


def test_a_description_of_awkward_characters_is_read_back_equal() -> None:
    policy = Policy(
        "p", (), Verdict.HOLD, description="\"quotes\" \\back\\slashes\\ 🙂 # [x] 'y' é"
    )
    assert load(to_toml(policy), "p.toml") == policy


def test_a_description_that_no_file_may_have_is_still_written_as_toml() -> None:
    description = "".join(map(chr, range(0x20))) + "\x7f\x80"
    text = to_toml(Policy("p", (), Verdict.HOLD, description=description))
    assert tomllib.loads(text)["description"] == description


@pytest.mark.parametrize("policy", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_written_and_read_back_but_odd_frames_are_held(policy: Policy) -> None:
    assert load(to_toml(policy), "p.toml") == replace(policy, holds_odd=True)


def test_the_same_policy_is_always_the_same_text() -> None:
    one = Match(protocol=frozenset({17, 6, 132}))
    other = Match(protocol=frozenset({132, 6, 17}))
    rules = [(Rule("r", Verdict.HOLD, match),) for match in (one, other)]
    first, second = (to_toml(Policy("p", each, Verdict.HOLD)) for each in rules)
    assert first == second


def test_long_lists_are_written_one_value_a_line() -> None:
    networks = tuple(ip_network(f"192.0.{n}.0/24") for n in range(20))
    text = to_toml(Policy("p", (Rule("r", Verdict.HOLD, Match(source=networks)),), Verdict.HOLD))
    assert '\n    "192.0.19.0/24",\n]' in text
    assert max(map(len, text.splitlines())) <= 100


def test_rules_after_one_that_matches_everything_are_unreachable() -> None:
    text = HEAD + "".join(
        f'[[rule]]\nverdict = "hold"\n{key}\n' for key in ('protocol = "tcp"', "", 'link = "llc"')
    )
    assert unreachable(load(text, "p.toml")) == ("rule-3",)
    assert unreachable(load(HEAD, "p.toml")) == ()

"""What each policy says of each kind of frame, and that doubt never lets a frame bypass."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.classify.headers import Headers, dissect
from remusnet.classify.reference import Decision, classify, judge, matches
from remusnet.policy.policy import (
    DEFAULT_RULE,
    ODD_RULE,
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
from remusnet.policy.presets import HOLD_ALL, PRESETS, STOCK_REMUS, TCP_ONLY
from remusnet.policy.verdict import Verdict
from tests.lib import layers
from tests.lib.framegen import LINKS as GENERATED_LINKS
from tests.lib.framegen import NETWORKS, NO_TRANSPORT, build, generate
from tests.lib.policies import policies
from tests.lib.strategies import frames

RNG = Random(11)
HOLD, BYPASS = Verdict.HOLD, Verdict.BYPASS


# -- headers that nobody walks ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ethertype", "between", "verdicts"),
    [
        (0x86DD, bytes.fromhex("87"), "B H H B"),
        (0x86DD, bytes.fromhex("8b"), "B H H B"),
        (0x86DD, bytes.fromhex("8c"), "B H H B"),
        (0x86DD, bytes.fromhex("3c"), "H H H B"),
        (0x9200, b"", "B H H B"),
        (0x9100, b"", "H H H B"),
    ],
    ids=["mobility", "hip", "shim6", "destination-options", "tag-0x9200", "tag-0x9100"],
)
def test_tcp_behind_a_header_that_nobody_walks(
    ethertype: int, between: bytes, verdicts: str
) -> None:
    """docs/explanation/hazards.md tells users: held by all that hold what they do not know."""
    tcp = bytes.fromhex("9c40 0050 00000001 00000001 5018 1000 0000 0000")
    if between:  # one header of 8 bytes, and the protocol that it names
        packet = bytes.fromhex("60000000 001c") + between + b"\x40" + bytes(31) + b"\1"
        packet += b"\6" + bytes(7) + tcp
    else:
        packet = bytes.fromhex("0005 0800 4500 0028 0000 0000 4006 0000 0a000001 0a000002") + tcp
    headers = dissect(bytes(12) + ethertype.to_bytes(2, "big") + packet)
    letters = {HOLD: "H", BYPASS: "B"}
    found = [letters[judge(preset, headers).verdict] for preset in PRESETS.values()]
    assert " ".join(found) == verdicts


# -- the presets -----------------------------------------------------------------------------------

KINDS = """
                                        tcp-only real-time hold-all stock-remus
plain/ipv4/tcp                          H H H H
plain/ipv4-df/tcp                       H H H H
plain/ipv4-options/tcp                  H H H H
plain/ipv4-first/tcp                    H H H H
plain/ipv4-later/tcp                    H H H H
plain/ipv6/tcp                          H H H B
plain/ipv6-hop-by-hop/tcp               H H H B
plain/ipv6-routing/tcp                  H H H B
plain/ipv6-destination/tcp              H H H B
plain/ipv6-atomic/tcp                   H H H B
plain/ipv6-first/tcp                    H H H B
plain/ipv6-later/tcp                    H H H B
plain/ipv6-later-options/tcp            H H H B
plain/ipv6-mixed/tcp                    H H H B
plain/ipv6-chain-8/tcp                  H H H B
tag/ipv4/tcp                            H H H B
priority/ipv4/tcp                       H H H B
service-tag/ipv4/tcp                    H H H B
old-tag/ipv4/tcp                        H H H B
qinq/ipv4/tcp                           H H H B
two-tags/ipv6/tcp                       H H H B
snap/ipv4/tcp                           H H H B
snap-802.1h/ipv6/tcp                    H H H B
tag-snap/ipv4/tcp                       H H H B
llc-ip/ipv4/tcp                         H H H B

# AH is walked.
plain/ipv4-ah/tcp                       H H H H
plain/ipv6-ah/tcp                       H H H B

# Tunnels hide what they carry.
plain/ipv4/ipip                         B H H H
plain/ipv4/6in4                         B H H H
plain/ipv4/gre                          B H H H
plain/ipv6/6in4                         B H H B
plain/ipv4/esp                          B H H H
plain/ipv4/vxlan                        B H H H
plain/ipv4/nat-t                        B H H H
plain/mpls/-                            B H H B
plain/pppoe/-                           B H H B
snap-cisco/ipv4/tcp                     B H H B
llc-stp/ipv4/tcp                        B H H B

plain/ipv4/dns                          B H H H
plain/ipv4-first/dns                    B H H H
plain/ipv4-later/dns                    B H H H
plain/ipv6-later/dns                    B H H B
plain/ipv4/quic                         B H H H
plain/ipv4/stun                         B H H H
plain/ipv4/dtls                         B H H H
plain/ipv4/turn                         B H H H
plain/ipv4/sctp                         B H H H
plain/ipv4/icmp                         B H H H
plain/ipv6/icmpv6                       B H H B
plain/ipv6/none                         B H H B
tag/ipv4/dns                            B H H B
plain/lldp/-                            B H H B
plain/macsec/-                          B H H B

# Address resolution may leave early under real-time; so may media, whose lengths have a test.
plain/arp/-                             B B H B
tag/arp/-                               B B H B
plain/ipv6/neighbour                    B B H B
plain/ipv4-first/rtp                    B H H H
plain/ipv6-first/rtp                    B H H B
plain/ipv4-later/rtp                    B H H H

# Odd, or the protocol is out of sight: it might be TCP.
three-tags/ipv4/dns                     H H H B
plain/ipv6-chain-9/dns                  H H H B
plain/ipv4-later-ah/dns                 H H H H
plain/ipv6-later-options/dns            H H H B
llc-ip/ipv6/dns                         H H H B
"""
ROWS = [line.split() for line in KINDS.splitlines()[2:] if line and not line.startswith("#")]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_preset_says_of_each_kind_of_frame(row: list[str]) -> None:
    kind, *expected = row
    link, network, transport = kind.split("/")
    for seed in range(40):
        sample = build(Random(seed), link, network, transport)
        for policy, letter in zip(PRESETS.values(), expected, strict=True):
            verdict = classify(policy, sample.frame).verdict
            assert verdict[0].upper() == letter, (policy.name, sample.frame.hex())


@pytest.mark.parametrize("length", [8, 11, 12, 172])
@pytest.mark.parametrize(("first", "rtcp"), [(b"\x80\x08", False), (b"\x81\xc8", True)])
@pytest.mark.parametrize("link", ["plain", "tag", "qinq", "snap"])
@pytest.mark.parametrize("network", ["ipv4", "ipv4-options", "ipv6", "ipv6-atomic", "ipv6-chain-8"])
def test_media_bypasses_under_real_time(
    link: str, network: str, first: bytes, rtcp: bool, length: int
) -> None:
    data = layers.udp(RNG, (first + bytes(length))[:length], sport=16384, dport=5004)
    frame = GENERATED_LINKS[link](RNG, *NETWORKS[network](RNG, UDP, data))
    media = length >= (8 if rtcp else 12)
    expected = Decision(BYPASS, "media", "matches") if media else None
    assert classify(PRESETS["real-time"], frame) == (
        expected or Decision(HOLD, DEFAULT_RULE, "no rule matches")
    )
    assert classify(TCP_ONLY, frame).verdict is BYPASS


@pytest.mark.parametrize("cut", range(14))
def test_a_frame_shorter_than_its_header_is_held_by_all(cut: int) -> None:
    frame = build(RNG, "plain", "ipv4", "dns").frame[:cut]
    for policy in PRESETS.values():
        assert classify(policy, frame).verdict is HOLD


@pytest.mark.parametrize("cut", range(14, 34))
def test_an_ipv4_header_that_was_cut_is_held_by_all(cut: int) -> None:
    """A u32 rule that looks at byte 9 lets such a frame pass: the facts' short frames."""
    frame = build(RNG, "plain", "ipv4", "dns").frame[:cut]
    for policy in PRESETS.values():
        assert classify(policy, frame).verdict is HOLD


def test_a_decision_names_the_rule_and_the_reason() -> None:
    assert classify(TCP_ONLY, build(RNG, "plain", "ipv4", "tcp").frame) == Decision(
        HOLD, "tcp", "matches"
    )
    assert classify(TCP_ONLY, build(RNG, "plain", "arp", NO_TRANSPORT).frame) == Decision(
        BYPASS, DEFAULT_RULE, "no rule matches"
    )
    assert classify(TCP_ONLY, b"") == Decision(HOLD, ODD_RULE, "shorter than an Ethernet header")
    assert classify(STOCK_REMUS, b"") == Decision(
        HOLD, "ipv4", "might match: shorter than an Ethernet header"
    )
    hidden = build(RNG, "plain", "ipv6-later-options", "tcp").frame
    assert classify(TCP_ONLY, hidden) == Decision(
        HOLD, "tcp", "might match: a later fragment hides what the rule looks at"
    )


# -- three values ----------------------------------------------------------------------------------

LATER = dissect(build(RNG, "plain", "ipv4-later", "udp").frame)
LATER_TCP = dissect(build(RNG, "plain", "ipv4-later", "tcp").frame)
SIP = Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5060),))


def test_a_later_fragment_is_held_by_a_port_rule_that_holds() -> None:
    assert matches(SIP, LATER) is None
    policy = Policy("p", (Rule("sip", HOLD, SIP),), BYPASS)
    assert judge(policy, LATER).verdict is HOLD
    assert judge(policy, LATER_TCP).verdict is BYPASS, "its protocol already excludes the rule"


def test_a_later_fragment_does_not_bypass_by_a_port_rule() -> None:
    policy = Policy("p", (Rule("sip", BYPASS, SIP),), HOLD)
    assert judge(policy, LATER) == Decision(HOLD, DEFAULT_RULE, "no rule matches")


def test_after_a_bypass_rule_that_is_in_doubt_the_next_rules_are_asked() -> None:
    everything = Match(protocol=frozenset({UDP}))
    policy = Policy("p", (Rule("sip", BYPASS, SIP), Rule("udp", BYPASS, everything)), HOLD)
    assert judge(policy, LATER).rule == "udp"


def headers(**known: Any) -> Headers:
    """Of a whole IPv4 packet, unless ``known`` says otherwise."""
    ipv4 = Headers(link=Link.PLAIN, ethertype=0x0800, version=4, fragment=Fragment.WHOLE)
    return replace(ipv4, **known)


ARP = Headers(link=Link.PLAIN, ethertype=0x0806)
LLC = Headers(link=Link.LLC)
ODD = Headers(odd="too odd")
UDP_5004 = headers(protocol=UDP, source_port=5004, destination_port=5006)
MEDIA = (PortRange(5004, 5005),)
TEN, V6 = (ip_network("10.0.0.0/8"),), (ip_network("::/0"),)
ADDRESSED = headers(protocol=UDP, source=10 << 24, destination=11 << 24)


@pytest.mark.parametrize(
    ("match", "seen", "truth"),
    [
        (Match(), ODD, True),
        (Match(link=frozenset({Link.LLC})), LLC, True),
        (Match(link=frozenset({Link.LLC})), ARP, False),
        (Match(link=frozenset({Link.LLC})), ODD, None),
        (Match(ethertype=frozenset({0x0806})), ARP, True),
        (Match(ethertype=frozenset({0x0806})), UDP_5004, False),
        (Match(ethertype=frozenset({0x0806})), LLC, False),
        (Match(ethertype=frozenset({0x0806})), ODD, None),
        (Match(protocol=frozenset({TCP})), headers(protocol=TCP), True),
        (Match(protocol=frozenset({TCP})), headers(protocol=UDP), False),
        (Match(protocol=frozenset({TCP})), headers(fragment=Fragment.LATER), None),
        (Match(protocol=frozenset({TCP})), ARP, False),
        (Match(protocol=frozenset({TCP})), LLC, False),
        (Match(protocol=frozenset({TCP})), ODD, None),
        (Match(fragment=frozenset({Fragment.WHOLE})), UDP_5004, True),
        (Match(fragment=frozenset({Fragment.FIRST})), UDP_5004, False),
        (Match(fragment=frozenset({Fragment.FIRST})), ARP, False),
        (Match(fragment=frozenset({Fragment.FIRST})), ODD, None),
        (Match(dscp=frozenset({46})), headers(dscp=46), True),
        (Match(dscp=frozenset({46})), headers(dscp=0), False),
        (Match(dscp=frozenset({46})), ARP, False),
        (Match(dscp=frozenset({46})), ODD, None),
        (Match(source=TEN), ADDRESSED, True),
        (Match(destination=TEN), ADDRESSED, False),
        (Match(address=TEN), ADDRESSED, True),
        (Match(source=V6), ADDRESSED, False),
        (Match(source=TEN), ARP, False),
        (Match(source=TEN), ODD, None),
        (Match(address=TEN), ODD, None),
        (Match(protocol=frozenset({UDP}), source_port=MEDIA), UDP_5004, True),
        (Match(protocol=frozenset({UDP}), destination_port=MEDIA), UDP_5004, False),
        (Match(protocol=frozenset({UDP}), port=MEDIA), UDP_5004, True),
        (Match(protocol=frozenset({UDP}), port=MEDIA), headers(protocol=UDP), None),
        (Match(protocol=frozenset({UDP}), port=MEDIA), headers(protocol=TCP), False),
        (
            Match(protocol=frozenset({58}), icmp_type=frozenset({135})),
            headers(protocol=58, icmp_type=135),
            True,
        ),
        (
            Match(protocol=frozenset({58}), icmp_type=frozenset({135})),
            headers(protocol=58, icmp_type=136),
            False,
        ),
        (Match(protocol=frozenset({58}), icmp_type=frozenset({135})), headers(protocol=58), None),
        (Match(payload=frozenset({PayloadClass.RTP})), UDP_5004, False),
        (
            Match(payload=frozenset({PayloadClass.RTP})),
            headers(protocol=UDP, payload_class=PayloadClass.RTP),
            True,
        ),
        (
            Match(payload=frozenset({PayloadClass.RTP})),
            headers(protocol=UDP, payload_class=PayloadClass.RTCP),
            False,
        ),
        (
            Match(payload=frozenset({PayloadClass.RTP})),
            headers(protocol=UDP, payload_seen=False),
            None,
        ),
        (Match(payload=frozenset({PayloadClass.RTP})), LATER, False),
        (Match(payload=frozenset({PayloadClass.RTP})), headers(fragment=Fragment.LATER), None),
        (Match(payload=frozenset({PayloadClass.RTP})), ARP, False),
        (Match(payload=frozenset({PayloadClass.RTP})), ODD, None),
        (Match(tunnel=frozenset({Tunnel.GRE})), headers(protocol=47), True),
        (Match(tunnel=frozenset({Tunnel.GRE})), headers(protocol=UDP), False),
        (Match(tunnel=frozenset({Tunnel.GRE})), headers(fragment=Fragment.LATER), None),
        (Match(tunnel=frozenset({Tunnel.MPLS})), Headers(ethertype=0x8847), True),
        (Match(tunnel=frozenset({Tunnel.MPLS})), ARP, False),
        (Match(tunnel=frozenset({Tunnel.MPLS})), LLC, False),
        (Match(tunnel=frozenset({Tunnel.MPLS})), ODD, None),
        (
            Match(tunnel=frozenset({Tunnel.VXLAN})),
            headers(protocol=UDP, source_port=9, destination_port=8472),
            True,
        ),
        (Match(tunnel=frozenset({Tunnel.VXLAN})), UDP_5004, False),
        (Match(tunnel=frozenset({Tunnel.VXLAN})), LATER, None),
        (Match(tunnel=frozenset({Tunnel.VXLAN})), LATER_TCP, False),
        (Match(tunnel=frozenset({Tunnel.VXLAN, Tunnel.GRE})), headers(protocol=47), True),
        (Match(tunnel=frozenset({Tunnel.L2TP})), headers(protocol=115), True),
        (
            Match(tunnel=frozenset({Tunnel.L2TP})),
            headers(protocol=UDP, source_port=1701, destination_port=9),
            True,
        ),
        (Match(address=(ip_network("11.0.0.0/8"),)), ADDRESSED, True),
        (Match(protocol=frozenset({UDP}), port=(PortRange(5006, 5006),)), UDP_5004, True),
        (
            Match(payload=frozenset({PayloadClass.RTP})),
            headers(protocol=UDP, fragment=Fragment.FIRST, payload_seen=False),
            False,
        ),
        # A conjunction: one condition that fails decides, whatever is unknown besides.
        (Match(protocol=frozenset({TCP}), port=MEDIA), LATER, False),
        (
            Match(protocol=frozenset({TCP}), fragment=frozenset({Fragment.WHOLE})),
            headers(fragment=Fragment.LATER),
            False,
        ),
        (Match(protocol=frozenset({UDP}), port=MEDIA), LATER, None),
    ],
)  # fmt: skip
def test_a_match_is_true_false_or_unknown(match: Match, seen: Headers, truth: bool | None) -> None:
    assert matches(match, seen) is truth


# -- properties ------------------------------------------------------------------------------------


@given(frames(), policies())
def test_an_odd_frame_never_bypasses(frame: bytes, policy: Policy) -> None:
    """Under any policy that users can write, and any preset but the baseline."""
    if dissect(frame).odd is not None:
        assert policy.holds_odd
        assert classify(policy, frame).verdict is HOLD


def test_of_the_presets_only_the_baseline_asks_its_rules_about_odd_frames() -> None:
    assert [name for name, policy in PRESETS.items() if not policy.holds_odd] == ["stock-remus"]


@given(frames(), st.one_of(policies(), st.sampled_from(list(PRESETS.values()))))
def test_seeing_less_of_a_held_frame_never_lets_it_bypass(frame: bytes, policy: Policy) -> None:
    """A capture's snap length, or a header pulled up too short, only ever makes it hold more."""
    if classify(policy, frame).verdict is HOLD:
        for cut in range(len(frame)):
            assert classify(policy, frame[:cut], len(frame)).verdict is HOLD, cut


@given(frames(), policies())
def test_a_rule_in_doubt_holds_or_is_passed_over(frame: bytes, policy: Policy) -> None:
    """The rule that decides is the first whose truth suffices for its verdict."""
    seen = dissect(frame)
    decision = judge(policy, seen)
    if seen.odd is not None:
        assert decision.rule == ODD_RULE
        return
    for rule in policy.rules:
        truth = matches(rule.match, seen)
        if rule.name == decision.rule:
            assert rule.verdict is decision.verdict
            assert truth is True or (truth is None and rule.verdict is HOLD)
            return
        assert truth is False or (truth is None and rule.verdict is BYPASS)
    assert (decision.rule, decision.verdict) == (DEFAULT_RULE, policy.default)


def test_no_preset_but_the_baseline_lets_a_whole_tcp_segment_bypass() -> None:
    """Twice through every combination; tunnels, and protocols of vendors, are no TCP."""
    hiding = {"snap-cisco", "llc-stp"}
    tried = 0
    for sample in generate(14_000, 3):
        if sample.transport in ("tcp", "tcp-options") and sample.link not in hiding:
            if sample.damage in ("whole", "trailer", "cut-headers"):
                for name in ("tcp-only", "real-time", "hold-all"):
                    assert classify(PRESETS[name], sample.frame).verdict is HOLD, sample
                tried += 1
    assert tried > 500


@given(frames())
def test_hold_all_holds_any_bytes(frame: bytes) -> None:
    assert classify(HOLD_ALL, frame).verdict is HOLD

"""u32 filters: what they have to let pass, single traps, and the filters themselves."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import ip_network
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from remusnet.classify.filters import LAST_PREF, Beyond
from remusnet.classify.headers import dissect
from remusnet.classify.reference import classify, judge
from remusnet.classify.u32.compiler import MOST_FILTERS, compile_u32
from remusnet.classify.u32.conditions import EVERY_FRAME, U32Key, prefixes
from remusnet.errors import InvalidInput
from remusnet.policy.policy import (
    ICMP,
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
from remusnet.policy.presets import HOLD_ALL, PRESETS, REAL_TIME, STOCK_REMUS, TCP_ONLY
from remusnet.policy.verdict import Verdict
from tests.lib import layers
from tests.lib.beyond import kinds_of
from tests.lib.classifiers import CLASSIFIERS, policy
from tests.lib.framegen import build
from tests.lib.long import count
from tests.lib.policies import policies
from tests.lib.u32_machine import Machine, receive

HOLD, BYPASS = Verdict.HOLD, Verdict.BYPASS


SAMPLES = [(sample.frame, dissect(sample.frame)) for sample in CLASSIFIERS["u32"].samples()]


# -- what has to pass ------------------------------------------------------------------------------

LINKS = ("plain", "tag", "priority")


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("kind", ["ipv4/udp", "ipv4/icmp", "ipv6/udp", "ipv6/icmpv6", "arp/-"])
def test_under_tcp_only_udp_icmp_and_arp_pass(link: str, kind: str) -> None:
    assert _passes(TCP_ONLY, link, kind)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("kind", ["ipv4-first/udp", "ipv4-later/udp", "ipv4/sctp", "ipv4/vxlan"])
def test_under_tcp_only_fragments_and_tunnels_pass(link: str, kind: str) -> None:
    assert _passes(TCP_ONLY, link, kind)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("kind", ["ipv6/neighbour", "arp/-"])
def test_under_real_time_address_resolution_passes(link: str, kind: str) -> None:
    assert _passes(REAL_TIME, link, kind)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", [layers.rtp, layers.rtcp])
@pytest.mark.parametrize("length", [12, 172, 1400])
def test_under_real_time_media_passes(link: str, version: int, kind: object, length: int) -> None:
    assert callable(kind)
    rng = Random(length)
    data = layers.udp(rng, kind(rng, length), sport=5004, dport=65535)
    packet = layers.ipv4(rng, UDP, data) if version == 4 else layers.ipv6(rng, UDP, data)
    ethertype = layers.IPV4 if version == 4 else layers.IPV6
    tags = {"plain": None, "tag": 7, "priority": 0}[link]
    if tags is not None:
        ethertype, packet = 0x8100, layers.tag(rng, ethertype, tags) + packet
    frame = layers.ethernet(rng, ethertype, packet)
    assert Machine(compile_u32(REAL_TIME).filters).verdict(frame) is BYPASS


def _passes(preset: Policy, link: str, kind: str) -> bool:
    machine = Machine(compile_u32(preset).filters)
    samples = [build(Random(seed), link, *kind.split("/")) for seed in range(30)]
    return all(machine.verdict(sample.frame) is BYPASS for sample in samples)


# -- single traps ----------------------------------------------------------------------------------


def test_a_hold_by_ports_takes_the_later_fragments_that_a_later_rule_would_let_pass() -> None:
    """A rule that lets just later fragments bypass must vanish, not stay as it is."""
    tested = policy(
        (HOLD, Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5060),))),
        (BYPASS, Match(fragment=frozenset({Fragment.LATER}))),
    )
    classification = compile_u32(tested)
    machine = Machine(classification.filters)
    for seed in range(30):
        assert machine.verdict(build(Random(seed), "plain", "ipv4-later", "udp").frame) is HOLD
    assert Beyond.LATER_FRAGMENTS in classification.beyond


def test_a_policy_that_lets_fragments_alone_pass_names_those_of_ipv6() -> None:
    """They have an extension header, so that no filter for IPv6 is there at all."""
    classification = compile_u32(policy((BYPASS, Match(fragment=frozenset({Fragment.FIRST})))))
    frame = build(Random(1), "plain", "ipv6-first", "udp").frame
    assert classify(classification.policy, frame).verdict is BYPASS
    assert Machine(classification.filters).verdict(frame) is HOLD
    assert kinds_of(classification, frame) == {Beyond.IPV6_EXTENSIONS}


@pytest.mark.parametrize("number", [3, 4, 0x05DC, 0x8100, 0x88A8, 0x9100])
def test_a_number_that_is_no_innermost_ethertype_never_becomes_a_filter(number: int) -> None:
    """To tc, 3 is every protocol and 0x8100 every tagged frame: a bypass would open it all."""
    classification = compile_u32(policy((BYPASS, Match(ethertype=frozenset({number})))))
    assert [each.pref for each in classification.filters] == [LAST_PREF]
    assert not _leaks(classification.policy)


def test_a_class_that_may_be_shorter_passes_beside_one_that_may_not() -> None:
    """STUN needs 20 bytes and DTLS 13: what is too short for one is not for the other."""
    both = frozenset({PayloadClass.STUN, PayloadClass.DTLS})
    networks = (ip_network("10.0.0.0/9"), ip_network("10.128.0.0/9"))
    machine = Machine(compile_u32(policy((BYPASS, Match(payload=both, source=networks)))).filters)
    rng = Random(2)
    for _ in range(20):  # both source networks occur
        data = layers.udp(rng, layers.dtls(rng, 16), sport=5004, dport=5006)
        frame = layers.ethernet(rng, layers.IPV4, layers.ipv4(rng, UDP, data))
        assert machine.verdict(frame) is BYPASS


def _media(version: int, first: bytes, payload: int, udp: int, ip: int) -> bytes:
    """A datagram with ``payload`` bytes; its length fields speak of ``udp`` and ``ip`` bytes."""
    rng = Random(payload)
    data = (first + rng.randbytes(payload))[:payload]
    datagram = layers.udp(rng, data, sport=5004, dport=5006, length=8 + udp)
    if version == 4:
        packet = layers.ipv4(rng, UDP, datagram, total=28 + ip)
    else:
        packet = layers.ipv6(rng, UDP, datagram, length=8 + ip)
    return layers.ethernet(rng, layers.IPV4 if version == 4 else layers.IPV6, packet)


_FIRST = {
    PayloadClass.RTP: (b"\x80\x00", 12),
    PayloadClass.RTCP: (b"\x80\xc8", 8),
    PayloadClass.STUN: (b"\x00\x01\x00\x00\x21\x12\xa4\x42", 20),
    PayloadClass.DTLS: (b"\x16\xfe", 13),
    PayloadClass.TURN: (b"\x40\x00", 4),
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", PayloadClass)
def test_a_length_of_one_byte_less_than_media_has_is_held(kind: PayloadClass, version: int) -> None:
    """Whichever of the three says so: UDP's, that of IP, or what is there."""
    first, least = _FIRST[kind]
    machine = Machine(compile_u32(policy((BYPASS, Match(payload=frozenset({kind}))))).filters)
    for payload, udp, ip in itertools.product((least - 1, least, 20), repeat=3):
        frame = _media(version, first, payload, udp, ip)
        if min(payload, udp, ip) < least:
            assert machine.verdict(frame) is HOLD, (payload, udp, ip)
        elif payload == 20:  # u32 asks for whole words, and DTLS begins with 13 bytes
            assert machine.verdict(frame) is BYPASS, (udp, ip)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.slow
def test_classes_pass_alone_and_together_by_their_first_two_bytes(version: int) -> None:
    """All 31 sets of classes on each value around which RFC 7983 and RFC 5761 draw a line."""
    limits = (0, 3, 4, 19, 20, 63, 64, 79, 80, 127, 128, 191, 192, 223, 224, 255)
    cookie = b"\x00\x00\x21\x12\xa4\x42"
    frames = [
        _media(version, bytes(two) + cookie, 20, 20, 20)
        for two in itertools.product(limits, repeat=2)
    ]
    frames += [_media(version, bytes((first, 1)), 20, 20, 20) for first in (0, 3)]  # no cookie
    for size in range(1, 6):
        for kinds in itertools.combinations(PayloadClass, size):
            tested = policy((BYPASS, Match(payload=frozenset(kinds))))
            machine = Machine(compile_u32(tested).filters)
            for frame in frames:
                assert machine.verdict(frame) is classify(tested, frame).verdict, frame.hex()


def test_what_only_looks_like_media_is_named_where_a_rule_holds_media() -> None:
    classification = compile_u32(
        policy((HOLD, Match(payload=frozenset({PayloadClass.RTP}))), default=BYPASS)
    )
    rng = Random(3)
    data = layers.udp(rng, layers.rtp(rng, 20), sport=5004, dport=4500)  # a tunnel's port
    frame = layers.ethernet(rng, layers.IPV4, layers.ipv4(rng, UDP, data))
    assert classify(classification.policy, frame).verdict is BYPASS
    assert Machine(classification.filters).verdict(frame) is HOLD
    assert kinds_of(classification, frame) == {Beyond.LOOKALIKES}


def _leaks(tested: Policy) -> bool:
    machine = Machine(compile_u32(tested).filters)
    return any(
        machine.verdict(frame) is BYPASS and judge(tested, headers).verdict is HOLD
        for frame, headers in SAMPLES
    )


# -- what it refuses -------------------------------------------------------------------------------


def test_more_filters_than_u32_can_number_are_refused_with_the_rule_that_needs_them() -> None:
    ports = tuple(PortRange(port, port) for port in range(0, 2 * MOST_FILTERS + 2, 2))
    tested = policy((BYPASS, Match(protocol=frozenset({UDP}), destination_port=ports)))
    with pytest.raises(InvalidInput, match=r"more u32 filters for IPv4 .*2048.*rule r0"):
        compile_u32(tested)


def test_conditions_that_multiply_to_millions_are_refused_at_once() -> None:
    """Without a limit on the way this would take hours and all memory."""
    ports = tuple(PortRange(port, port) for port in range(0, 1000, 2))
    prefixes = tuple(ip_network(f"10.{i}.0.0/16") for i in range(200))
    tested = policy(
        (HOLD, Match(protocol=frozenset({TCP}), source_port=ports, destination=prefixes)),
        default=BYPASS,
    )
    with pytest.raises(InvalidInput, match="rule r0"):
        compile_u32(tested)


@pytest.mark.parametrize(
    ("rules", "default"),
    [
        ([(HOLD, Match(protocol=frozenset({TCP})))], BYPASS),
        ([(BYPASS, Match(link=frozenset({Link.PLAIN}), ethertype=frozenset({0x0800})))], BYPASS),
        ([(HOLD, Match(link=frozenset({Link.PLAIN}), ethertype=frozenset({0x8100})))], BYPASS),
        ([], HOLD),
    ],
)
def test_odd_frames_can_bypass_only_beside_whole_ethertypes(
    rules: list[tuple[Verdict, Match]], default: Verdict
) -> None:
    named = tuple(Rule(f"r{i}", verdict, match) for i, (verdict, match) in enumerate(rules))
    with pytest.raises(InvalidInput, match="odd frames"):
        compile_u32(Policy("test", named, default, holds_odd=False))


# -- the filters themselves ------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [TCP_ONLY, REAL_TIME, HOLD_ALL], ids=lambda each: each.name)
def test_the_last_filter_holds_every_frame(preset: Policy) -> None:
    last = compile_u32(preset).filters[-1]
    assert (last.match, last.verdict, last.pref) == (EVERY_FRAME, HOLD, LAST_PREF)


@pytest.mark.parametrize("preset", [HOLD_ALL, STOCK_REMUS], ids=lambda each: each.name)
def test_hold_all_and_stock_remus_are_exact_and_one_filter(preset: Policy) -> None:
    classification = compile_u32(preset)
    assert classification.exact
    assert len(classification.filters) == 1


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preference_has_one_protocol_and_no_filter_twice(preset: Policy) -> None:
    filters = compile_u32(preset).filters
    protocols = {(each.pref, each.protocol) for each in filters}
    assert len(protocols) == len({pref for pref, _ in protocols})
    assert len({(each.pref, each.match) for each in filters}) == len(filters)


@given(policies())
@settings(max_examples=count(sample=20, long=300))
def test_no_preference_but_the_last_ends_in_a_hold(drawn: Policy) -> None:
    """It would cost time on every frame, and decide what the last filter decides as well."""
    ends = {each.pref: each for each in compile_u32(drawn).filters}
    assert {each.verdict for pref, each in ends.items() if pref != LAST_PREF} <= {BYPASS}


@pytest.mark.parametrize("link", LINKS)
def test_under_tcp_only_udp_is_what_is_asked_for_first_in_ipv6(link: str) -> None:
    """In IPv4 only two filters would be left out, and it takes as long as two."""
    filters = compile_u32(TCP_ONLY).filters
    packet = receive(build(Random(1), link, "ipv6", "udp").frame)
    assert packet is not None
    decided = Machine(filters).decide(packet)
    assert decided is not None
    assert decided.verdict is BYPASS
    assert decided == next(each for each in filters if each.pref == decided.pref)
    assert not any("IPv4" in each.comment and "early" in each.comment for each in filters)


WEB = Match(protocol=frozenset({TCP}), port=(PortRange(80, 80), PortRange(443, 443)))
SIP = Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5060),))
FROM_TEN = Match(source=(ip_network("10.0.0.0/8"),))


@pytest.mark.parametrize(
    ("rule", "before"),
    [(SIP, "hold UDP, to port 5060 (rule r0)"), (FROM_TEN, "hold all, from 10.0.0.0/8 (rule r0)")],
    ids=["by port", "by address"],
)
def test_udp_is_asked_for_right_behind_what_might_hold_it(rule: Match, before: str) -> None:
    tested = policy((HOLD, rule), (HOLD, WEB), default=BYPASS)
    comments = [each.comment for each in compile_u32(tested).filters if each.pref == 10]
    udp = "bypass UDP, no later fragments, no options, the whole header there (asked early)"
    place = comments.index(f"IPv4: {udp}")
    assert comments[place - 1] == f"IPv4: {before}"
    assert comments[place + 1] == "IPv4: hold TCP, from port 80 (rule r1)"


def test_udp_that_a_rule_lets_pass_by_name_is_asked_for_once() -> None:
    tested = policy((HOLD, WEB), (BYPASS, Match(protocol=frozenset({UDP}))))
    assert not any("early" in each.comment for each in compile_u32(tested).filters)


@example(
    policy((BYPASS, Match(protocol=frozenset({UDP}), destination_port=(PortRange(0, 1023),)))), 1
)
@given(policies(), st.integers(0, 2**32))
@settings(max_examples=count(sample=25, long=500))
@pytest.mark.slow
def test_asking_for_udp_early_changes_no_verdict_but_of_what_is_too_short(
    drawn: Policy, seed: int
) -> None:
    """A filter in between that looks beyond a frame's end would leave the preference, and hold."""
    for tested in (drawn, replace(drawn, default=BYPASS), TCP_ONLY):
        try:
            classification = compile_u32(tested)
        except InvalidInput:
            continue  # more filters than u32 can number
        filters = classification.filters
        with_early = Machine(filters)
        without = Machine(each for each in filters if not each.comment.endswith("(asked early)"))
        for frame, headers in Random(seed).sample(SAMPLES, 200):
            verdict, before = with_early.verdict(frame), without.verdict(frame)
            if verdict is not before:
                assert (verdict, before) == (BYPASS, HOLD), frame.hex()
                assert judge(tested, headers).verdict is BYPASS, frame.hex()
                assert Beyond.SHORT in kinds_of(classification, frame), frame.hex()


def test_udp_is_not_asked_for_early_where_its_later_fragments_are_held() -> None:
    """A default that lets no later fragment pass must not let UDP's pass by way of its own."""
    machine = Machine(compile_u32(policy((HOLD, SIP), default=BYPASS)).filters)
    for seed in range(30):
        assert machine.verdict(build(Random(seed), "plain", "ipv4-later", "udp").frame) is HOLD


def test_comments_say_in_words_what_a_filter_looks_for() -> None:
    voice = Match(
        protocol=frozenset({UDP}),
        destination=(ip_network("10.0.0.0/9"), ip_network("2001:db8::/33")),
        source_port=(PortRange(7, 7),),
        dscp=frozenset({46}),
        fragment=frozenset({Fragment.WHOLE}),
    )
    tested = policy(
        (HOLD, Match(tunnel=frozenset({Tunnel.VXLAN}))),
        (BYPASS, voice),
        (BYPASS, Match(protocol=frozenset({ICMP}), icmp_type=frozenset({8}))),
        (BYPASS, Match(payload=frozenset({PayloadClass.STUN}))),
        (BYPASS, Match(protocol=frozenset({143}))),
        (BYPASS, Match(link=frozenset({Link.PLAIN}), ethertype=frozenset({0x88CC}))),
    )
    comments = [each.comment for each in compile_u32(tested).filters]
    for expected in (
        "IPv4: hold UDP, to port 4789 (rule r0)",
        "IPv4: bypass UDP, to 10.0.0.0/9, DSCP 46, unfragmented, no options, from port 7 (rule r1)",
        "IPv6: bypass UDP, to 2001:db8::/33, DSCP 46, from port 7 (rule r1)",
        "tagged IPv4: bypass ICMP, no later fragments, no options, type 8 (rule r2)",
        "IPv4: bypass protocol 143, no options, the whole header there (rule r4)",
        "ethertype 0x88cc: bypass all (rule r5)",
        "hold every frame that no other filter lets pass",
    ):
        assert expected in comments
    (stun,) = (each for each in comments if each.startswith("IPv6: bypass") and "rule r3" in each)
    assert stun == (
        "IPv6: bypass UDP, first payload byte 0-3, 0x2112a442 in payload bytes 4 to 7, "
        "at least 20 payload bytes (rule r3)"
    )


@pytest.mark.parametrize("key", [(2, 0, 0), (0, 0xFF, 0x100), (0, 1 << 32, 0)])
def test_a_key_that_could_never_agree_is_no_key(key: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="invalid u32 key"):
        U32Key(*key)


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_aligned_blocks_cover_a_port_range_and_nothing_else(one: int, other: int) -> None:
    low, high = sorted((one, other))
    covered = [
        port for value, mask in prefixes(low, high) for port in range(value, value + 0x10000 - mask)
    ]
    assert covered == list(range(low, high + 1))

"""The BPF program of a policy, run as the kernel runs it: lengths, chains, cuts and costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.classify.bpf.assembler import BpfMatch
from remusnet.classify.bpf.compiler import HOLD_EVERY_FRAME, compile_bpf
from remusnet.classify.reference import classify
from remusnet.errors import InvalidInput
from remusnet.policy.policy import (
    ICMPV6,
    NEVER_MEDIA_PORTS,
    TCP,
    UDP,
    Link,
    Match,
    PayloadClass,
    Policy,
    PortRange,
    Rule,
    Tunnel,
)
from remusnet.policy.presets import PRESETS
from remusnet.policy.verdict import Verdict
from tests.lib import bpf_machine, edges, layers
from tests.lib.bpf_machine import Machine
from tests.lib.framegen import LINKS, TRANSPORTS, build, generate
from tests.lib.ingress import at_ingress
from tests.lib.layers import chained
from tests.lib.policies import policies
from tests.lib.strategies import frames

RNG = Random(1)
HOLD, BYPASS = Verdict.HOLD, Verdict.BYPASS
TCP_RULE = Rule("tcp", HOLD, Match(protocol=frozenset({TCP})))


@given(st.lists(frames(), min_size=1, max_size=20), policies())
@pytest.mark.slow
def test_any_policy_is_exact(found: list[bytes], policy: Policy) -> None:
    machine = Machine(compile_bpf(policy).filters)
    for frame in found:
        expected = classify(policy, frame).verdict
        assert machine.verdict(frame) in (expected, None), frame.hex()


@pytest.mark.slow
def test_any_policy_is_exact_on_all_kinds_of_frame() -> None:
    """Each of 300 policies meets 200 frames that others did not."""
    samples = iter(generate(60_000, 12))
    pick = policies()
    tried = Counter[Verdict]()

    @given(pick)
    def judge(policy: Policy) -> None:
        machine = Machine(compile_bpf(policy).filters)
        for sample in [sample for sample, _ in zip(samples, range(200), strict=False)]:
            expected = classify(policy, sample.frame).verdict
            assert machine.verdict(sample.frame) in (expected, None), (policy, sample)
            tried[expected] += 1

    judge()
    assert min(tried[HOLD], tried[BYPASS]) > 1000


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_every_first_byte_of_a_packet_is_judged_like_the_reference(policy: Policy) -> None:
    machine = Machine(compile_bpf(policy).filters)
    for frame in edges.first_bytes():
        assert machine.verdict(frame) is classify(policy, frame).verdict, frame.hex()


@pytest.mark.parametrize("payload", PayloadClass)
@pytest.mark.slow
def test_payloads_are_told_apart_like_the_reference_does(payload: PayloadClass) -> None:
    policy = Policy("p", (Rule("payload", BYPASS, Match(payload=frozenset({payload}))),), HOLD)
    machine = Machine(compile_bpf(policy).filters)
    passed = 0
    for first in range(256):
        for second in (0, 191, 192, 223, 224, 255) if first >> 6 == 2 else (0,):
            for length in (3, 4, 7, 8, 11, 12, 13, 19, 20):
                data = bytes((first, second)) + b"\0\0\x21\x12\xa4\x42" + bytes(14)
                datagram = layers.udp(RNG, data[:length], sport=40000, dport=1024)
                frame = layers.ethernet(RNG, layers.IPV4, layers.ipv4(RNG, UDP, datagram))
                expected = classify(policy, frame).verdict
                passed += expected is BYPASS
                assert machine.verdict(frame) is expected, frame.hex()
    assert passed >= 4


@pytest.mark.parametrize("claims", range(0, 30, 3))
@pytest.mark.parametrize("field", ["udp", "ipv4", "ipv6"])
def test_lengths_that_headers_claim_are_believed_like_the_reference_does(
    field: str, claims: int
) -> None:
    """A UDP or IP length that is less than what is there, or more."""
    machine = Machine(compile_bpf(PRESETS["real-time"]).filters)
    for size in range(30):
        payload = (b"\x80\x08" + bytes(28))[:size]
        datagram = layers.udp(RNG, payload, sport=40000, dport=1024)
        if field == "udp":
            datagram = datagram[:4] + (claims + 8).to_bytes(2, "big") + datagram[6:]
        if field == "ipv6":
            packet = layers.ipv6(RNG, UDP, datagram, length=claims + 8)
        else:
            total = claims + 28 if field == "ipv4" else None
            packet = layers.ipv4(RNG, UDP, datagram, total=total)
        ethertype = layers.IPV6 if field == "ipv6" else layers.IPV4
        frame = layers.ethernet(RNG, ethertype, packet)
        assert machine.verdict(frame) is classify(PRESETS["real-time"], frame).verdict


CHAINS = [(4, [layers.AH])] + [
    (6, [number])
    for number in (
        layers.HOP_BY_HOP,
        layers.ROUTING,
        layers.FRAGMENT,
        layers.AH,
        layers.DESTINATION_OPTIONS,
    )
]


@pytest.mark.parametrize("length", range(10))
@pytest.mark.parametrize(("version", "header"), CHAINS)
@pytest.mark.parametrize("name", ["tcp-only", "real-time"])
def test_every_header_is_walked_at_every_place_and_the_ninth_holds(
    name: str, version: int, header: list[int], length: int
) -> None:
    machine = Machine(compile_bpf(PRESETS[name]).filters)
    rtp = layers.udp(RNG, layers.rtp(RNG, 172), sport=40000, dport=40002)
    for protocol, data in ((TCP, layers.tcp(RNG)), (UDP, rtp)):
        frame = chained(RNG, version, header * length, protocol, data)
        expected = HOLD if protocol == TCP or length > 8 else BYPASS
        assert classify(PRESETS[name], frame).verdict is expected
        assert machine.verdict(frame) is expected
        for cut in range(len(frame)):
            shorter = machine.verdict(frame[:cut])
            assert shorter in (classify(PRESETS[name], frame[:cut]).verdict, None), cut


DOUBTS = [
    # A rule in doubt holds, or is passed over: both have to be told from one that does not match.
    Policy(f"{verdict}-{name}", (Rule("first", verdict, match), TCP_RULE), BYPASS)
    for verdict in Verdict
    for name, match in (
        ("ports", Match(protocol=frozenset({UDP, TCP}), port=(PortRange(1, 9),))),
        ("type", Match(protocol=frozenset({ICMPV6}), icmp_type=frozenset({1}))),
        ("payload", Match(payload=frozenset({PayloadClass.RTP}))),
        ("both", Match(payload=frozenset({PayloadClass.STUN}), source=(ip_network("10.0.0.0/9"),))),
    )
]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("policy", [*PRESETS.values(), *DOUBTS], ids=lambda policy: policy.name)
def test_every_cut_of_a_frame_is_judged_like_the_reference(policy: Policy, link: str) -> None:
    machine = Machine(compile_bpf(policy).filters)
    for network in ("ipv4-options", "ipv6-first"):
        for transport in ("tcp", "rtp", "neighbour"):
            frame = build(RNG, link, network, transport).frame
            for cut in range(len(frame) + 1):
                found = machine.verdict(frame[:cut])
                assert found in (classify(policy, frame[:cut]).verdict, None), (cut, frame.hex())


def corners() -> Iterator[bytes]:
    """What generated frames seldom or never are."""
    for version, header in CHAINS:
        for length in range(10):
            for transport in TRANSPORTS.values():
                yield chained(RNG, version, header * length, *transport(RNG))
            if header == [layers.AH]:  # the last says that it has 8 bytes
                yield chained(RNG, version, header * length, layers.AH, b"\x11" + bytes(40))
    for length in range(9):
        data = layers.fragment_header(RNG, UDP, 0, True) + layers.udp(RNG, bytes(8))
        yield chained(RNG, 6, [layers.DESTINATION_OPTIONS] * length, layers.FRAGMENT, data)
    for count in range(5):
        for outer in product((0x8100, 0x88A8, 0x9100), repeat=count):
            yield from tagged(outer)
    for port in sorted(NEVER_MEDIA_PORTS):
        for ports in ((port, 40000), (40000, port)):
            data = layers.udp(RNG, layers.rtp(RNG, 172), sport=ports[0], dport=ports[1])
            for version in (4, 6):
                yield chained(RNG, version, [], UDP, data)


def tagged(tags: tuple[int, ...]) -> Iterator[bytes]:
    """Frames with these tags, all outside, and some of them behind LLC and SNAP."""
    words = [tag.to_bytes(2, "big") + b"\0\1" for tag in tags]
    packet = b"\x45" + bytes(60)
    for ethertype in (layers.IPV4, layers.IPV6, layers.ARP, 0x0100, 0x05FF, 0x0600):
        if ethertype in (0x05FF, 0x0600):  # the highest length, and the lowest ethertype
            packet = layers.snap(layers.IPV4) + layers.ipv4(RNG, TCP, layers.tcp(RNG))
        inner = ethertype.to_bytes(2, "big") + packet
        yield bytes(12) + b"".join(words) + inner
        snap = b"\0\x40\xaa\xaa\x03\0\0\0"
        for outside in range(len(words) + 1):
            behind = snap + b"".join(words[outside:]) + inner
            yield bytes(12) + b"".join(words[:outside]) + behind


@pytest.mark.slow
def test_corners_are_exact() -> None:
    for policy in PRESETS.values():
        machine = Machine(compile_bpf(policy).filters)
        for frame in corners():
            assert machine.verdict(frame) in (classify(policy, frame).verdict, None), frame.hex()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tcp-only", "real-time"])
def test_each_instruction_is_needed_by_some_frame(name: str) -> None:
    """So nothing stands in a program that no test has looked at."""
    (program, _), _ = Machine(compile_bpf(PRESETS[name]).filters).programs
    reached: set[int] = set()
    for frame in (*corners(), *(sample.frame for sample in generate(16_000, 5))):
        if (skb := at_ingress(frame)) is not None:
            reached.update(bpf_machine.run(program, skb).trace)
    # The two verdicts at the end: jumps to them may all have become copies of them.
    missed = [at for at in range(len(program) - 2) if at not in reached]
    assert [str(program[at]) for at in missed] == []


COSTS = [
    ("tcp-only", "plain", "ipv4", "udp", 8),
    ("tcp-only", "plain", "ipv4", "tcp", 25),
    ("tcp-only", "tag", "ipv4", "udp", 8),
    ("tcp-only", "plain", "ipv6", "udp", 10),
    ("real-time", "plain", "ipv4", "rtp", 109),
    ("real-time", "plain", "ipv4", "tcp", 40),
    ("stock-remus", "plain", "ipv4", "tcp", 5),
]


@pytest.mark.parametrize(("name", "link", "network", "transport", "most"), COSTS)
def test_common_frames_are_judged_in_a_few_instructions(
    name: str, link: str, network: str, transport: str, most: int
) -> None:
    """docs/reference/classifiers.md gives these numbers."""
    (program, _), _ = Machine(compile_bpf(PRESETS[name]).filters).programs
    for seed in range(50):
        skb = at_ingress(build(Random(seed), link, network, transport).frame)
        assert skb is not None
        assert len(bpf_machine.run(program, skb).trace) <= most


SIP = Rule("sip", HOLD, Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5060),)))
MARKED = Rule("marked", BYPASS, Match(dscp=frozenset({46})))
TAGGED = Rule("tagged", HOLD, Match(link=frozenset({Link.TAGGED})))
VXLAN = Rule("vxlan", HOLD, Match(tunnel=frozenset({Tunnel.VXLAN})))
GRE = Rule("gre", HOLD, Match(tunnel=frozenset({Tunnel.GRE})))


@pytest.mark.parametrize(
    ("rules", "default", "early"),
    [
        ((TCP_RULE,), BYPASS, True),
        ((TCP_RULE, MARKED), BYPASS, True),
        ((GRE,), BYPASS, True),
        ((TCP_RULE, SIP), BYPASS, False),
        ((TAGGED,), BYPASS, False),
        ((VXLAN,), BYPASS, False),
        ((MARKED,), HOLD, False),
    ],
)
def test_udp_is_decided_early_only_where_no_udp_is_held(
    rules: tuple[Rule, ...], default: Verdict, early: bool
) -> None:
    (program, _), _ = Machine(compile_bpf(Policy("test", rules, default)).filters).programs
    skb = at_ingress(build(Random(1), "plain", "ipv4", "udp").frame)
    assert skb is not None
    assert (len(bpf_machine.run(program, skb).trace) == 8) is early


def test_a_policy_that_lets_nothing_bypass_is_one_return() -> None:
    assert compile_bpf(PRESETS["hold-all"]).filters == (HOLD_EVERY_FRAME,)


def test_what_no_program_lets_bypass_is_held_by_the_last() -> None:
    for policy in PRESETS.values():
        last = compile_bpf(policy).filters[-1]
        assert last == HOLD_EVERY_FRAME
        assert isinstance(last.match, BpfMatch)
        for frame in (bytes(14), build(RNG, "plain", "ipv4", "tcp").frame):
            assert bpf_machine.matches(last.match.program, frame) is True


def test_the_baseline_is_five_comparisons() -> None:
    (program, _), _ = Machine(compile_bpf(PRESETS["stock-remus"]).filters).programs
    assert [str(each) for each in program] == [
        f"32 0 0 {0xFFFFF030}",  # is a tag present?
        "21 0 2 0",
        "40 0 0 12",  # the ethertype
        f"21 1 0 {0x0800}",
        f"6 0 0 {0xFFFFFFFF}",  # bypass
        "6 0 0 0",
    ]


def test_a_program_too_long_for_tc_is_refused() -> None:
    networks = tuple(ip_network(f"10.{n >> 8}.{n & 255}.0/24") for n in range(0, 2000, 2))
    policy = Policy("long", (Rule("far", BYPASS, Match(source=networks)),), HOLD)
    with pytest.raises(InvalidInput, match=r"policy long needs \d+ BPF instructions"):
        compile_bpf(policy)


@pytest.mark.parametrize(
    ("rule", "default"),
    [
        (Rule("ports", HOLD, Match(protocol=frozenset({UDP}), port=(PortRange(1, 2),))), BYPASS),
        (Rule("arp", BYPASS, Match(ethertype=frozenset({0x0806}))), BYPASS),
        (Rule("tagged", HOLD, Match(link=frozenset({Link.TAGGED}))), BYPASS),
        (
            Rule("ok", HOLD, Match(link=frozenset({Link.PLAIN}), ethertype=frozenset({0x0800}))),
            HOLD,
        ),
    ],
)
def test_odd_frames_bypass_under_nothing_but_a_baseline(rule: Rule, default: Verdict) -> None:
    with pytest.raises(InvalidInput, match="policy odd: "):
        compile_bpf(Policy("odd", (rule,), default, holds_odd=False))

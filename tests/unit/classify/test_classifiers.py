"""What every classifier owes every policy: no leak, and no frame held for a reason not named."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remusnet.classify.headers import Headers
from remusnet.classify.reference import classify
from remusnet.errors import InvalidInput
from remusnet.plan import plan
from remusnet.policy.policy import TCP, UDP, Match, Policy
from remusnet.policy.presets import PRESETS, REAL_TIME, TCP_ONLY
from remusnet.policy.verdict import Verdict
from tests.lib import edges, layers
from tests.lib.classifiers import CLASSIFIERS, compare, policy, taken_apart
from tests.lib.layers import chained
from tests.lib.long import count
from tests.lib.policies import policies
from tests.lib.strategies import frames

HOLD, BYPASS = Verdict.HOLD, Verdict.BYPASS
MACHINES = [(name, at) for name, each in CLASSIFIERS.items() for at in range(len(each.machines))]
each_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
each_classifier = pytest.mark.parametrize("name", CLASSIFIERS)
each_machine = pytest.mark.parametrize(
    ("name", "at"), MACHINES, ids=[f"{name}-{at}" if at else name for name, at in MACHINES]
)


@cache
def sampled(name: str) -> list[tuple[bytes, Headers]]:
    return taken_apart(sample.frame for sample in CLASSIFIERS[name].samples())


def test_these_are_the_classifiers_that_plans_can_have() -> None:
    assert {name: each.compile for name, each in CLASSIFIERS.items()} == plan.CLASSIFIERS


@each_preset
@each_machine
@pytest.mark.slow
def test_a_preset_leaks_nothing_and_names_what_it_holds_beyond(
    name: str, at: int, preset: Policy
) -> None:
    """Each kind that it names is there among the frames, as the only reason to hold one."""
    tried = CLASSIFIERS[name]
    classification = tried.compile(preset)
    machine = tried.machines[at](classification.filters)
    only_reasons, judged = compare(tried, classification, machine, sampled(name))
    print(f"{name}, {preset.name}: {judged} of {len(sampled(name))} frames came to the filters")
    assert judged > 0.96 * len(sampled(name))  # the others are cut in the Ethernet header or a tag
    assert only_reasons == set(classification.beyond)


@each_classifier
@given(drawn=policies(), seed=st.integers(0, 2**32))
@settings(max_examples=count(sample=50, long=1_500))
@pytest.mark.slow
def test_no_policy_leaks_and_each_names_what_it_holds_beyond(
    name: str, drawn: Policy, seed: int
) -> None:
    tried, rng = CLASSIFIERS[name], Random(seed)
    try:
        classification = tried.compile(drawn)
    except InvalidInput:
        return  # more filters than it can number, or than a program can have
    machine = rng.choice(tried.machines)(classification.filters)
    compare(tried, classification, machine, rng.sample(sampled(name), 200))


@each_machine
@given(preset=st.sampled_from([TCP_ONLY, REAL_TIME]), frame=frames())
@settings(max_examples=count(sample=100, long=10_000))
@pytest.mark.slow
def test_no_frame_at_all_leaks(name: str, at: int, preset: Policy, frame: bytes) -> None:
    """Hypothesis looks for the frame here, where the tests above have theirs ready."""
    tried = CLASSIFIERS[name]
    if tried.machines[at](tried.compile(preset).filters).verdict(frame) is BYPASS:
        assert classify(preset, frame).verdict is BYPASS


@each_classifier
@pytest.mark.slow
@pytest.mark.parametrize("first", Verdict)
def test_no_condition_leaks_at_its_edges(name: str, first: Verdict) -> None:
    """What is in doubt meets a default that decides the other way."""
    tried = CLASSIFIERS[name]
    headers = taken_apart(edges.frames())
    for match in edges.matches():
        classification = tried.compile(
            policy((first, match), default=HOLD if first is BYPASS else BYPASS)
        )
        compare(tried, classification, tried.machines[0](classification.filters), headers)


@each_machine
def test_no_first_byte_but_the_plain_ones_bypasses(name: str, at: int) -> None:
    """Of a packet: its version and, in IPv4, the length of its header."""
    udp = policy((BYPASS, Match(protocol=frozenset({UDP}))))
    tried = CLASSIFIERS[name]
    machine = tried.machines[at](tried.compile(udp).filters)
    for frame in edges.first_bytes():
        plain = frame[14] in (0x45, *range(0x60, 0x70))
        expected = classify(udp, frame).verdict
        if plain or name == "bpf":
            assert machine.verdict(frame) is expected, frame.hex()
        else:
            assert machine.verdict(frame) is HOLD, frame.hex()


WALKED = {
    "hop-by-hop": (6, layers.HOP_BY_HOP),
    "routing": (6, layers.ROUTING),
    "fragment": (6, layers.FRAGMENT),
    "destination options": (6, layers.DESTINATION_OPTIONS),
    "AH": (6, layers.AH),
    "AH in IPv4": (4, layers.AH),
}


@each_machine
@pytest.mark.parametrize("header", WALKED)
def test_a_rule_that_lets_a_walked_header_bypass_lets_no_tcp_behind_it_pass(
    name: str, at: int, header: str
) -> None:
    """The protocol of a packet is what stands behind such headers."""
    version, number = WALKED[header]
    lax = policy((BYPASS, Match(protocol=frozenset({number}))))
    frame = chained(Random(1), version, [number], TCP, layers.tcp(Random(1)))
    assert classify(lax, frame).verdict is HOLD
    tried = CLASSIFIERS[name]
    assert tried.machines[at](tried.compile(lax).filters).verdict(frame) is HOLD

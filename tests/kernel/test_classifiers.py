"""The filters of bpf and flower on real kernels: which of 20,000 frames they hold.

The kernel has to do with each frame what the machines of `tests.lib` say that it does: what the
unit tests prove of every policy with them, they then prove of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_network

import pytest

from remusnet.classify.bpf.compiler import compile_bpf
from remusnet.classify.filters import Classification
from remusnet.classify.flower.compiler import compile_flower
from remusnet.classify.reference import classify
from remusnet.policy.policy import (
    ICMP,
    TCP,
    UDP,
    Fragment,
    Link,
    Match,
    Policy,
    PortRange,
    Rule,
    Tunnel,
)
from remusnet.policy.presets import PRESETS
from remusnet.policy.verdict import Verdict
from tests.kernel.lab.bed import Bed
from tests.kernel.lab.sorting import Sorted, sort_by
from tests.lib import bpf_machine, flower_beyond, flower_machine
from tests.lib.common_frames import common_frames
from tests.lib.framegen import generate

HOLD, BYPASS = Verdict.HOLD, Verdict.BYPASS
RULES = (
    (HOLD, Match(protocol=frozenset({UDP}), port=(PortRange(5060, 5061),))),
    (HOLD, Match(protocol=frozenset({UDP}), dscp=frozenset(range(8, 24)))),
    (
        BYPASS,
        Match(
            protocol=frozenset({UDP}),
            source=(ip_network("10.0.0.0/9"), ip_network("2001:db8::/33")),
            destination_port=(PortRange(0, 5004), PortRange(40000, 65535)),
        ),
    ),
    (HOLD, Match(protocol=frozenset({ICMP}), icmp_type=frozenset({8}))),
    (BYPASS, Match(fragment=frozenset({Fragment.LATER}), protocol=frozenset({UDP, 132}))),
    (BYPASS, Match(tunnel=frozenset({Tunnel.ESP, Tunnel.VXLAN, Tunnel.MPLS}))),
    (HOLD, Match(link=frozenset({Link.TAGGED}), address=(ip_network("10.128.0.0/9"),))),
    (HOLD, Match(protocol=frozenset({TCP}))),
)
CROWDED = [
    Policy(
        f"crowded-{default}", tuple(Rule(f"r{i}", *rule) for i, rule in enumerate(RULES)), default
    )
    for default in Verdict
]
"""Between them every key that a filter can have, in the words of tc."""

each_policy = pytest.mark.parametrize(
    "policy", [*PRESETS.values(), *CROWDED], ids=lambda policy: policy.name
)
FRAMES = [
    sample.frame
    for sample in (*generate(15_000, 8, shortest=14), *common_frames(5_000, 8, shortest=14))
]


@each_policy
@pytest.mark.usefixtures("kernel")
def test_bpf_holds_just_what_the_policy_holds(bed: Bed, policy: Policy) -> None:
    classification = compile_bpf(policy)
    found = sort_by(bed, classification, FRAMES)
    leaked, beyond = _differences(policy, found)
    _report(classification, found, leaked, beyond)
    assert (leaked, beyond) == ([], [])
    machine = bpf_machine.Machine(classification.filters)
    assert found.held == _held(lambda frame: machine.verdict(frame) is HOLD)


@each_policy
@pytest.mark.uml(timeout=240)
def test_flower_leaks_nothing_and_holds_beyond_the_policy_only_what_it_names(
    bed: Bed, policy: Policy
) -> None:
    classification = compile_flower(policy)
    found = sort_by(bed, classification, FRAMES)
    leaked, beyond = _differences(policy, found)
    _report(classification, found, leaked, beyond)
    assert leaked == []
    assert [x for x in beyond if not flower_beyond.kinds_of(classification, FRAMES[x])] == []
    machine = flower_machine.Machine(classification.filters)
    assert found.held == _held(lambda frame: machine.verdict(frame) is HOLD)


def _held(predicted: Callable[[bytes], bool]) -> frozenset[int]:
    return frozenset(index for index, frame in enumerate(FRAMES) if predicted(frame))


def _differences(policy: Policy, found: Sorted) -> tuple[list[int], list[int]]:
    """The frames that leaked, and those that were held beyond the policy."""
    leaked = [x for x in found.passed if classify(policy, FRAMES[x]).verdict is HOLD]
    beyond = [x for x in found.held if classify(policy, FRAMES[x]).verdict is BYPASS]
    return leaked, beyond


def _report(
    classification: Classification, found: Sorted, leaked: Sequence[int], beyond: Sequence[int]
) -> None:
    print(
        f"{classification.classifier}, {classification.policy.name}: "
        f"{len(classification.filters)} filters, {len(FRAMES)} frames sent, {len(found.held)} held,"
        f" {len(found.passed)} passed, {len(found.lost)} too short for the kernel,"
        f" {len(leaked)} leaked, {len(beyond)} held beyond"
    )

"""Frames of all kinds through the filters of each classifier and preset, on a real kernel.

Every kind of frame that is known to slip through classifiers, with valid and with damaged headers,
compared one by one with the reference classifier. u32 and bpf run in the running kernel, flower,
which it may lack, in UML; `test_plan` and `test_classifiers` send fewer frames through the others.
"""

from __future__ import annotations

import pytest

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.flows import Judgement, judge_frames
from remusnet.policy.policy import Policy
from remusnet.policy.presets import PRESETS
from tests.kernel.lab.bed import Bed
from tests.kernel.lab.sorting import sort_by
from tests.lib.classifiers import CLASSIFIERS
from tests.lib.common_frames import common_frames
from tests.lib.framegen import COMBINATIONS, generate
from tests.lib.long import count

# Three quarters of either are enough for each combination of `generate` whole, and damaged.
COUNT = count(sample=20_000, long=100_000)
EXACT = {"bpf"}


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    samples = (
        *generate(COUNT - COUNT // 4, 9, shortest=14),
        *common_frames(COUNT // 4, 9, shortest=14),
    )
    return [sample.frame for sample in samples]


@pytest.fixture(scope="module")
def judgements(frames: list[bytes]) -> dict[str, Judgement]:
    """What the reference classifier says of them, for all presets in one go."""
    many = Frames.of(frames)
    policies = list(PRESETS.values())
    judged = judge_frames(policies, many, columns(many))
    return {policy.name: each for policy, each in zip(policies, judged, strict=True)}


def test_there_are_enough_frames_for_each_combination_whole_and_damaged() -> None:
    assert 2 * len(COMBINATIONS) <= COUNT - COUNT // 4


@pytest.mark.parametrize("policy", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize(
    "classifier",
    [
        pytest.param("u32", marks=pytest.mark.netns(timeout=300)),
        pytest.param("bpf", marks=pytest.mark.netns(timeout=300)),
        pytest.param("flower", marks=pytest.mark.uml(timeout=600)),
    ],
)
def test_no_frame_leaks_and_what_is_held_beyond_the_policy_is_named(
    bed: Bed,
    classifier: str,
    policy: Policy,
    frames: list[bytes],
    judgements: dict[str, Judgement],
) -> None:
    classification = CLASSIFIERS[classifier].compile(policy)
    judgement = judgements[policy.name]
    found = sort_by(bed, classification, frames)

    leaked = [index for index in found.passed if judgement.hold[index]]
    more = [index for index in found.held if not judgement.hold[index]]
    print(
        f"{classifier}, {policy.name}: {len(frames)} frames, {len(found.held)} held, "
        f"{len(found.passed)} passed, {len(found.lost)} too short for the kernel, "
        f"{len(leaked)} leaked, {len(more)} held beyond the policy"
    )
    assert [frames[index].hex() for index in leaked] == []
    kinds_of = CLASSIFIERS[classifier].kinds_of
    assert [frames[x].hex() for x in more if not kinds_of(classification, frames[x])] == []
    if classification.exact:
        assert more == []
    assert classification.exact or classifier not in EXACT

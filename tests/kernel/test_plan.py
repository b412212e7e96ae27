"""The shell plan of each preset on real kernels: which of 20,000 frames it holds.

A kernel without sch_plug gets a pfifo in the plug's place.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter

import pytest

from remusnet.classify.filters import Beyond
from remusnet.classify.reference import classify
from remusnet.plan.plan import Plan, build_plan
from remusnet.plan.render import render
from remusnet.policy.policy import Policy
from remusnet.policy.presets import PRESETS, TCP_ONLY
from remusnet.policy.verdict import Verdict
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.namespace import Namespace
from tests.kernel.lab.sorting import sort_frames
from tests.lib.beyond import kinds_of
from tests.lib.common_frames import common_frames
from tests.lib.framegen import generate
from tests.lib.u32_machine import Machine

IFB = "ifb-1.0"
# What the kernel gives out as it goes: numbers of devices, actions and qdiscs, an IFB's address.
_SERIAL = re.compile(r"^\d+:|( index | link/ether |qdisc (?:plug|pfifo) )\S+", re.MULTILINE)

every_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)


@every_preset
@pytest.mark.usefixtures("kernel")
def test_a_plan_leaks_nothing_and_holds_beyond_the_policy_only_what_it_names(
    bed: Bed, preset: Policy
) -> None:
    """The kernel does with each frame what `tests.lib.u32_machine` says that it does."""
    plan = _plan(preset)
    _run(bed.dom0, plan, "sh")
    samples = [*generate(15_000, 7, shortest=14), *common_frames(5_000, 7, shortest=14)]
    frames = [sample.frame for sample in samples]
    held, passed, lost = sort_frames(bed, frames, ifb=IFB)

    leaked = [i for i in passed if classify(preset, frames[i]).verdict is Verdict.HOLD]
    beyond = [i for i in held if classify(preset, frames[i]).verdict is Verdict.BYPASS]
    reasons = {i: kinds_of(plan.classification, frames[i]) for i in beyond}
    kinds = Counter(kind for found in reasons.values() for kind in found)
    print(
        f"{preset.name}: {len(frames)} frames sent, {len(lost)} too short for the kernel, ", end=""
    )
    print(
        f"{len(held)} held, {len(passed)} passed, {len(leaked)} leaked, {len(beyond)} held beyond"
    )
    print("".join(f"  {kinds[kind]:6} {kind}\n" for kind in Beyond if kinds[kind]))
    assert [frames[i].hex() for i in leaked] == []
    assert [frames[i].hex() for i, found in reasons.items() if not found] == []

    machine = Machine(plan.classification.filters)
    predicted = frozenset(i for i, frame in enumerate(frames) if machine.verdict(frame) == "hold")
    assert held == predicted


# Starting programs is slow in a UML kernel, and what is new there is the plug alone.
@pytest.mark.parametrize(
    "preset",
    [
        *(pytest.param(each, marks=pytest.mark.netns, id=each.name) for each in PRESETS.values()),
        pytest.param(TCP_ONLY, marks=pytest.mark.uml, id="tcp-only-with-plug"),
    ],
)
def test_the_batch_form_makes_the_same_state_and_undo_leaves_no_trace(
    bed: Bed, preset: Policy
) -> None:
    plan = _plan(preset)
    before = _state(bed.dom0)
    states = []
    for form in ("sh", "batch"):
        _run(bed.dom0, plan, form)
        states.append(_state(bed.dom0))
        _run(bed.dom0, plan, form, undo=True)
        assert _state(bed.dom0) == before
    assert states[0] == states[1]
    assert states[0] != before


def _plan(policy: Policy) -> Plan:
    return build_plan([VIF], policy, rate=10**9, interval_ns=200_000_000)


def _run(dom0: Namespace, plan: Plan, form: str, *, undo: bool = False) -> None:
    script = render(plan, form, undo=undo)
    if not _has_plug(dom0):
        script = without_plug(script)
    dom0.run("sh", "-s", input_text=script)


def _has_plug(dom0: Namespace) -> bool:
    """Whether this kernel has sch_plug, tried on the loopback device of the namespace."""
    argv = ["tc", "-n", dom0.name, "qdisc"]
    added = subprocess.run(
        [*argv, "add", "dev", "lo", "root", "plug", "limit", "1"], capture_output=True, check=False
    )
    if added.returncode == 0:
        subprocess.run([*argv, "delete", "dev", "lo", "root"], check=True)
    return added.returncode == 0


def without_plug(script: str) -> str:
    """``script`` with a pfifo in the plug's place, which holds nothing back."""
    lines = script.splitlines(keepends=True)
    return "".join(
        re.sub(r"\broot plug limit \d+", "root pfifo limit 10000", line)
        for line in lines
        if "release_indefinite" not in line
    )


def _state(dom0: Namespace) -> str:
    """All links, qdiscs and filters as ip and tc show them, without running numbers."""
    shown = [
        dom0.ip("link show"),
        dom0.ip("-details link show type ifb"),
        dom0.tc("qdisc show"),
        dom0.tc(f"filter show dev {VIF} ingress"),
    ]
    return _SERIAL.sub(r"\1", "".join(shown))

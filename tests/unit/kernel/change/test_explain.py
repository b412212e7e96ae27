"""What the kernel refuses: one line that says what to do, with the exit code for it."""

from __future__ import annotations

import errno

import pytest

from remusnet.classify.bpf.assembler import BpfMatch
from remusnet.classify.filters import Filter, FilterMatch
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.classify.u32.conditions import EVERY_FRAME
from remusnet.errors import (
    Conflict,
    InvalidInput,
    KernelRefused,
    MissingDependency,
    NotPermitted,
    RemusnetError,
)
from remusnet.kernel.change.explain import explain
from remusnet.kernel.wire.netlink import Answer
from remusnet.plan.operations import AddFilter, AddIngress, AddPlug, CreateBuffer
from remusnet.plan.rows import Operation
from remusnet.policy.verdict import Verdict


def hold(match: FilterMatch) -> AddFilter:
    return AddFilter("vif1.0", "ifb-1.0", Filter(10, 3, match, Verdict.HOLD, "hold all"))


@pytest.mark.parametrize(
    ("operation", "number", "text", "kind", "words"),
    [
        (
            AddPlug("ifb-1.0", 1),
            errno.ENOENT,
            "Specified qdisc kind is unknown",
            MissingDependency,
            'no sch_plug (CONFIG_NET_SCH_PLUG); try "modprobe sch_plug"',
        ),
        (CreateBuffer("ifb-1.0"), errno.EOPNOTSUPP, "", MissingDependency, "no ifb (CONFIG_IFB)"),
        (AddIngress("vif1.0"), errno.ENOENT, "", MissingDependency, "no sch_ingress"),
        (hold(EVERY_FRAME), errno.ENOENT, "", MissingDependency, "no cls_u32"),
        (hold(FlowerMatch()), errno.ENOENT, "", MissingDependency, "no cls_flower"),
        (hold(BpfMatch(())), errno.ENOENT, "", MissingDependency, "no cls_bpf"),
        (
            hold(EVERY_FRAME),
            errno.ENOENT,
            "Failed to load TC action module",
            MissingDependency,
            "no act_mirred",
        ),
        (AddIngress("vif1.0"), errno.EPERM, "", NotPermitted, "run it as root"),
        (AddIngress("vif1.0"), errno.ENODEV, "", InvalidInput, "the device is gone"),
        (AddIngress("vif1.0"), errno.EEXIST, "Exclusivity flag on", Conflict, "somebody else"),
        (
            hold(EVERY_FRAME),
            errno.ENOMEM,
            "no room",
            KernelRefused,
            "filter (pref 10, hold all) on vif1.0: Cannot allocate memory [ENOMEM] (no room)",
        ),
    ],
)
def test_each_errno_becomes_what_the_user_has_to_do(
    operation: Operation, number: int, text: str, kind: type[RemusnetError], words: str
) -> None:
    error = explain(operation, Answer(number, text))
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)

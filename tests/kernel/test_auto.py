"""``remusnet apply --classifier auto`` on a kernel that has all classifiers."""

from __future__ import annotations

import json
import sys

import pytest

from tests.kernel.lab.bed import VIF, Bed


@pytest.mark.uml
@pytest.mark.parametrize(
    ("policy", "expected"), [("tcp-only", "bpf"), ("real-time", "bpf"), ("hold-all", "u32")]
)
def test_auto_takes_the_cheapest_exact_classifier(bed: Bed, policy: str, expected: str) -> None:
    """u32 is exact for hold-all alone; an exact one makes the policy the whole truth."""
    remusnet = (sys.executable, "-m", "remusnet")
    options = ("--policy", policy, "--classifier", "auto", "--json", "--memory", "20MB")
    bed.dom0.run(*remusnet, "apply", VIF, *options)
    shown = json.loads(bed.dom0.run(*remusnet, "status", "--json"))
    assert [each["receipt"]["classifier"] for each in shown["protections"]] == [expected]
    bed.dom0.run(*remusnet, "remove", VIF)

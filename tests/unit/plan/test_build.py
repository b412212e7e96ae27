from __future__ import annotations

from ipaddress import ip_network

import pytest

from remusnet.errors import InvalidInput, MissingDependency
from remusnet.plan.plan import CLASSIFIERS, NEEDS, choose_classifier
from remusnet.policy.policy import Match, Policy, Rule
from remusnet.policy.presets import HOLD_ALL, PRESETS, REAL_TIME, STOCK_REMUS, TCP_ONLY
from remusnet.policy.verdict import Verdict

ALL = ("bpf", "flower", "u32")
# More than tc can install as BPF, not more than u32 can number.
NETWORKS = tuple(ip_network(f"10.{n >> 8}.{n & 255}.0/25") for n in range(1000))
LONG = Policy("long", (Rule("far", Verdict.BYPASS, Match(source=NETWORKS)),), Verdict.HOLD)


@pytest.mark.parametrize(
    ("policy", "available", "name"),
    [
        (TCP_ONLY, ALL, "bpf"),
        (REAL_TIME, ALL, "bpf"),
        (HOLD_ALL, ALL, "u32"),
        (STOCK_REMUS, ALL, "u32"),
        (TCP_ONLY, ("u32",), "u32"),
        (TCP_ONLY, ("u32", "flower"), "u32"),
        (TCP_ONLY, ("bpf",), "bpf"),
        (HOLD_ALL, ("bpf", "flower"), "bpf"),
        (LONG, ALL, "u32"),
        (TCP_ONLY, ("u32", "matchall", "basic"), "u32"),
    ],
)
def test_the_cheapest_exact_one_is_chosen_else_the_first_that_is_sound(
    policy: Policy, available: tuple[str, ...], name: str
) -> None:
    assert choose_classifier(policy, available) == name


@pytest.mark.parametrize("available", [(), ("flower",), ("matchall",)])
def test_a_kernel_without_classifiers_is_told_what_to_load(available: tuple[str, ...]) -> None:
    with pytest.raises(MissingDependency, match="cls_u32 or cls_bpf"):
        choose_classifier(TCP_ONLY, available)


def test_a_policy_that_none_can_take_is_refused_with_each_reason() -> None:
    with pytest.raises(InvalidInput, match="policy long needs .* BPF instructions"):
        choose_classifier(LONG, ("bpf",))


def test_every_back_end_says_what_it_needs() -> None:
    assert list(NEEDS) == list(CLASSIFIERS)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("policy", PRESETS.values(), ids=PRESETS)
def test_every_back_end_takes_every_preset(policy: Policy, name: str) -> None:
    found = CLASSIFIERS[name](policy)
    assert (found.classifier, found.policy) == (name, policy)

"""Receipts: what is written is what is read, and what is damaged is nobody's word."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from remusnet.errors import InvalidInput
from remusnet.kernel.state.receipt import Phase, Receipt, Receipts, receipts_of
from remusnet.plan.plan import CLASSIFIERS, build_plan
from remusnet.policy import PRESETS
from remusnet.policy.policy import Policy
from remusnet.policy.toml import to_toml
from tests.lib.policies import policies


def receipt(policy: str = "tcp-only", classifier: str = "u32") -> Receipt:
    plan = build_plan(
        ["vif1.0", "vif1.0-emu"],
        PRESETS[policy],
        classifier=classifier,
        buffer="ifb-1",
        rate=10**9,
        interval_ns=200_000_000,
    )
    (found,) = receipts_of(plan, rate=10**9, interval_ns=200_000_000, shared={"vif1.0-emu": True})
    return found


@pytest.fixture
def store(tmp_path: Path) -> Receipts:
    return Receipts(tmp_path / "run")


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("policy", PRESETS)
def test_what_is_written_is_read_back_with_the_same_plan(
    store: Receipts, policy: str, classifier: str
) -> None:
    written = receipt(policy, classifier)
    store.write([written], Phase.APPLYING)
    found, damaged = store.read()
    assert (found, damaged) == ({"ifb-1": replace(written, phase=Phase.APPLYING)}, ())
    plan = found["ifb-1"].plan()
    assert plan.classification == CLASSIFIERS[classifier](PRESETS[policy])
    assert (plan.limit, plan.vifs) == (50_000_000, ("vif1.0", "vif1.0-emu"))
    assert found["ifb-1"].shared == ("vif1.0-emu",)


@given(policy=policies())
def test_a_policy_of_the_users_own_is_kept_whole(policy: Policy) -> None:
    """By its text: what was applied stays known when the file is changed or gone."""
    kept = replace(receipt(), policy=to_toml(policy), policy_name=policy.name, classifier="bpf")
    with contextlib.suppress(InvalidInput):  # what no classifier can do is never applied
        assert kept.plan().classification.policy == policy


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": 99}, "another version"),
        ({"vifs": ["../../etc/passwd"]}, "invalid device name"),
        ({"buffer": "ifb-2"}, "not of the buffer device"),
        ({"policy": "name = 1"}, "receipt"),
        ({"classifier": "magic"}, "magic"),
        ({"phase": "maybe"}, "maybe"),
        ({"limit": None, "more": 1}, "more"),
    ],
)
def test_a_damaged_receipt_is_named_and_ignored(
    store: Receipts, change: dict[str, object], why: str
) -> None:
    store.write([receipt()], Phase.APPLIED)
    path = store.folder / "ifb-1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    found, (damaged,) = store.read()
    assert found == {}
    assert "ifb-1.json" in damaged
    assert why in damaged


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff", "null", '{"format": 1}'])
def test_any_other_content_is_damage_too(store: Receipts, content: str) -> None:
    store.write([receipt()], Phase.APPLIED)
    (store.folder / "ifb-1.json").write_text(content, encoding="latin-1")
    found, damaged = store.read()
    assert (found, len(damaged)) == ({}, 1)
    assert "\n" not in damaged[0]


def test_a_write_that_was_cut_short_leaves_the_old_receipt(store: Receipts) -> None:
    store.write([receipt()], Phase.APPLIED)
    (store.folder / "ifb-1.new").write_text("{")
    assert store.read() == ({"ifb-1": receipt()}, ())
    store.delete(["ifb-1"])
    assert list(store.folder.iterdir()) == []


def test_a_folder_that_is_not_there_has_no_receipts_and_stays_away(store: Receipts) -> None:
    assert store.read() == ({}, ())
    assert not store.folder.exists()


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="file"):
        Receipts(tmp_path / "file").write([receipt()], Phase.APPLIED)


def test_a_name_that_is_no_device_never_becomes_a_path(store: Receipts) -> None:
    with pytest.raises(InvalidInput, match="invalid device name"):
        store.delete(["../other"])

"""Receipts: what is written is what is read, and what is damaged is nobody's word."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from remusnet.errors import InvalidInput
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.state.receipt import Phase, Receipt, Receipts, _known, receipts_of
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


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    names: list[str] = []
    read = OwnFolder.read

    def reading(folder: OwnFolder, name: str, largest: int) -> bytes:
        names.append(name)
        return read(folder, name, largest)

    monkeypatch.setattr(OwnFolder, "read", reading)
    return names


def test_of_many_receipts_only_those_that_have_changed_are_read_again(
    store: Receipts, opened: list[str]
) -> None:
    written = [replace(receipt(), buffer=f"ifb-{number}") for number in range(20)]
    store.write(written, Phase.APPLIED)
    time.sleep(0.06)  # what was written just now may change once more within the kernel's tick
    store.read()
    opened.clear()
    Receipts(store.folder).read()
    assert opened == []
    store.write([replace(written[7], limit=1_000_000)], Phase.APPLIED)
    found, _ = store.read()
    assert opened == ["ifb-7.json"]
    assert found["ifb-7"].limit == 1_000_000
    store.delete(["ifb-3"])
    assert "ifb-3" not in store.read()[0]


def test_a_receipt_that_was_known_is_not_believed_once_others_may_write_it(
    store: Receipts,
) -> None:
    store.write([receipt()], Phase.APPLIED)
    time.sleep(0.06)
    store.read()
    path = store.folder / "ifb-1.json"
    path.chmod(0o666)
    found, damaged = store.read()
    assert found == {}
    assert "others may write it" in damaged[0]


def test_a_known_receipt_under_another_name_is_damage(store: Receipts) -> None:
    store.write([receipt()], Phase.APPLIED)
    time.sleep(0.06)
    store.read()
    os.rename(store.folder / "ifb-1.json", store.folder / "ifb-2.json")
    found, damaged = store.read()
    assert found == {}
    assert "not of the buffer device that it is named after" in damaged[0]
    time.sleep(0.06)
    assert store.read() == (found, damaged)


def test_whoever_changes_a_receipt_again_and_again_is_read_each_time(store: Receipts) -> None:
    """Within one tick of the kernel's clock a file's times stay as they are."""
    for limit in range(1_000_000, 1_000_100):
        store.write([replace(receipt(), limit=limit)], Phase.APPLIED)
        assert store.read()[0]["ifb-1"].limit == limit


def test_what_is_kept_of_receipts_does_not_grow_with_their_changes(store: Receipts) -> None:
    for limit in range(1_000_000, 1_000_004):
        store.write([replace(receipt(), limit=limit)], Phase.APPLIED)
        time.sleep(0.06)
        store.read()
    assert [each.limit for each in _known[store.folder].values()] == [1_000_003]

"""What a person and a script read of applies, states and differences."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from remusnet.plan.plan import build_plan
from remusnet.policy import PRESETS
from remusnet.report import kernel
from remusnet.results.protection import (
    Applied,
    Difference,
    Fate,
    Protected,
    ReceiptTerms,
    Removed,
    Status,
    Verified,
)

TERMS = ReceiptTerms("tcp-only", "u32", 50_000_000, 10**9, 200_000_000, "applied", "0.1.0", True)
THERE = Protected("ifb-1.0", ("vif1.0",), TERMS)
STATUS = Status(THERE, 12, None, 48_000, 32, 1, 2, True, 0, "unknown", "", ("a warning",))


def test_a_status_says_what_is_known_and_whose_word_it_is() -> None:
    assert kernel.status_text([STATUS]).splitlines() == [
        "vif1.0 (buffer device ifb-1.0)",
        "  owner      remusnet 0.1.0",
        "  policy     tcp-only, classifier u32",
        "  limit      50.0 MB (1gbit, 200ms; unverified: the kernel can not be asked)",
        "  held       12 packets",
        "  bypassed   not known: the kernel does not count it here",
        "  backlog    48 kB in 32 packets",
        "  decoupled  held frames are copied",
        "  dropped    1 by a full plug, 2 by a device down or gone",
        "  warning    a warning",
    ]
    (document,) = json.loads(kernel.status_json([STATUS]))["protections"]
    assert (document["held_packets"], document["bypassed_packets"]) == (12, None)
    assert document["receipt"]["limit"] == 50_000_000
    assert (document["decouple"], document["uncopied_packets"]) == (True, 0)


@pytest.mark.parametrize(
    ("decouple", "uncopied", "line"),
    [
        (True, 1, "held frames are copied (1 packet could not be)"),
        (False, 0, "no: held frames are not copied"),
    ],
)
def test_a_status_says_whether_held_frames_are_copied(
    decouple: bool, uncopied: int, line: str
) -> None:
    found = replace(STATUS, decouple=decouple, uncopied=uncopied)
    assert f"  decoupled  {line}\n" in kernel.status_text([found])
    (document,) = json.loads(kernel.status_json([found]))["protections"]
    assert (document["decouple"], document["uncopied_packets"]) == (decouple, uncopied)


def test_a_limit_that_was_given_is_not_said_to_come_from_a_rate() -> None:
    given = replace(THERE, terms=replace(TERMS, limit=20_000_000))
    text = kernel.status_text([replace(STATUS, protected=given)])
    assert "  limit      20.0 MB (as asked for; unverified: the kernel can not be asked)\n" in text
    assert "1gbit" not in text


def test_nothing_protected_is_said() -> None:
    assert kernel.status_text([]) == "nothing is protected\n"
    assert kernel.verified_text([]) == "nothing is protected\n"
    assert json.loads(kernel.verified_json([])) == {"agree": True, "protections": []}


def test_a_difference_shows_both_sides() -> None:
    found = [Verified(THERE, (Difference("ifb-1.0", "state", "up", "down"),)), Verified(THERE, ())]
    assert kernel.verified_text(found).splitlines() == [
        "vif1.0 (buffer device ifb-1.0): differs",
        "  ifb-1.0: state",
        "    desired  up",
        "    current  down",
        "vif1.0 (buffer device ifb-1.0): as applied",
    ]
    document = json.loads(kernel.verified_json(found))
    assert document["agree"] is False
    assert [each["agrees"] for each in document["protections"]] == [False, True]


def test_an_apply_says_what_it_did_or_that_there_was_nothing_to_do() -> None:
    plan = build_plan(["vif1.0"], PRESETS["hold-all"], rate=10**9, interval_ns=200_000_000)
    terms = "(policy hold-all, classifier u32, buffer device ifb-1.0, limit 50.0 MB)"
    done, again = Applied(plan, plan.operations), Applied(plan, ())
    assert kernel.applied_text(done) == f"vif1.0: protected {terms}\n"
    assert kernel.applied_text(again) == f"vif1.0: nothing to change: protected {terms}\n"
    document = json.loads(kernel.applied_json(done))
    assert (document["changed"], document["operations"]) == (True, 13)


def test_a_removal_says_what_became_of_what_was_held() -> None:
    removed = Removed(("vif1.0",), ("vif2.0",), (), dropped=False)
    assert kernel.removed_text(removed).splitlines() == [
        "vif1.0: not protected any more; what was held has left",
        "vif2.0: was not protected",
    ]
    fates = dict(zip("abcd", (Fate.LEFT, Fate.WAITS, Fate.LOST, Fate.NOTHING), strict=True))
    several = Removed(tuple("abcd"), (), (), False, fates, ("a: its ingress qdisc stays",))
    assert kernel.removed_text(several).splitlines() == [
        "a: not protected any more; what was held has left",
        (
            "b: not protected any more; what was held waits in the buffer device, "
            "which others go on to use"
        ),
        (
            "c: not protected any more; it is gone (deleted, or moved elsewhere), "
            "so what was held of it was dropped"
        ),
        (
            "d: not protected any more; it is gone (deleted, or moved elsewhere), "
            "and nothing was held of it"
        ),
        "a: its ingress qdisc stays",
    ]
    document = json.loads(kernel.removed_json(several))
    assert document["held"] == {"a": "left", "b": "waits", "c": "lost", "d": "nothing"}
    assert document["left"] == ["a: its ingress qdisc stays"]
    dropped = Removed(("vif1.0",), (), (), dropped=True)
    assert "what was held was dropped" in kernel.removed_text(dropped)
    assert json.loads(kernel.removed_json(dropped))["dropped"] is True

"""What a kernel did beside what the emulator says: when they agree, and what is said where not."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from remusnet.report.agreement import print_agreement
from remusnet.results.agreement import NO_EPOCH, Agreement, Passing
from remusnet.results.stream import NEVER

MS = 1_000_000


def passing(*frames: tuple[str, int, float]) -> Passing:
    """(verdict, epoch, left at ms) of each frame."""
    words = [word for word, _, _ in frames]
    return Passing(
        np.array([word in ("held", "dropped", "kept") for word in words]),
        np.array([word == "dropped" for word in words]),
        np.array([epoch if word == "held" else NO_EPOCH for word, epoch, _ in frames]),
        np.array(
            [round(at * MS) if word in ("held", "passed") else NEVER for word, _, at in frames]
        ),
    )


EMULATED = passing(("passed", 0, 1), ("held", 2, 50), ("dropped", 0, 0), ("kept", 0, 0))


def agreement(seen: Passing, *, virtual: bool = False, late_ms: float = 0) -> Agreement:
    count = len(EMULATED.held)
    return Agreement(
        scenario="made up",
        policy="tcp-only",
        kernel="6.1",
        virtual=virtual,
        limit=1000,
        checkpoints=3,
        sent_ns=np.arange(count) * MS,
        length=np.full(count, 100),
        emulated=EMULATED,
        seen=seen,
        replay_late_ns=np.full(count, round(late_ms * MS)),
        changed=np.zeros(count, np.bool_),
    )


def test_the_same_agrees_and_has_no_difference() -> None:
    found = agreement(EMULATED)
    assert found.agrees
    assert list(found.differences()) == []


@pytest.mark.parametrize(
    ("frame", "seen", "what", "why"),
    [
        (0, ("held", 2, 50), "verdict", "classifier"),
        (0, ("dropped", 0, 0), "verdict", "bug"),
        (1, ("passed", 0, 50), "verdict", "classifier"),
        (1, ("dropped", 0, 0), "verdict", "the plug was full in one"),
        (1, ("held", 1, 50), "epoch", "output-commit rule is broken"),
        (1, ("held", 3, 50), "epoch", "too few"),
        (1, ("held", 2, 53), "time", "unexplained"),
        (2, ("held", 2, 50), "verdict", "the plug was full in one"),
        (3, ("held", 2, 50), "verdict", "bug"),
    ],
)
@pytest.mark.parametrize("virtual", [False, True])
def test_any_other_fate_of_one_frame_is_a_difference(
    frame: int, seen: tuple[str, int, float], what: str, why: str, virtual: bool
) -> None:
    fates = [("passed", 0, 1.0), ("held", 2, 50.0), ("dropped", 0, 0.0), ("kept", 0, 0.0)]
    fates[frame] = seen
    found = agreement(passing(*fates), virtual=virtual)
    assert not found.agrees
    (difference,) = found.differences()
    assert (difference.frame, difference.what, difference.busy) == (frame, what, False)
    assert why in difference.why


def test_what_the_replay_was_late_itself_is_no_disagreement_in_real_time() -> None:
    late = passing(("passed", 0, 11), ("held", 2, 60), ("dropped", 0, 0), ("kept", 0, 0))
    found = agreement(late, late_ms=10)
    assert found.agrees
    assert [each.busy for each in found.differences()] == [True, True]
    assert not agreement(late, late_ms=0).agrees
    assert not agreement(late, late_ms=10, virtual=True).agrees


def test_other_bytes_are_a_difference() -> None:
    changed = np.array([True, False, False, False])
    found = replace(agreement(EMULATED), changed=changed)
    assert not found.agrees
    assert [each.what for each in found.differences()] == ["bytes"]


@pytest.mark.parametrize("width", [60, 200])
def test_it_prints_counts_times_and_differences(width: int) -> None:
    seen = passing(("held", 2, 50), ("held", 2, 50.25), ("dropped", 0, 0), ("kept", 0, 0))
    file = io.StringIO()
    print_agreement(Console(file=file, width=width), agreement(seen))
    printed = " ".join(file.getvalue().split())
    for words in (
        "made up under tcp-only: 4 frames of the guest, 3 checkpoints; Linux 6.1 in real time",
        "passed 1 0 held 1 2 dropped 1 1 kept 1 1",
        "held 0.250 0.250 0.250 0.250",
        "same verdict, epoch and bytes: 3 of 4",
        "frame 0 at 0.000000 s: verdict: emulator passed, kernel held",
        "the kernel does not agree",
    ):
        assert words in printed

"""A kernel's connections beside the emulator's: what agrees, and what is printed of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from remusnet.report.likeness import print_likeness
from remusnet.results.likeness import Likeness, Pair, Side

KERNEL = Side(10, tuple(100.0 + each for each in range(100)), (900.0,) * 10, 40)


def pair(emulator: Side, *, virtual: bool = True, kernel: Side = KERNEL) -> Pair:
    return Pair(1, "request-response", virtual, emulator, kernel)


def slower(by: float) -> Side:
    return replace(KERNEL, answers_ms=tuple(each * by for each in KERNEL.answers_ms))


@pytest.mark.parametrize(("by", "agrees"), [(1, True), (1.14, True), (1.16, False), (0.84, False)])
def test_times_agree_within_fifteen_percent(by: float, agrees: bool) -> None:
    assert pair(slower(by)).agrees is agrees


def test_a_millisecond_is_no_disagreement_in_virtual_time_and_fifty_are_none_in_real_time() -> None:
    quick = Side(1, (2.0,), (3.0,), 0)
    for virtual, by in ((True, 0.9), (False, 49.0)):
        near = replace(quick, answers_ms=(2.0 + by,))
        far = replace(quick, answers_ms=(2.0 + by + 0.2 + (0 if virtual else 1),))
        assert pair(near, virtual=virtual, kernel=quick).agrees
        assert not pair(far, virtual=virtual, kernel=quick).agrees


@pytest.mark.parametrize(("copies", "agrees"), [(40, True), (48, True), (49, False), (31, False)])
def test_what_is_sent_again_agrees_within_twenty_percent(copies: int, agrees: bool) -> None:
    other = replace(KERNEL, copies=copies)
    assert pair(other).agrees is agrees
    assert pair(other, virtual=False).agrees


def test_a_few_copies_in_many_connections_are_no_disagreement() -> None:
    none = replace(KERNEL, copies=0)
    assert pair(replace(KERNEL, copies=2), kernel=none).agrees
    assert not pair(replace(KERNEL, copies=3), kernel=none).agrees


def test_connections_that_do_not_finish_on_one_side_only_are_a_disagreement() -> None:
    assert not pair(replace(KERNEL, completions_ms=(900.0,) * 8)).agrees
    nobody = replace(KERNEL, completions_ms=())
    assert not pair(nobody).agrees
    assert pair(nobody, kernel=nobody).agrees


def likeness(emulator: Side, *, virtual: bool = True) -> Likeness:
    return Likeness(
        "made up", "tcp-only", "6.1", virtual, 3, (0.1, 4.0), ("sip",), (pair(emulator),)
    )


@pytest.mark.parametrize("width", [60, 200])
def test_it_prints_both_sides_their_ratio_and_what_is_not_within(width: int) -> None:
    file = io.StringIO()
    print_likeness(Console(file=file, width=width), likeness(slower(1.5), virtual=False))
    printed = " ".join(file.getvalue().split())
    for words in (
        "TCP of made up under tcp-only: 10 connections, 3 checkpoints; Linux 6.1 in real time",
        "answer, median (ms) 224.2 149.5 1.50 NO",
        "connection, p95 (ms) 900.0 900.0 1.00 yes",
        "left out on both sides: sip",
        "late by 2.0 ms (median), 3.8 ms (p95)",
        "the kernel's TCP does not agree",
    ):
        assert words in printed
    assert max(len(line) for line in file.getvalue().splitlines()) <= width


def test_its_json_has_all_of_both_sides() -> None:
    found = json.loads(json.dumps(likeness(KERNEL).to_json(), allow_nan=False))
    (group,) = found["groups"]
    assert (found["agrees"], group["kind"], group["kernel"]["copies"]) == (
        True,
        "request-response",
        40,
    )
    assert group["measures"][0] == {
        "name": "answer, median (ms)",
        "emulator": 149.5,
        "kernel": 149.5,
        "ratio": 1.0,
        "within": True,
    }

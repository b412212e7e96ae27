"""docs/reference/sip-conformance.md: each rule that it lists has a test of that name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
TABLE = TESTS.parent / "docs" / "reference" / "sip-conformance.md"
FOLDERS = ("unit/sip", "sip", "unit/actors")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in TABLE.read_text(encoding="utf-8").partition("## Beside")[0].splitlines()
    if line.startswith("| ") and not re.match(r"\| (rule|mistake) ", line)
]
# What issue and RFCs ask for: a row each, at least.
SECTIONS = ["8.2.1", "8.2.2.1", "8.2.2.2", "8.2.2.3", "8.2.6.1", "8.2.6.2", "8.2.7", "9.1", "9.2"]
SECTIONS += [f"10.3, {step}" for step in range(1, 9)]
SECTIONS += [f"16.3, {step}" for step in range(1, 7)] + ["16.4", "16.5"]
SECTIONS += [f"16.6, {step}" for step in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11)]
SECTIONS += [f"16.7, {step}" for step in (1, 2, 3, 4, 5, 6, 7, 10)] + ["16.8", "16.9", "16.10"]
SECTIONS += ["17.1.1.2", "17.1.1.3", "17.1.2.2", "17.1.3", "17.1.4", "17.2.1", "17.2.2", "17.2.3"]
SECTIONS += ["18.1.1", "18.1.2", "18.2.1", "18.2.2", "18.3", "18.4", "22.3", "22.4", "26.3.2"]
SECTIONS += [f"RFC 3263, {section}" for section in ("4.1", "4.2", "4.3")]
SECTIONS += [f"RFC {number}" for number in (3263, 3327, 3581, 4320, 5393, 6026, 8760)]


def names() -> set[str]:
    """All tests there are, as the table writes them."""
    found = set()
    for folder in FOLDERS:
        for file in (TESTS / folder).glob("test_*.py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(f"{file.stem}::{node.name}")
    return {name for name in found if "::test_" in name}


def test_each_rule_has_a_test_or_a_reason_why_it_is_not_followed() -> None:
    known = names()
    assert len(ROWS) > 100
    for row in ROWS:
        assert len(row) == 3, row
        rule, _section, test = row
        tests = re.findall(r"`(\w+::\w+)`", test)
        assert tests or re.match(r"\*\*no:\*\* \w.{10,}", test), rule
        assert [each for each in tests if each not in known] == [], rule


@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_has_a_row(section: str) -> None:
    assert any(re.search(rf"(^|[ ;])({re.escape(section)})(?!\d)", row[1]) for row in ROWS)


def test_each_test_of_rules_and_transactions_is_in_the_table() -> None:
    """Who adds one, adds its rule."""
    listed = set(re.findall(r"`(\w+::\w+)`", TABLE.read_text(encoding="utf-8")))
    files = ("test_rules", "test_responses", "test_transactions", "test_registrar", "test_resolver")
    of_rules = {name for name in names() if name.split("::")[0] in files}
    inner = {"test_transactions::test_an_invite_whose_user_is_lost_is_answered_some_time"}
    inner.add("test_registrar::test_a_store_that_is_away_is_503_and_nothing_confirmed_is_lost")
    inner.add("test_registrar::test_what_no_store_can_take_is_refused")
    assert of_rules - listed - inner == set()

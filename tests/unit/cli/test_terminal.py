"""What a person sees in a terminal of 80, 60 and 40 columns, and what a pipe gets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lib.terminal import seen

DATA = Path(__file__).parents[2] / "data"
CALL = "call.pcap"
FLOWS = ["udp 192.0.2.10:20000 > 192.0.2.20:30000", "tcp 192.0.2.10:5060 > 192.0.2.20:5060"]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the capture's name is as short as a user's."""
    monkeypatch.chdir(DATA)


def piped(*args: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "remusnet", *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def words(text: str) -> list[str]:
    """Numbers and addresses, each as often as it is there."""
    return sorted(re.findall(r"[0-9][0-9.:]*", text))


@pytest.mark.parametrize("columns", [80, 60, 40])
def test_classify_fits_and_breaks_no_number(columns: int) -> None:
    code, text = seen("classify", CALL, columns=columns)
    assert code == 0
    assert max(map(len, text.splitlines())) <= columns
    assert words(text) == words(piped("classify", CALL))
    for flow in FLOWS:
        assert flow in text


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 60, 40])
def test_simulate_fits_breaks_no_number_and_drops_no_policy(columns: int) -> None:
    check = ("--assert", "commit.violations == 0")
    code, text = seen("simulate", "--capture", CALL, *check, columns=columns)
    assert code == 0
    assert max(map(len, text.splitlines())) <= columns
    assert set(words(text)) == set(words(piped("simulate", "--capture", CALL, *check)))


@pytest.mark.parametrize("columns", [60, 40])
def test_policy_list_fits(columns: int) -> None:
    _, text = seen("policy", "list", columns=columns)
    assert max(map(len, text.splitlines())) <= columns
    heads = {"POLICY", "HOLDS", "BYPASSES", "holds", "bypasses"}
    whole = piped("policy", "list")
    found, expected = (sorted(set(each.split()) - heads) for each in (text, whole))
    assert found == expected


def test_a_pipe_gets_one_line_for_each_flow() -> None:
    lines = piped("classify", CALL).splitlines()
    assert len(lines) == 2 + 5
    assert all(any(line.startswith(flow) for line in lines) for flow in FLOWS)


def test_the_width_of_somebody_elses_terminal_is_not_a_pipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert len(piped("classify", CALL).splitlines()) == 2 + 5


@pytest.mark.parametrize("command", [[], ["plan"], ["xen", "recover"]])
def test_help_fits_a_narrow_terminal_but_for_its_examples(command: list[str]) -> None:
    code, text = seen(*command, "--help", columns=40)
    assert code == 0
    wide = [line for line in text.splitlines() if len(line) > 40]
    assert all(line.startswith("  remusnet ") or line.endswith(":") for line in wide)
    # No column of letters: words stand beside each other, but for a name or a help's last word.
    lines = [line for line in text.splitlines() if line]
    assert sum(len(line.split()) == 1 for line in lines) < len(lines) / 4


def test_a_dumb_terminal_is_as_wide_as_it_says() -> None:
    code, text = seen("classify", CALL, columns=60, TERM="dumb")
    assert code == 0
    assert max(map(len, text.splitlines())) <= 60

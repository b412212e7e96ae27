"""The tutorial tells the truth: its commands are run, and their output is what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.lib.program import runner

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial" / "your-call-in-ci.md").read_text()

# A command after a dollar, and the indented lines behind it.
BLOCKS = re.findall(r"^    \$ (.+)\n((?:    .*\n|\n(?=    ))*)", TUTORIAL, re.MULTILINE)
COMMANDS = [(command, shown) for command, shown in BLOCKS if command.startswith("remusnet ")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "tests" / "data" / "call.pcap", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[each[0] for each in COMMANDS])
def test_a_command_of_the_tutorial_prints_what_it_shows(
    command: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, err = runner(capsys)(*shlex.split(command)[1:])
    printed = lines(out + err)
    expected = [line.removeprefix("    ") for line in lines(shown.rstrip("\n"))]
    if expected[0] == "...":
        printed, expected = printed[len(printed) - len(expected) + 1 :], expected[1:]
    if expected[-1] == "...":
        printed, expected = printed[: len(expected) - 1], expected[:-1]
    assert printed == expected


def test_there_are_commands_to_run() -> None:
    assert len(COMMANDS) == 4


def test_the_test_of_the_tutorial_passes(folder: Path, pytester: pytest.Pytester) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)
    pytester.makepyfile(test_calls=code)
    shutil.copy(folder / "call.pcap", pytester.path)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_jobs_of_the_tutorial_do_what_it_did_by_hand(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = re.findall(r"remusnet simulate call.pcap (?:[^\n]+\n +--)+[^\n]+", TUTORIAL)
    assert len(jobs) == 2
    words = [shlex.split(job) for job in jobs]
    assert words[0] == words[1]
    arguments = words[0][1 : words[0].index("--report")]
    code, out, err = runner(capsys)(*arguments)
    assert code == 0, out + err
    assert (folder / "junit.xml").exists()

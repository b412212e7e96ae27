"""scripts/tcp-table: what it runs, what it keeps, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remusnet.lab.errors import LabUnavailable
from remusnet.scenario.scenario_file import load
from scripts.tcp import __main__ as script
from scripts.tcp.figures import Figures, Seen, misses
from scripts.tcp.rows import BASES, ROWS, SWITCHES, Row

LIKE = Figures(tuple(float(1000 + each) for each in range(20)), 0)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows that the kernel has run, in a folder of their own; the emulator says the same."""
    names: list[str] = []

    def in_kernel(row: Row, *_: object) -> Seen:
        if row.name == "upload-400":
            raise KeyboardInterrupt
        names.append(row.name)
        return Seen(row.scenario(), "6.1.0", "2026-01-02", LIKE)

    monkeypatch.setattr(script, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(script, "in_kernel", in_kernel)
    monkeypatch.setattr(script, "emulated", lambda _: LIKE)
    monkeypatch.setattr(script, "virtual_kernel", lambda: None)
    monkeypatch.setattr(script, "Uml", lambda *_: None)
    return names


def test_it_goes_on_where_it_was_stopped(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    uploads = ["--run", "--only", "upload-*"]
    assert script.main(uploads) == 130
    assert ran == ["upload-100", "upload-200"]
    assert "ended rows are kept" in capsys.readouterr().err
    assert script.main(uploads) == 130
    assert ran == ["upload-100", "upload-200"]
    assert script.main(["--only", "upload-*"]) == 1
    assert "not run (--run does): upload-400" in capsys.readouterr().err
    assert script.main(["--only", "upload-200"]) == 0


def test_a_row_whose_scenario_is_another_counts_as_missing(ran: list[str]) -> None:
    assert script.main(["--run", "--only", "download-100"]) == 0
    path = script.KEPT / "download-100.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "scenario": found["scenario"] + "#"}))
    assert script.main(["--only", "download-100"]) == 1
    assert script.main(["--run", "--only", "download-100"]) == 0
    assert ran == ["download-100", "download-100"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"scenario": 1, "figures": 2}'])
def test_a_damaged_file_is_told_in_one_line(
    ran: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script.KEPT.mkdir()
    (script.KEPT / "far-100.json").write_text(text)
    assert script.main(["--only", "far-100"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("scripts/tcp-table: ")
    assert said.count("\n") == 1
    assert "far-100.json" in said
    assert not ran


def test_without_a_kernel_in_virtual_time_it_says_so_in_one_line(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> None:
        raise LabUnavailable("no kernel with virtual time has been built here")

    monkeypatch.setattr(script, "virtual_kernel", none)
    assert script.main(["--run", "--only", "far-100"]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert not ran


@pytest.mark.parametrize("words", [["--only", "nosuch"], ["--write", "--only", "far-100"]])
def test_what_can_not_be_meant_is_refused(ran: list[str], words: list[str]) -> None:
    script.main(["--run", "--only", "far-100"])
    assert script.main(words) == 2


def test_the_tables_are_written_between_their_marks(
    ran: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "tcp.md"
    page.write_text(script.PAGE.read_text())
    rows = {"far-100": ROWS["far-100"], "reno-200": SWITCHES["reno-200"]}
    monkeypatch.setattr(script, "PAGE", page)
    monkeypatch.setattr(script, "_ALL", rows)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert script.main(["--run", "--write"]) == 0
    first = page.read_text()
    assert "Linux 6.1.0, run on 2026-01-02; the emulator of 1970-01-01:\n" in first
    assert "| 100 ms | 1,010 | 1,018 | 0 | 1,010 | 1,018 | 0 | 1.00, 1.00 |" in first
    assert script.main(["--write"]) == 0
    assert page.read_text() == first


def test_each_row_is_a_scenario_of_connections_whose_starts_divide_a_period() -> None:
    for row in [*ROWS.values(), *SWITCHES.values()]:
        (tcp,) = load(row.scenario(), row.name).tcp
        number = row.connections
        assert tcp.count == number >= 20
        period_ns = (row.interval_ms + 5) * 1_000_000
        phases = {tcp.spacing_ns * each % period_ns for each in range(number)}
        assert phases == {period_ns // number * each for each in range(number)}
    assert set(BASES) == set(SWITCHES)


def test_what_is_too_far_apart_is_named() -> None:
    slow = Figures(tuple(1.2 * each for each in LIKE.took_ms), 21)
    assert misses(LIKE, LIKE) == []
    assert misses(LIKE, slow) == [
        "median 1.20 of the kernel's",
        "p95 1.20 of the kernel's",
        "21 copies, the kernel 0",
    ]

"""`remusnet sweep` and `remusnet tune`, as typed."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from remusnet.cli.main import cli, main
from remusnet.errors import CheckFailed, InvalidInput
from remusnet.sweep import running

TEXT = """
name = "call"
duration = "3s"
[checkpoint]
pause = "10ms"
[[calls]]
count = 1
drift-ppm = 40
[[tcp]]
count = 1
exchanges = 5
think = "100ms"
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "call.toml").write_text(TEXT, encoding="utf-8")
    return "call.toml"


def typed(*words: str) -> str:
    done = CliRunner().invoke(cli, [*words, "--jobs", "1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_sweep_prints_a_row_for_each_interval(call: str) -> None:
    text = typed("sweep", call, "--interval", "40ms,200ms", "--policy", "tcp-only")
    assert [line.split()[0] for line in text.splitlines() if "ms  " in line] == ["40ms", "200ms"]
    assert "overhead (%)" in text
    # Nobody has asked for the set-up of calls, and the scenario has none.
    assert "sip.setup" not in text
    words = ["--metric", "sip.setup.median", "--interval", "40ms", "--policy", "tcp-only"]
    text = typed("sweep", call, *words)
    assert [line.split() for line in text.splitlines()] == [
        ["sip.setup.median", "(ms)"],
        ["tcp-only"],
        ["40ms", "-"],
    ]


def test_a_narrow_terminal_has_every_number_whole_and_no_line_too_long(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sweep", call, "--interval", "40ms,200ms", "--policy", "tcp-only,hold-all"]
    with monkeypatch.context() as terminal:
        terminal.setattr("remusnet.cli._terminal.width", lambda: 60)
        narrow = typed(*words)
    assert all(len(line) <= 60 for line in narrow.splitlines())
    wide = typed(*words)
    # Neither numbers nor names are cut: the same words, some of them several times.
    assert set(narrow.split()) == set(wide.split())


def test_a_sweep_writes_a_page_and_tables_and_leaves_no_journal(call: str, tmp_path: Path) -> None:
    words = ["sweep", call, "--interval", "40ms..200ms", "--points", "3", "--policy", "tcp-only"]
    text = typed(*words, "--report", "out", "--csv", "out.csv")
    assert "wrote 'out.csv'" in text
    assert "wrote 'out/index.html'" in text
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        ".remusnet-report",
        "index.html",
        "runs.csv",
        "means.csv",
        "sweep.json",
    }
    assert not list(tmp_path.glob("*.partial"))
    assert (tmp_path / "out/runs.csv").read_text() == (tmp_path / "out.csv").read_text()
    found = json.loads((tmp_path / "out/sweep.json").read_text())
    assert {each["interval_ms"] for each in found["points"]} == {40, 89.44, 200}
    page = (tmp_path / "out/index.html").read_text()
    assert {each["of"] for each in found["knees"]} == {"tcp-only"}
    assert "Best trade: " in text
    # Every curve says its unit; nothing of where it was written, and what has no curve is named.
    assert "No run had a reading of sip.setup.median." in page
    assert "Best trade: " in page
    assert "tcp.hold.p99 (ms)" in page
    assert str(tmp_path) not in page


def test_tuning_prints_the_interval_what_binds_and_what_is_as_good(
    call: str, tmp_path: Path
) -> None:
    words = ["tune", call, "--require", "tcp.hold.max < 150ms", "--interval", "20ms..400ms"]
    text = typed(*words, "--points", "6", "--report", "best")
    first, second, third, *_ = text.splitlines()
    assert first.startswith("Checkpoint interval: 1")
    assert second.split() == ["binds", "tcp.hold.max", "<", "150ms", *second.split()[4:]]
    assert third.startswith("overhead is ")
    found = json.loads((tmp_path / "best/sweep.json").read_text())["choice"]
    assert found["requirements"][0]["binds"] is True
    assert 100 < found["interval_ms"] < 150


def test_without_an_interval_tuning_fails_and_says_why(call: str) -> None:
    words = ["tune", call, "--require", "overhead < 1%", "--interval", "20ms..100ms", "--json"]
    done = CliRunner().invoke(cli, [*words, "--points", "3", "--jobs", "1"])
    assert isinstance(done.exception, CheckFailed)
    found = json.loads(done.stdout)
    assert found["interval_ms"] is None
    assert found["never"][0]["assertion"] == "overhead < 1%"


def test_a_metric_that_the_scenario_does_not_give_is_not_blamed_on_requirements(call: str) -> None:
    words = ["tune", call, "--minimise", "sip.setup.median", "--interval", "40ms,80ms"]
    done = CliRunner().invoke(cli, [*words, "--require", "mos >= 1", "--jobs", "1"])
    assert isinstance(done.exception, CheckFailed)
    assert str(done.exception) == "call.toml: nothing in it gives sip.setup.median"
    assert done.output == "No run at any interval has a reading of sip.setup.median\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep", "call.toml", "--interval", "1s..20ms"], "from the shorter to the longer"),
        (["sweep", "call.toml", "--set", "network.los=1"], "network.los: unknown key"),
        (["sweep", "call.toml", "--metric", "moss"], "unknown metric"),
        (["sweep", "nosuch"], "unknown scenario"),
        (["sweep", "call.toml", "--guest", "pbx"], "unknown guest"),
        (["sweep", "call.toml", "--csv", "."], "--csv '.' is a folder"),
        (["sweep", "call.toml", "--csv", "no/x.csv"], "--csv 'no/x.csv': there is no folder"),
        (["tune", "call.toml", "--interval", "40ms"], "two intervals at least"),
        (["tune", "call.toml", "--require", "mos >"], "assertion 'mos >'"),
    ],
)
def test_mistakes_are_named_in_one_line_before_anything_runs(
    call: str, words: list[str], message: str
) -> None:
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, InvalidInput)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert call == "call.toml"


def test_whoever_stops_a_sweep_is_told_that_it_goes_on_where_it_stopped(
    call: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = running.run

    def stopped(task: running.Task) -> running.Done:
        if task.interval_ns > 100_000_000:
            raise KeyboardInterrupt
        return ran(task)

    words = ["sweep", call, "--interval", "40ms,80ms,200ms", "--policy", "tcp-only", "--jobs", "1"]
    with monkeypatch.context() as keyboard:
        keyboard.setattr(running, "run", stopped)
        with pytest.raises(SystemExit) as ended:
            main([*words, "--csv", "out.csv"])
    assert ended.value.code == 130
    told = capsys.readouterr()
    assert "what is done stands in 'out.csv.partial'" in told.err
    assert told.out == ""
    assert len(Path("out.csv.partial").read_text().splitlines()) == 2
    assert "wrote 'out.csv'" in typed(*words[:-2], "--csv", "out.csv")


def test_what_could_not_be_written_is_not_run_again(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sweep", call, "--interval", "40ms,80ms", "--policy", "tcp-only", "--csv", "out.csv"]
    with monkeypatch.context() as disk:

        def full(*_: object) -> str:
            raise OSError(errno.ENOSPC, "No space left on device")

        disk.setattr("remusnet.sweep.table.tidy_csv", full)
        assert CliRunner().invoke(cli, [*words, "--jobs", "1"]).exit_code != 0
    monkeypatch.setattr(running, "run", lambda _: pytest.fail("it is done"))
    assert "wrote 'out.csv'" in typed(*words)
    assert not Path("out.csv.partial").exists()

"""``remusnet simulate`` with --assert, --junit and --report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from remusnet import capture
from tests.lib.program import Run, runner
from tests.unit.emulator.recorded import call

HOLD_ALL, TCP_ONLY = ("--policy", "hold-all"), ("--policy", "tcp-only")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "call.pcap"
    capture.write(path, call(250))
    return path


@pytest.fixture
def simulate(capsys: pytest.CaptureFixture[str], recording: Path) -> Run:
    """Runs the command on the recording."""
    return runner(capsys, "simulate", "--capture", recording)


def test_assertions_that_hold_end_in_0_and_say_what_was_seen(simulate: Run) -> None:
    code, out, err = simulate(*TCP_ONLY, "--assert", "commit.violations == 0")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "ok     commit.violations == 0: 0 (policy tcp-only)"


def test_one_that_fails_ends_in_1_and_the_others_are_told_too(simulate: Run) -> None:
    code, out, err = simulate(
        *HOLD_ALL, "--assert", "rtp.jitter.mean < 6ms", "--assert", "commit.violations == 0"
    )
    assert code == 1
    assert err == "remusnet: error: 1 of 2 assertions does not hold\n"
    assert out.count("rtp.jitter.mean < 6ms") == 1
    assert "FAILED rtp.jitter.mean < 6ms: " in out
    assert "ok     commit.violations == 0" in out


def test_with_json_the_error_has_what_was_seen(simulate: Run) -> None:
    _, out, err = simulate(*HOLD_ALL, "--assert", "rtp.jitter.mean < 6ms", "--json")
    assert err.startswith("remusnet: error: 'rtp.jitter.mean < 6ms' does not hold: ")
    assert err.count("\n") == 1
    assert json.loads(out)["assertions"][0]["passed"] is False


def test_several_that_fail_are_counted(simulate: Run) -> None:
    code, _, err = simulate(*HOLD_ALL, "--assert", "mos >= 4", "--assert", "commit.held == 0")
    assert (code, err) == (1, "remusnet: error: 2 of 2 assertions do not hold\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--assert", "rtp.jiter.mean < 6ms"], "(did you mean 'rtp.jitter.mean'?)"),
        (["--assert", "rtp.jitter.mean < 6"], "needs a time with its unit"),
        (["--junit", "x.xml"], "--junit tells of assertions: give some with --assert"),
    ],
)
def test_a_mistake_ends_in_2_before_anything_is_simulated(
    simulate: Run, args: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "remusnet.cli.simulate.read_frames", lambda _: pytest.fail("it was read nevertheless")
    )
    code, out, err = simulate(*args)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_json_has_the_assertions(simulate: Run) -> None:
    code, out, _ = simulate(*HOLD_ALL, "--json", "--assert", "rtp.jitter.mean < 6ms")
    assert code == 1
    (found,) = json.loads(out)["assertions"]
    assert (found["assertion"], found["passed"]) == ("rtp.jitter.mean < 6ms", False)


def test_json_without_assertions_has_none(simulate: Run) -> None:
    _, out, _ = simulate(*TCP_ONLY, "--json")
    assert "assertions" not in json.loads(out)


def test_junit_is_written_also_when_one_fails(simulate: Run, tmp_path: Path) -> None:
    file = tmp_path / "out.xml"
    code, out, _ = simulate(*HOLD_ALL, "--assert", "mos >= 4", "--junit", file)
    assert code == 1
    assert f"wrote '{file}'" in out
    suite = ET.parse(file).getroot()[0]
    assert (suite.get("name"), suite.get("failures")) == ("call.pcap", "1")


@pytest.mark.slow
def test_a_report_is_written_also_when_one_fails(simulate: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    code, out, _ = simulate(*HOLD_ALL, "--assert", "mos >= 4", "--report", folder)
    assert code == 1
    assert f"wrote '{folder / 'index.html'}'" in out
    assert "1 of 1 assertions failed" in (folder / "index.html").read_text()
    assert len(capture.read(str(folder / "released-hold-all.pcap")).frames) == len(call(250))
    assert "speed" not in json.loads((folder / "report.json").read_text())


@pytest.mark.slow
def test_two_runs_write_the_same_bytes(simulate: Run, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        simulate(*TCP_ONLY, "--report", tmp_path / name, "--assert", "mos >= 1")
        contents.append(
            {file.name: file.read_bytes() for file in sorted((tmp_path / name).iterdir())}
        )
    assert contents[0] == contents[1]


def test_a_report_without_matplotlib_says_what_to_install(
    simulate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = simulate("--report", tmp_path / "report")
    assert (code, out) == (3, "")
    assert "pip install 'remusnet[report]'" in err
    assert not (tmp_path / "report").exists()


def test_a_folder_of_other_things_is_a_conflict(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    code, out, err = simulate("--report", tmp_path)
    assert (code, out) == (5, "")
    assert "are of no report" in err


def test_junit_in_no_folder_is_one_line(simulate: Run) -> None:
    code, _, err = simulate(*TCP_ONLY, "--assert", "mos >= 1", "--junit", "/nowhere/x.xml")
    assert (code, err) == (2, "remusnet: error: /nowhere/x.xml: No such file or directory\n")

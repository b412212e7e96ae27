from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from remusnet import capture
from remusnet.scenario.library import names
from tests.lib.program import Run, runner
from tests.unit.emulator.recorded import call


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def document(run: Run, *args: str | Path) -> Any:
    code, out, err = run("simulate", *args, "--json")
    assert (code, err) == (0, "")
    return json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nduration = "2s"\npolicies = ["./strict.toml", "tcp-only"]\n'
        '[checkpoint]\n[[calls]]\n[[captures]]\nfile = "call.pcap"\n'
    )
    (tmp_path / "strict.toml").write_text('name = "strict"\ndefault = "hold"\n')
    capture.write(tmp_path / "call.pcap", call(50))
    return path


def test_list_names_all_shipped_scenarios(run: Run) -> None:
    code, out, err = run("scenario", "list")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(names())
    code, out, _ = run("scenario", "list", "--json")
    assert [each["name"] for each in json.loads(out)] == list(names())


def test_show_prints_a_file_to_begin_with(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("scenario", "show", "fig11")
    assert code == 0
    copy = tmp_path / "copy.toml"
    copy.write_text(out)
    assert run("scenario", "check", copy) == (0, f"{copy}: ok\n", "")
    code, _, err = run("scenario", "show", "fig1")
    assert code == 2
    assert "unknown scenario: 'fig1'" in err


def test_check_names_every_mistake_of_every_file(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "bad"\nduration = 5\n[[calls]]\ncodec = "mp3"\n')
    code, out, err = run("scenario", "check", bad, "fig8", tmp_path / "none.toml")
    assert (code, out) == (2, "fig8: ok\n")
    lines = err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{bad}: duration: invalid time: 5; expected a time")
    assert lines[1].startswith(f"{bad}: calls[1].codec: unknown codec: 'mp3'; expected one of")
    assert "No such file" in lines[2]
    code, out, _ = run("scenario", "check", "--json", bad)
    (found,) = json.loads(out)
    assert (code, found["ok"], len(found["mistakes"])) == (2, False, 2)


def test_a_scenarios_json_is_the_replays_and_the_speed(run: Run) -> None:
    found = document(run, "fig11")
    assert set(found["speed"]) == {"packets", "seconds", "packets_per_second"}
    assert found["speed"]["packets"] == found["runs"][0]["counts"]["frames"]
    assert found["scenario"]["name"] == "fig11"
    (only,) = found["runs"]
    assert only["policy"] == "tcp-only"
    for stream in only["streams"]:
        assert {"ssrc", "flow", "packets", "lost", "burst", "from_guest"} <= set(stream)
        assert set(stream["jitter_ms"]) == {"mean", "max"}
    assert set(only["tcp"]["hold_ms"]) == {"median", "p99", "max"}
    counts = {"held", "bypassed", "dropped", "violations", "unprotected"}
    assert set(only["output_commit"]) == counts
    # RTP bypasses, and there is nothing else.
    assert only["epochs"] == []
    assert only["quiet_epochs"] == 201  # one each 300 ms, in 60 s, and the last one
    assert all(each["holds"] for each in only["held_to"])


def test_calls_duration_and_seed_are_over_the_scenarios_own(run: Run) -> None:
    first = document(run, "fig11", "--calls", "3", "--duration", "5s", "--seed", "4")
    assert len(first["runs"][0]["streams"]) == 6
    assert first["scenario"]["duration_ns"] == 5_000_000_000
    assert first["scenario"]["seed"] == 4
    again = document(run, "fig11", "--calls", "3", "--duration", "5s", "--seed", "4")
    other = document(run, "fig11", "--calls", "3", "--duration", "5s", "--seed", "5")
    for each in (first, again, other):
        del each["speed"]
    assert first == again
    assert first["runs"] != other["runs"]


def test_a_policy_of_the_command_line_is_instead_of_the_scenarios(run: Run) -> None:
    args = ("--policy", "hold-all", "--policy", "real-time")
    assert [each["policy"] for each in document(run, "fig11", *args)["runs"]] == [
        "hold-all",
        "real-time",
    ]


def test_files_that_a_scenario_names_lie_beside_it(run: Run, mine: Path, tmp_path: Path) -> None:
    found = document(run, mine, "--out", tmp_path / "out.pcap")
    assert [each["policy"] for each in found["runs"]] == ["strict", "tcp-only"]
    assert len(found["runs"][0]["streams"]) == 4
    assert {path.name for path in tmp_path.glob("out*")} == {
        "out-strict.pcap",
        "out-tcp-only.pcap",
    }


def test_the_console_says_what_a_figure_is_held_to_and_what_is_assumed(run: Run) -> None:
    code, out, _ = run("simulate", "fig11")
    assert code == 0
    assert "scenario fig11\n" in out
    assert "expected 5.33" in out
    assert out.count("holds") >= 2
    assert "Assumed: A pause of 50 ms" in out


BAD: dict[str, tuple[list[str], str]] = {
    "neither": ([], "expected a scenario or a capture, and not both"),
    "both": (["fig11", "--capture", "x.pcap"], "and not both"),
    "an interval beside a scenario": (
        ["fig11", "--interval", "1s"],
        "--interval: only for a capture; a scenario has its own",
    ),
    "calls beside a capture": (["--capture", "x", "--calls", "2"], "--calls: only for a scenario"),
    "an unknown name": (["fig111"], "did you mean 'fig11'"),
    "no such file": (["./none.toml"], "./none.toml: No such file"),
    "no calls": (["fig11", "--calls", "0"], "--calls"),
    "a duration before the failure": (["fig12", "--duration", "1s"], "fails at 20.044s"),
    "no duration": (["fig11", "--duration", "0"], "--duration: out of range: 0ms"),
    "a policy twice": (["fig11", *["--policy", "tcp-only"] * 2], "is there twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_line_and_exit_code_2(run: Run, case: str) -> None:
    args, said = BAD[case]
    code, out, err = run("simulate", *args)
    assert (code, out) == (2, "")
    assert err.startswith("remusnet: error: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_policy_file_that_is_missing_is_named_with_its_scenario(run: Run, mine: Path) -> None:
    (mine.parent / "strict.toml").unlink()
    code, _, err = run("simulate", mine)
    assert code == 2
    assert re.search(r"mine\.toml: policies: .*strict\.toml: No such file", err)


def test_a_capture_that_a_scenario_reads_is_not_overwritten(run: Run, mine: Path) -> None:
    target = mine.parent / "call.pcap"
    before = target.read_bytes()
    code, _, err = run("simulate", mine, "--policy", "tcp-only", "--out", target)
    assert code == 2
    assert "would overwrite the capture" in err
    assert target.read_bytes() == before


def test_names_complete(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", "remusnet simulate fig1")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("_REMUSNET_COMPLETE", "bash_complete")
    _, out, _ = run()
    assert "plain,fig11" in out.splitlines()

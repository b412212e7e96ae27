"""``remusnet simulate`` as a user meets it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remusnet import capture
from remusnet.cli.main import main
from remusnet.frames import Frames
from remusnet.policy import PRESETS
from tests.lib.long import count
from tests.unit.emulator.traffic import MS, PEER, by, call

Simulate = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "call.pcap"
    capture.write(path, call(250))
    return path


@pytest.fixture
def simulate(capsys: pytest.CaptureFixture[str], recording: Path) -> Simulate:
    """Runs the command on the recording, or on what ``--capture`` names."""

    def run(*args: str | Path) -> tuple[int, str, str]:
        given = [] if "--capture" in args else ["--capture", str(recording)]
        with pytest.raises(SystemExit) as ended:
            main(["simulate", *given, *map(str, args)])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


def document(simulate: Simulate, *args: str | Path) -> Any:
    code, out, err = simulate("--json", *args)
    assert (code, err) == (0, "")
    return json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


def test_without_a_policy_all_shipped_ones_are_compared(simulate: Simulate) -> None:
    code, out, err = simulate()
    assert (code, err) == (0, "")
    assert out.splitlines()[5].split() == list(PRESETS)


def test_policies_run_in_the_order_typed(simulate: Simulate) -> None:
    found = document(simulate, "--policy", "hold-all", "--policy", "tcp-only")
    assert [run["policy"] for run in found["runs"]] == ["hold-all", "tcp-only"]


def test_the_json_has_what_scripts_rely_on(simulate: Simulate) -> None:
    (run,) = document(simulate, "--policy", "tcp-only", "--interval", "400ms")["runs"]
    assert run["policy"] == "tcp-only"
    for stream in run["streams"]:
        assert {"ssrc", "flow", "packets", "lost"} <= set(stream)
        assert set(stream["jitter_ms"]) == {"mean", "max"}
        assert set(stream["burst"]) == {"median", "max"}
    assert set(run["tcp"]["hold_ms"]) == {"median", "p99", "max"}
    assert run["output_commit"] == {"held": 5, "bypassed": 250, "dropped": 0, "violations": 0}
    first = run["epochs"][0]
    assert first["suspend_ns"] == int(call(250).time_ns[0]) + 400 * MS
    assert first["commit_ns"] == first["suspend_ns"] + 55 * MS


def test_the_defaults_are_those_of_the_help(simulate: Simulate) -> None:
    found = document(simulate, "--policy", "tcp-only")
    assert found["schedule"] == {
        "kind": "xl",
        "interval_ns": 200 * MS,
        "pause_ns": 50 * MS,
        "commit_delay_ns": 5 * MS,
        "period_ns": 255 * MS,
    }
    assert found["limit_bytes"] == 50_000_000
    assert found["guest"]["address"] == "00:16:3e:00:00:01"


def test_the_options_reach_the_replay(simulate: Simulate) -> None:
    found = document(
        simulate,
        *("--policy", "hold-all", "--interval", "100ms", "--pause", "0", "--commit-delay", "2ms"),
        *("--schedule", "xend", "--guest", "10.0.0.2", "--limit", "1KiB"),
    )
    assert found["schedule"]["period_ns"] == 100 * MS
    assert found["guest"] == {"address": "10.0.0.2", "reason": "as asked", "frames": 250}
    assert found["limit_bytes"] == 1024
    assert found["runs"][0]["output_commit"]["dropped"] > 0


def test_a_slow_link_gets_the_smallest_limit(simulate: Simulate) -> None:
    assert document(simulate, "--rate", "1mbit")["limit_bytes"] == 256 * 1024


def test_one_policy_writes_the_named_file(simulate: Simulate, tmp_path: Path) -> None:
    out = tmp_path / "released.pcap"
    code, text, _ = simulate("--policy", "hold-all", "--out", out)
    assert code == 0
    assert f"wrote '{out}'" in text
    assert [path.name for path in tmp_path.iterdir()] == ["released.pcap"]
    assert len(capture.read(out).frames) == len(call(250))


@pytest.mark.parametrize("name", ["released.pcap", "released"])
def test_several_policies_write_a_file_each(simulate: Simulate, tmp_path: Path, name: str) -> None:
    code, _, _ = simulate("--out", tmp_path / name)
    assert code == 0
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"released-{policy}.pcap" for policy in PRESETS}


def test_a_policy_file_is_a_policy(simulate: Simulate, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ndefault = "bypass"\n')
    (run,) = document(simulate, "--policy", path)["runs"]
    assert (run["policy"], run["output_commit"]["held"]) == ("mine", 0)


def test_a_capture_that_is_cut_is_replayed_with_a_warning(
    simulate: Simulate, recording: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(recording.read_bytes()[:-10])
    code, out, err = simulate("--capture", cut, "--json", "--policy", "tcp-only")
    assert code == 0
    assert json.loads(out)["runs"]
    assert err.startswith("remusnet: warning: ")
    assert err.count("\n") == 1


BAD: dict[str, tuple[list[str], str]] = {
    "interval 0": (["--interval", "0"], "invalid interval: 0 ns; expected more than 0"),
    "negative interval": (["--interval", "-5ms"], "--interval: invalid time: '-5ms'"),
    "wordy interval": (["--interval", "soon"], "--interval: invalid time: 'soon'"),
    "interval without a unit": (["--interval", "200"], "--interval: invalid time: '200'"),
    "negative pause": (["--pause", "-1ms"], "--pause: invalid time: '-1ms'"),
    "wordy delay": (["--commit-delay", "later"], "--commit-delay: invalid time: 'later'"),
    "no time to run": (
        ["--schedule", "xend", "--interval", "10ms", "--commit-delay", "0"],
        "the guest would never run",
    ),
    "unknown schedule": (["--schedule", "xm"], "'xm' is not one of 'xl', 'xend'"),
    "unknown policy": (["--policy", "tcp-onyl"], "did you mean 'tcp-only'?"),
    "a policy twice": (["--policy", "tcp-only"] * 2, "policy 'tcp-only' is there twice"),
    "rate 0": (["--rate", "0mbit"], "--rate: invalid rate: '0mbit'"),
    "limit 0": (["--limit", "0"], "invalid limit: 0 bytes"),
    "limit past 32 bits": (["--limit", "5GB"], "invalid limit: 5000000000 bytes"),
    "no guest traffic": (
        ["--guest", "192.0.2.77"],
        "no guest traffic: no frame is from 192.0.2.77",
    ),
    "guest is a name": (["--guest", "dom1\x1b[2J"], "invalid guest: 'dom1\\x1b[2J'"),
    "report and pcap on one output": (["--out", "-"], "--out: expected a file's name"),
    "out in no folder": (
        ["--out", "/nowhere/x.pcap"],
        "cannot write to '/nowhere/x-tcp-only.pcap'",
    ),
    "no such capture": (["--capture", "/nowhere/x.pcap"], "/nowhere/x.pcap"),
    "not a capture": (["--capture", __file__], "test_simulate.py"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_line_and_exit_code_2(simulate: Simulate, case: str) -> None:
    args, said = BAD[case]
    code, out, err = simulate(*args)
    assert (code, out) == (2, "")
    assert err.startswith("remusnet: error: ")
    assert err.count("\n") == 1
    assert said in err


def test_an_empty_capture_is_refused(simulate: Simulate, tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    capture.write(path, Frames.of([]))
    code, _, err = simulate("--capture", path)
    assert (code, err) == (2, f"remusnet: error: no frames: {str(path)!r}\n")


def test_a_damaged_time_does_not_fill_the_memory(simulate: Simulate, tmp_path: Path) -> None:
    path = tmp_path / "years.pcap"
    frame = by(PEER, call(50).frame(0))
    capture.write(path, Frames.of([frame, frame], [0, 2**32 * 10**9 - 1]))
    code, _, err = simulate("--capture", path)
    assert code == 2
    assert "remusnet replays 1000000 at most" in err


def test_the_capture_is_not_overwritten(simulate: Simulate, recording: Path) -> None:
    before = recording.read_bytes()
    code, _, err = simulate("--policy", "tcp-only", "--out", recording)
    assert code == 2
    assert "would overwrite the capture" in err
    assert recording.read_bytes() == before


def test_help_names_every_default(simulate: Simulate) -> None:
    code, out, _ = simulate("--help")
    assert code == 0
    words = " ".join(out.split())
    for default in ("200ms", "50ms", "5ms", "xl", "1gbit", "all shipped ones", "at least 256 KiB"):
        assert default in words


@pytest.mark.slow
def test_damaged_captures_end_in_a_report_or_in_one_line(
    simulate: Simulate, recording: Path, tmp_path: Path
) -> None:
    """Whatever the bytes say of lengths, times, addresses and ports."""
    rng = random.Random(2)
    whole = recording.read_bytes()[:6000]
    path = tmp_path / "damaged.pcap"
    for _ in range(count(sample=30, long=1_000)):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 20)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        code, _, err = simulate("--capture", path, "--limit", "2000", "--interval", "1s")
        assert code in (0, 2), err
        assert [line.split(": ")[1] for line in err.splitlines()] in (
            [],
            ["warning"],
            ["error"],
            ["warning", "error"],
        )

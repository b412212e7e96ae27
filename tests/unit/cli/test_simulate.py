"""``remusnet simulate`` as a user meets it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from remusnet import capture
from remusnet.frames import Frames
from remusnet.policy import PRESETS
from tests.lib.long import count
from tests.lib.program import Run, runner
from tests.unit.capture.test_linktypes import PACKETS, UNTAGGED, pcap, raw
from tests.unit.emulator.recorded import MS, PEER, by, call


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "call.pcap"
    capture.write(path, call(250))
    return path


@pytest.fixture
def simulate(capsys: pytest.CaptureFixture[str], recording: Path) -> Run:
    """Runs the command on the recording, or on what ``--capture`` or the first word names."""

    def run(*args: str | Path) -> tuple[int, str, str]:
        named = "--capture" in args or (args and not str(args[0]).startswith("-"))
        given = [] if named else ["--capture", str(recording)]
        return runner(capsys, "simulate")(*given, *args)

    return run


def document(simulate: Run, *args: str | Path) -> Any:
    code, out, err = simulate(*args, "--json")
    assert (code, err) == (0, "")
    return json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


def test_without_a_policy_all_shipped_ones_are_compared(simulate: Run) -> None:
    code, out, err = simulate()
    assert (code, err) == (0, "")
    assert out.splitlines()[5].split() == ["as", "recorded", *PRESETS]


def test_policies_run_in_the_order_typed(simulate: Run) -> None:
    found = document(simulate, "--policy", "hold-all", "--policy", "tcp-only")
    assert [run["policy"] for run in found["runs"]] == ["hold-all", "tcp-only"]


def test_the_json_has_what_scripts_rely_on(simulate: Run) -> None:
    (run,) = document(simulate, "--policy", "tcp-only", "--interval", "400ms")["runs"]
    assert run["policy"] == "tcp-only"
    for stream in run["streams"]:
        assert {"ssrc", "flow", "packets", "lost"} <= set(stream)
        assert set(stream["jitter_ms"]) == {"mean", "max"}
        assert set(stream["burst"]) == {"median", "max"}
    assert set(run["tcp"]["hold_ms"]) == {"median", "p99", "max"}
    counts = {"held": 5, "bypassed": 250, "dropped": 0, "violations": 0, "unprotected": 0}
    assert run["output_commit"] == counts
    first = run["epochs"][0]
    assert first["suspend_ns"] == int(call(250).time_ns[0]) + 400 * MS
    assert first["commit_ns"] == first["suspend_ns"] + 55 * MS


def test_the_defaults_are_those_of_the_help(simulate: Run) -> None:
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


def test_the_options_reach_the_replay(simulate: Run) -> None:
    found = document(
        simulate,
        *("--policy", "hold-all", "--interval", "100ms", "--pause", "0", "--commit-delay", "2ms"),
        *("--schedule", "xend", "--guest", "10.0.0.2", "--limit", "1KiB"),
    )
    assert found["schedule"]["period_ns"] == 100 * MS
    assert found["guest"] == {"address": "10.0.0.2", "reason": "as asked", "frames": 250}
    assert found["limit_bytes"] == 1024
    assert found["runs"][0]["output_commit"]["dropped"] > 0


def test_a_slow_link_gets_the_smallest_limit(simulate: Run) -> None:
    assert document(simulate, "--rate", "1mbit")["limit_bytes"] == 256 * 1024


def test_one_policy_writes_the_named_file(simulate: Run, tmp_path: Path) -> None:
    out = tmp_path / "released.pcap"
    code, text, _ = simulate("--policy", "hold-all", "--out", out)
    assert code == 0
    assert f"wrote '{out}'" in text
    assert [path.name for path in tmp_path.iterdir()] == ["released.pcap"]
    assert len(capture.read(out).frames) == len(call(250))


@pytest.mark.parametrize("name", ["released.pcap", "released"])
def test_several_policies_write_a_file_each(simulate: Run, tmp_path: Path, name: str) -> None:
    code, _, _ = simulate("--out", tmp_path / name)
    assert code == 0
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"released-{policy}.pcap" for policy in PRESETS}


def test_a_policy_file_is_a_policy(simulate: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ndefault = "bypass"\n')
    (run,) = document(simulate, "--policy", path)["runs"]
    assert (run["policy"], run["output_commit"]["held"]) == ("mine", 0)


def test_a_capture_that_is_cut_is_replayed_with_a_warning(
    simulate: Run, recording: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(recording.read_bytes()[:-10])
    code, out, err = simulate("--capture", cut, "--json", "--policy", "tcp-only")
    assert code == 0
    assert json.loads(out)["runs"]
    assert err.startswith("remusnet: warning: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["call.pcap", "call", "call.toml"])
def test_a_capture_needs_no_option_whatever_its_name(
    simulate: Run, recording: Path, tmp_path: Path, name: str
) -> None:
    """It is told by its first bytes."""
    (tmp_path / name).write_bytes(recording.read_bytes())
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(recording.read_bytes()))
    expected = document(simulate, "--capture", recording)["runs"]
    for path in (tmp_path / name, tmp_path / f"{name}.gz"):
        assert document(simulate, path)["runs"] == expected


def test_a_capture_that_is_not_there_is_missed_as_one(simulate: Run) -> None:
    for name in ("no/call.pcap", "call.pcapng", "CALL.PCAP.gz"):
        code, _, err = simulate(name, "--pause", "1ms")
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith(f"remusnet: error: cannot read '{name}': No such file")


def test_a_file_that_is_neither_is_told_so(
    simulate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").write_text("no capture")
    monkeypatch.chdir(tmp_path)
    code, _, err = simulate("notes")
    assert code == 2
    assert err == (
        "remusnet: error: 'notes' is neither a scenario (.toml) nor a capture (pcap, pcapng)\n"
    )


def test_a_shipped_scenario_is_no_file(
    simulate: Run, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fig9").write_bytes(recording.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert document(simulate, "fig9", "--duration", "1s")["capture"] == "fig9"


@pytest.mark.parametrize(("kind", "interval"), [("xl", 345), ("xend", 400)])
def test_a_period_is_from_commit_to_commit(simulate: Run, kind: str, interval: int) -> None:
    found = document(simulate, "--period", "400ms", "--schedule", kind, "--policy", "tcp-only")
    assert (found["schedule"]["period_ns"], found["schedule"]["interval_ns"]) == (
        400 * MS,
        interval * MS,
    )
    # The plug is as large as if that interval had been given.
    same = document(simulate, "--interval", f"{interval}ms", "--schedule", kind)
    assert found["limit_bytes"] == same["limit_bytes"]


BAD: dict[str, tuple[list[str], str]] = {
    "no room in the period": (
        ["--period", "55ms"],
        "invalid period: 55ms; pause and commit delay take 55ms of it",
    ),
    "a period shorter than its checkpoint": (
        ["--period", "20ms", "--schedule", "xend"],
        "invalid period: 20ms; pause and commit delay take 55ms of it",
    ),
    "a period and an interval": (
        ["--period", "400ms", "--interval", "200ms"],
        "--interval, --period: give one of them, not both",
    ),
    "a scenario's period": (["fig8", "--period", "1s"], "--period: only for a capture"),
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
def test_bad_input_ends_in_one_line_and_exit_code_2(simulate: Run, case: str) -> None:
    args, said = BAD[case]
    code, out, err = simulate(*args)
    assert (code, out) == (2, "")
    assert err.startswith("remusnet: error: ")
    assert err.count("\n") == 1
    assert said in err


def test_an_empty_capture_is_refused(simulate: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    capture.write(path, Frames.of([]))
    code, _, err = simulate("--capture", path)
    assert (code, err) == (2, f"remusnet: error: no frames: {str(path)!r}\n")


def test_a_damaged_time_does_not_fill_the_memory(simulate: Run, tmp_path: Path) -> None:
    path = tmp_path / "years.pcap"
    frame = by(PEER, call(50).frame(0))
    capture.write(path, Frames.of([frame, frame], [0, 2**32 * 10**9 - 1]))
    code, _, err = simulate("--capture", path)
    assert code == 2
    assert "remusnet replays 1000000 at most" in err


def test_the_capture_is_not_overwritten(simulate: Run, recording: Path) -> None:
    before = recording.read_bytes()
    code, _, err = simulate("--policy", "tcp-only", "--out", recording)
    assert code == 2
    assert "would overwrite the capture" in err
    assert recording.read_bytes() == before


def test_help_names_every_default(simulate: Run) -> None:
    code, out, _ = simulate("--help")
    assert code == 0
    words = " ".join(out.split())
    for default in ("200ms", "50ms", "5ms", "xl", "1gbit", "all shipped ones", "at least 256 KiB"):
        assert default in words


@pytest.mark.slow
def test_damaged_captures_end_in_a_report_or_in_one_line(
    simulate: Run, recording: Path, tmp_path: Path
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


def test_a_capture_without_ethernet_headers_says_so_in_its_json(
    simulate: Run, tmp_path: Path
) -> None:
    """And --out writes Ethernet, with the headers that were made up."""
    path, out = tmp_path / "raw.pcap", tmp_path / "out.pcap"
    path.write_bytes(pcap(101, [raw(PACKETS[n]) for n in UNTAGGED]))
    code, printed, err = simulate("--capture", path, "--policy", "tcp-only", "--out", out, "--json")
    assert code == 0
    found = json.loads(printed)
    assert "RAW (101) have no Ethernet header: it is made up" in err
    assert any("made up" in note for note in found["notes"])
    assert found["guest"]["address"] == "192.0.2.1"
    assert "no frame has a sender's MAC address" in found["guest"]["reason"]
    assert len(capture.read(out).frames) == len(UNTAGGED)

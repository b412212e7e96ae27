"""``remusnet checkpoint`` as a user meets it; what it does to a plug is tried in tests/kernel."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from remusnet.errors import InvalidInput, RemusnetError
from remusnet.kernel import checkpoint
from remusnet.kernel.checkpoint import Summary, Timing
from remusnet.schedule import Schedule, ScheduleKind
from tests.lib.program import Run, runner

MS = 1_000_000
TIMING = Timing(12, 2_460 * MS, late_p50_ns=61_000, late_max_ns=400_000, missed=0)


class Drive:
    """In the place of `checkpoint.drive`: what it was asked for, and what came of it."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.signal = 0
        self.error: RemusnetError | None = None
        self.timing = TIMING
        self.purges = 0

    def __call__(self, device: str, schedule: Schedule, **options: object) -> Summary:
        self.asked = {"device": device, "schedule": schedule, **options}
        return Summary(device, self.timing, 50, 0, self.purges, self.signal, self.error)


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Drive:
    made = Drive()
    monkeypatch.setattr(checkpoint, "drive", made)
    return made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], drive: Drive) -> Run:
    return runner(capsys, "checkpoint", "ifb0")


def test_the_defaults_are_those_of_a_simulation_without_a_pause(run: Run, drive: Drive) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "12 checkpoints in 2.5 s, timers late by 0.06 ms (p50), 0.40 ms (max)",
        "50 frames released in time, 0 dropped",
    ]
    assert drive.asked["schedule"] == Schedule(200 * MS, 0, 5 * MS, ScheduleKind.XL)
    assert (drive.asked["count"], drive.asked["duration_ns"]) == (None, None)


def test_each_option_arrives(run: Run, drive: Drive) -> None:
    run("--interval", "1s", "--pause", "2ms", "--commit-delay", "3ms", "--schedule", "xend")
    assert drive.asked["schedule"] == Schedule(1000 * MS, 2 * MS, 3 * MS, ScheduleKind.XEND)
    run("--count", "3", "--run-dir", "/tmp")
    assert drive.asked["count"] == 3
    assert str(drive.asked["run_dir"]) == "/tmp"
    run("--duration", "3s")
    assert drive.asked["duration_ns"] == 3000 * MS


def test_output_that_is_no_terminal_has_no_progress(run: Run, drive: Drive) -> None:
    run()
    assert drive.asked["show"] is None


def test_json_has_what_scripts_rely_on(run: Run, drive: Drive) -> None:
    code, out, err = run("--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "device": "ifb0",
        "checkpoints": 12,
        "elapsed_ns": 2_460 * MS,
        "late_p50_ns": 61_000,
        "late_max_ns": 400_000,
        "missed": 0,
        "released": 50,
        "dropped": 0,
        "purges": 0,
        "signal": None,
        "error": None,
    }


@pytest.mark.parametrize(
    ("args", "code"),
    [([], 0), (["--count", "20"], 130), (["--duration", "1min"], 130)],
)
def test_a_signal_is_an_end_like_any_where_no_other_was_asked_for(
    run: Run, drive: Drive, args: list[str], code: int
) -> None:
    drive.signal = signal.SIGINT
    assert run(*args)[0] == code


def test_an_error_comes_after_the_summary(run: Run, drive: Drive) -> None:
    drive.error = InvalidInput("'ifb0' is gone")
    code, out, err = run()
    assert (code, err) == (2, "remusnet: error: 'ifb0' is gone\n")
    assert out.startswith("12 checkpoints")


def test_purges_are_told_when_they_come_and_at_the_end(run: Run, drive: Drive) -> None:
    drive.purges = 3
    assert "the plug was purged 3 times: what it held then is lost\n" in run()[1]
    drive.purges = 1
    assert "the plug was purged once: what it held then is lost\n" in run()[1]


def test_lost_periods_are_told(run: Run, drive: Drive) -> None:
    drive.timing = Timing(12, 0, 0, 0, missed=2)
    assert "2 times a whole period or more was lost\n" in run()[1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--count", "0"], "0 is not in the range"),
        (["--count", "1", "--duration", "1s"], "--count or --duration, not both"),
        (["--interval", "0ms"], "invalid interval: 0 ns"),
        (["--interval", "10"], "--interval: invalid time: '10'"),
        (
            ["--schedule", "xend", "--interval", "5ms", "--pause", "5ms", "--commit-delay", "0"],
            "never",
        ),
    ],
)
def test_bad_input_is_one_line(run: Run, args: list[str], said: str) -> None:
    code, out, err = run(*args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err

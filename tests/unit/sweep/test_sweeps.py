from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from remusnet.api.sweeps import Sweep, Tuning, load_guest, metrics, partial_of, sweep, tune
from remusnet.errors import InvalidInput
from remusnet.policy import PRESETS
from remusnet.sweep.grid import axis, intervals
from remusnet.sweep.optimum import Nothing, Optimum
from remusnet.sweep.running import Task, run, scenario_at
from remusnet.sweep.table import tidy_csv

MS = 1_000_000
TEXT = """
name = "call"
duration = "5s"
[checkpoint]
pause = "10ms"
[[calls]]
count = 2
drift-ppm = 40
[[tcp]]
count = 2
exchanges = 5
think = "100ms"
"""


@pytest.fixture
def call(tmp_path: Path) -> str:
    path = tmp_path / "call.toml"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


@pytest.fixture
def wanted(call: str) -> Sweep:
    return Sweep(
        call,
        intervals("40ms,200ms", 2),
        (PRESETS["tcp-only"], PRESETS["hold-all"]),
        (axis("network.loss=0,1%"),),
        repeats=2,
        guest=load_guest("busy-pbx"),
    )


def as_csv(wanted: Sweep, **options: object) -> str:
    found = sweep(wanted, **options)  # type: ignore[arg-type]
    return tidy_csv(found.rows, found.asked, found.keys)


def test_any_number_of_workers_gives_the_same_bytes(wanted: Sweep) -> None:
    one = as_csv(wanted, workers=1)
    assert as_csv(wanted, workers=2) == one
    # 2 intervals, 2 settings, 2 runs, 2 policies, 7 metrics, and the heads.
    assert len(one.splitlines()) == 1 + 2 * 2 * 2 * 2 * 7
    assert one.startswith(
        "interval_ms,network.loss,policy,seed,metric,unit,value\n40,0,tcp-only,0,"
    )


def test_a_run_that_was_killed_goes_on_where_it_stopped_and_gives_the_same_bytes(
    wanted: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = as_csv(wanted, workers=1)
    journal = partial_of(tmp_path / "out")

    def killed(done: int, _: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(wanted, workers=1, journal=journal, tell=killed)
    lines = journal.read_text().splitlines()
    assert len(lines) == 4
    # The last line half written, as a kill leaves it.
    journal.write_text("\n".join(lines)[:-20])
    ran: list[Task] = []

    def counted(task: Task) -> object:
        ran.append(task)
        return run(task)

    monkeypatch.setattr("remusnet.sweep.running.run", counted)
    assert as_csv(wanted, workers=1, journal=journal) == whole
    assert len(ran) == 8 - 3


def test_a_journal_of_other_questions_answers_none(wanted: Sweep, tmp_path: Path) -> None:
    journal = tmp_path / "out.partial"
    longer = replace(wanted, interval_ns=(300 * MS,), axes=(), repeats=1)
    sweep(replace(longer, guest=None), workers=1)
    task = replace(longer, guest=None).tasks()[0]
    journal.write_text(json.dumps(["0" * 32, [["tcp-only", "overhead", 99.0]]]) + "\n")
    found = sweep(longer, workers=1, journal=journal)
    assert all(row.value != 99.0 for row in found.rows)
    assert task.interval_ns == 300 * MS


def test_a_guest_pauses_for_what_it_has_dirtied(call: str) -> None:
    guest = load_guest("busy-pbx")
    found = sweep(Sweep(call, (200 * MS,), (PRESETS["tcp-only"],), guest=guest), workers=1)
    seen = next(row.value for row in found.rows if row.metric == "overhead")
    # At xl's interval the guest runs for T + lag between pauses: the fixed point of both.
    ran_ns = 200e6
    for _ in range(50):
        lag_ns = float(guest.commit.draw(None, _at(ran_ns))[0])  # type: ignore[arg-type]
        ran_ns = 200e6 + lag_ns
    pause_ns = float(guest.pause.draw(None, _at(ran_ns))[0])  # type: ignore[arg-type]
    # The first of eight epochs is shorter: nothing was sent before it.
    assert seen == pytest.approx(100 * pause_ns / (pause_ns + ran_ns), rel=0.04)


def _at(ran_ns: float) -> object:
    import numpy as np

    return np.array([int(ran_ns)], np.int64)


def test_settings_reach_every_table_of_a_list(wanted: Sweep) -> None:
    task = replace(wanted.tasks()[0], settings=(("tcp.exchanges", "9"), ("network.loss", "2%")))
    scenario = scenario_at(task)
    assert [each.exchanges for each in scenario.tcp] == [9]
    assert scenario.network.loss_percent == 2.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network.los=1", "network.los: unknown key"),
        ("network.loss=200%", "network.loss: out of range"),
        ("name.first=1", "'name' is no table"),
    ],
)
def test_a_setting_that_the_scenario_has_not_is_refused_before_anything_runs(
    call: str, text: str, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        sweep(Sweep(call, (40 * MS, 80 * MS), axes=(axis(text),)), workers=1)


def test_an_unknown_metric_or_guest_has_a_suggestion() -> None:
    with pytest.raises(InvalidInput, match="overhead"):
        metrics(["overhed"])
    with pytest.raises(InvalidInput, match="did you mean 'busy-pbx'"):
        load_guest("busy-pbz")


def test_tuning_finds_the_longest_interval_that_a_requirement_leaves(call: str) -> None:
    base = Sweep(call, intervals("20ms..400ms", 6), (PRESETS["tcp-only"],))
    found = tune(Tuning(base, ("tcp.hold.max < 150ms",), metrics(["overhead"])[0]), workers=1)
    assert isinstance(found, Optimum)
    assert found.binding == ("tcp.hold.max < 150ms",)
    # A segment that is sent as an epoch begins waits for the interval, the pause and the commit.
    assert 100 * MS < found.best.interval_ns < 150 * MS
    worst = found.best.requirements[0].worst
    assert worst is not None
    assert 140 < worst < 150


def test_tuning_says_which_requirement_no_interval_keeps(call: str) -> None:
    base = Sweep(call, intervals("20ms..400ms", 4), (PRESETS["tcp-only"],))
    found = tune(Tuning(base, ("overhead < 1%", "mos >= 1"), metrics(["overhead"])[0]), workers=1)
    assert isinstance(found, Nothing)
    assert [each.text for each in found.never] == ["overhead < 1%"]

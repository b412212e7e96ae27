"""What `scripts/availability-experiment` has recorded, beside what the model says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from remusnet.availability.fitting.events import read_events
from remusnet.availability.fitting.history import history_of
from remusnet.availability.models.supervision import ACTORS, PRESETS, RESTART_S
from remusnet.errors import InvalidInput
from scripts.experiment.__main__ import main
from scripts.experiment.comparing import restart_times, share
from scripts.experiment.run import binned
from tests.lib.long import count

DATA = Path(__file__).parents[1] / "data" / "availability-experiment"


@pytest.mark.slow
def test_the_models_figures_are_within_the_measured_intervals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--replay", str(DATA), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["figures"]
    assert {each["preset"] for each in found} == set(PRESETS)
    by_name = {(each["preset"], each["what"]): each for each in found}
    assert all(each["agrees"] for each in found)
    # It is no comparison of nothing with nothing.
    lost = by_name["thesis", "established-calls: lost"]
    assert lost["measured"]["value"] > 0.05
    assert by_name["none", "registration: lost"]["measured"]["value"] > 0.3
    assert by_name["resilient", "registration: delayed"]["measured"]["value"] == 0


def test_another_model_would_be_told_from_the_measured_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DATA / "none.json").read_text()
    life = f'"actor_life_s": {json.loads(text)["options"]["actor_life_s"]}'
    assert life in text
    (tmp_path / "none.json").write_text(text.replace(life, '"actor_life_s": 40.0'))
    assert main(["--replay", str(tmp_path)]) == 1
    assert "<- outside" in capsys.readouterr().out


def test_what_is_lost_is_the_time_without_a_process_to_20_ms_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = json.loads((DATA / "none.json").read_text())
    for by_s, code in ((0.0, 0), (0.02, 1), (-0.02, 1)):
        moved = {**recorded, "lives_s": [each + by_s for each in recorded["lives_s"]]}
        (tmp_path / "none.json").write_text(json.dumps(moved))
        assert main(["--replay", str(tmp_path)]) == code, by_s
        said = capsys.readouterr().out.splitlines()
        marked = [line for line in said if "of these lives" in line and "<- outside" in line]
        assert bool(marked) == bool(code), said


def test_the_interval_of_a_share_holds_what_chance_does_to_the_lives() -> None:
    truth, rate, runs = 4.4 / 6.4, 7.0, count(sample=200, long=1000)
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(runs):
        lives, repairs = random.exponential(2.0, 205), random.uniform(3.9, 4.9, 205)
        edges = np.cumsum(np.column_stack((lives, repairs)).ravel())
        sent = np.arange(0, int(edges[-1] / 10) * 10, 1 / rate)
        lost = np.searchsorted(edges, sent) % 2
        bins = (sent / 10).astype(int)
        rows = np.column_stack((np.bincount(bins), np.bincount(bins, lost))).astype(int)
        found = share([[0, *row, 0] for row in rows.tolist()], 2)
        covered += found.low <= truth <= found.high
    # 93 to 97 % of many; four standard deviations of 200.
    assert 0.95 - 4 * (0.95 * 0.05 / runs) ** 0.5 <= covered / runs, covered


def test_an_interval_of_a_short_run_is_one_of_shares() -> None:
    rows = [[10 * n, 70, lost, 0] for n, lost in enumerate((65, 44, 63, 20, 46, 57, 40, 66))]
    found = share(rows, 2)
    assert 0 < found.low < found.value < found.high <= 1
    with pytest.raises(InvalidInput, match="too short to tell: 1 bins of 10 s"):
        share(rows[:1], 2)


@pytest.mark.parametrize("preset", RESTART_S)
def test_the_trees_restart_times_are_the_recorded_ones(preset: str) -> None:
    lines = (DATA / f"{preset}.events.jsonl").read_text().splitlines(keepends=True)
    found = restart_times(history_of(read_events(lines, preset)))
    assert set(found) == set(ACTORS)
    for name, measured in found.items():
        assert RESTART_S[preset][name] == pytest.approx(measured.value, rel=0.05)


def test_a_share_of_which_nothing_was_seen_has_an_upper_end() -> None:
    rows = binned({second: [7, 0, 0] for second in range(105)}, 105.0)
    assert len(rows) == 10
    found = share(rows, 2)
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(3.689 / 700, rel=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--replay", "nowhere"], "nowhere: no recording in it"),
        (["--repair", "1s"], "expected 3s to 30s"),
        (["--rate", "x"], "expected a number above 0"),
    ],
)
def test_wrong_usage_is_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main(words)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert said in capsys.readouterr().err

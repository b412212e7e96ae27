"""What `scripts/availability-experiment` has recorded, beside what the model says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remusnet.availability.fitting.events import read_events
from remusnet.availability.fitting.history import history_of
from remusnet.availability.models.supervision import ACTORS, PRESETS, RESTART_S
from scripts.experiment.__main__ import main
from scripts.experiment.comparing import restart_times, share
from scripts.experiment.run import binned

DATA = Path(__file__).parents[1] / "data" / "availability-experiment"


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

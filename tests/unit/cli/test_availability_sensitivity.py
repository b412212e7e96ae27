from __future__ import annotations

import json
from pathlib import Path

import pytest

from remusnet.availability.answers import answered
from remusnet.availability.model import Budget, Plan
from remusnet.availability.models.library import blueprint
from remusnet.availability.sensitivity import Varied, sensitivity
from remusnet.cli.main import main
from tests.unit.cli.test_availability_run import EXACT

YEAR_S = 365.25 * 86400


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["availability", "sensitivity", *args])
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, out, err


def test_each_parameter_is_halved_and_doubled_and_who_saves_most_comes_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "model.toml"
    unused = 'parameters.unused = "3s"\n'
    text = EXACT.replace('mean = "99h"', 'mean = "mttf"').replace(
        "parameters.mttr", unused + 'parameters.mttf = "99h"\nparameters.mttr'
    )
    path.write_text(text, encoding="utf-8")
    code, out, _ = run(capsys, str(path), "--json")
    found = json.loads(out)
    assert code == 0
    assert "halved and doubled" in found["varied"]
    (service,) = found["services"]
    assert service["service"] == "machine"

    def down(mttf: float, mttr: float) -> float:
        return pytest.approx(mttr / (mttf + mttr) * YEAR_S, rel=1e-9)  # type: ignore[return-value]

    assert service["downtime_s_a_year"] == down(99, 1)
    seen = {
        each["name"]: (
            each["halved"]["downtime_s_a_year"],
            each["doubled"]["downtime_s_a_year"],
            each["better"],
        )
        for each in service["parameters"]
    }
    assert seen == {
        "mttf": (down(49.5, 1), down(198, 1), "doubled"),
        "mttr": (down(99, 0.5), down(99, 2), "halved"),
        "unused": (down(99, 1), down(99, 1), None),
    }
    saves = [each["saves_s_a_year"] for each in service["parameters"]]
    assert saves == sorted(saves, reverse=True)
    assert saves[-1] == 0
    code, out, _ = run(capsys, str(path), "--set", "mttr=2h")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert (code, rows[0]) == (0, "machine: 10415.05 min/year (exact)")
    assert "mttr 2h 5259.60 20425.63 5155.45, halved" in rows


def test_states_that_are_kept_give_what_each_model_gives_alone() -> None:
    made = blueprint("active-standby")
    for found in sensitivity(made, Plan()):
        for varied in found.varied:
            for factor, seen in ((0.5, varied.halved), (2.0, varied.doubled)):
                assert seen is not None
                changed = made.make({varied.given.name: varied.given.value * factor})
                (alone,) = (
                    each
                    for each in answered(changed, Plan()).estimates
                    if each.name == found.service.name
                )
                assert seen.rest == pytest.approx(alone.rest, rel=1e-10)


def test_a_simulation_s_saving_within_the_intervals_is_none() -> None:
    made = blueprint("thesis-standard-age")
    (sure,) = sensitivity(made, Plan(0.1, 1, Budget(200_000)))
    (life,) = sure.varied
    assert life.better(sure.base) == "doubled"
    assert life.saves(sure.base) == pytest.approx((sure.base.rest or 0) / 2 * YEAR_S, rel=0.3)
    # The same value twice, from two seeds: whatever differs is chance.
    (again,) = sensitivity(made, Plan(0.1, 2, Budget(200_000)))
    assert Varied(life.given, again.base, None).saves(sure.base) == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("remus", "--service", "calls"), "unknown service 'calls'"),
        (("thesis-server",), "thesis-server: model thesis-server: no service: a measure with"),
        (("actorz",), "unknown design 'actorz' (did you mean 'actors'?)"),
    ],
)
def test_a_mistake_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert problem in err

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from remusnet.availability.states import TooManyStates
from remusnet.cli.main import main

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
EXACT = """
name = "one"
description = "One machine."
parameters.mttr = { value = "1h", meaning = "a repair", source = "nobody" }
net.places = { Up = 1, Down = 0 }
net.transitions.fails.takes = "Up"
net.transitions.fails.puts = "Down"
net.transitions.fails.time = { distribution = "exponential", mean = "99h" }
net.transitions.mended.takes = "Down"
net.transitions.mended.puts = "Up"
net.transitions.mended.time = { distribution = "exponential", mean = "mttr" }
measure = [
    { name = "machine", availability = "Up > 0" },
    { name = "failures", rate = "fails" },
    { name = "broken", mean = "Down" },
]
cause = [{ name = "repair", when = "Down > 0" }]
"""


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["availability", "run", *args])
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, out, err


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.toml"
    path.write_text(EXACT, encoding="utf-8")
    return str(path)


def test_a_person_sees_services_causes_and_measures(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, model)
    assert (code, err) == (0, "")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    for expected in (
        "one",
        "One machine.",
        "machine 99.00000000 % 2.00 5259.60 exactly exact",
        "machine is down for",
        "repair 5259.60 100.0%",
        "failures 2.7777778e-06 /s (87.66 a year) exactly exact",
        "broken 0.01 exactly exact",
        "Solved: CTMC of 2 states.",
    ):
        assert expected in rows, expected


def test_a_script_gets_each_measure_with_its_interval_and_method(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, model, "--json", "--set", "mttr=11h")
    found = json.loads(out)
    assert code == 0
    for each in found["measures"]:
        assert list(each) == ["name", "value", "low", "high", "method", "events"]
    value = pytest.approx(0.9, rel=1e-12)
    assert found["measures"][0] == {
        "name": "machine",
        "value": value,
        "low": value,
        "high": value,
        "method": "exact",
        "events": 0,
    }
    assert found["services"][0]["causes"][0]["name"] == "repair"
    assert found["parameters"] == [
        {"name": "mttr", "value": 39600.0, "unit": "s", "meaning": "a repair", "source": "nobody"}
    ]


def test_a_simulation_repeats_by_its_seed_and_has_intervals(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (model, "--method", "simulation", "--relative-error", "5%", "--json", "--seed")
    first, again, other = (json.loads(run(capsys, *asked, seed)[1]) for seed in ("1", "1", "2"))
    assert first == again != other
    machine = first["measures"][0]
    assert machine["method"] == "simulation"
    assert machine["events"] > 1000
    assert machine["low"] < machine["value"] < machine["high"]
    assert machine["high"] - machine["low"] <= 2 * 0.05 * 0.011
    assert first["reached"] is True


def test_assertions_hold_or_fail_by_the_whole_interval_and_else_are_undecided(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "junit.xml"
    simulated = (model, "--method", "simulation", "--relative-error", "20%", "--seed", "2")
    asked = (
        "availability[service=machine] >= 0.98",
        "availability >= 0.99",
        "downtime < 10h",
        "rate[measure=failures] < 200/y",
    )
    asserting = [word for each in asked for word in ("--assert", each)]
    code, out, err = run(capsys, *simulated, "--junit", str(file), *asserting)
    assert code == 1
    assert "2 of 4 assertions do not hold (1 undecided)" in err
    told = [line for line in out.splitlines() if line.startswith(("ok", "FAILED", "UNDEC"))]
    assert [line.split()[0] for line in told] == ["ok", "UNDECIDED", "FAILED", "ok"]
    assert "is on both sides: undecided, simulate longer (service machine)" in told[1]
    cases = list(ET.parse(file).getroot().iter("testcase"))
    assert [each.get("name") for each in cases] == list(asked)
    assert {each.get("classname") for each in cases} == {"remusnet.availability.run"}
    assert [each.find("failure") is None for each in cases] == [True, False, False, True]


@pytest.mark.parametrize(
    ("assertion", "holds"),
    [
        ("availability == 0.99", True),
        ("availability != 0.99", False),
        ("availability > 99%", False),
        ("availability[service=machine] >= 99%", True),
        ("downtime <= 88h", True),
        ("downtime <= 87h", False),
        ("nines >= 2", True),
        ("nines > 2.1", False),
        ("mean[measure=broken] <= 0.01", True),
        ("rate[measure=*] < 1/d", True),
        ("probability < 1", False),  # there is none
        ("availability[service=machines] > 0", False),
    ],
)
def test_an_exact_value_decides_every_assertion(
    model: str, capsys: pytest.CaptureFixture[str], assertion: str, holds: bool
) -> None:
    code, out, err = run(capsys, model, "--assert", assertion, "--json")
    (found,) = json.loads(out)["assertions"]
    assert (code, found["passed"], found["verdict"]) == (
        (0, True, "holds") if holds else (1, False, "fails")
    )
    assert ("does not hold" in err) is not holds


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--assert", "availabilty > 1"), "unknown metric 'availabilty' (did you mean 'avail"),
        (("--assert", "downtime < 5"), "downtime needs a time with its unit, for example 5min"),
        (("--assert", "rate[service=x] < 1/y"), "rate has no selector 'service'; it has measure"),
        (("--set", "mttr"), "'mttr': expected PARAMETER=VALUE"),
        (("--set", "mttf=1h"), "unknown parameter 'mttf'"),
        (("--set", "mttr=1%"), "mttr: invalid time: '1%'"),
        (("--relative-error", "0"), "--relative-error: out of range: '0'"),
        (("--budget", "5"), "--budget: out of range: '5'; expected events, 1000 to"),
        (("--junit", "x"), "--junit tells of assertions"),
        (("--method", "closed form"), "model.toml: net one: there is no closed form solution"),
    ],
)
def test_a_mistake_in_an_option_ends_in_one_line(
    model: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str
) -> None:
    code, out, err = run(capsys, model, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert problem in err


def test_a_precision_that_the_budget_is_too_small_for_says_what_was_reached(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--method", "simulation", "--relative-error", "0.01%", "--budget", "20k")
    code, out, err = run(capsys, model, *asked, "--json")
    assert code == 1
    assert json.loads(out)["reached"] is False
    assert "events are too few for a relative error of 0.0001: 'machine' to " in err


def test_values_from_the_start_on_are_those_of_the_two_states(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, model, "--at", "1d", "--at", "1h", "--json")
    machine, broken = json.loads(out)["transient"]
    assert (code, machine["name"], broken["name"]) == (0, "machine", "broken")
    assert machine["times_s"] == [3600, 86400]
    rate = 1 + 1 / 99  # an hour
    exact = [1 - 0.01 * (1 - math.exp(-rate * hours)) for hours in (1, 24)]
    assert machine["values"] == pytest.approx(exact, rel=1e-9)
    assert broken["values"] == pytest.approx([1 - each for each in exact], rel=1e-9)
    simulated = ("--method", "simulation", "--relative-error", "20%", "--seed", "2", "--at", "1h")
    code, out, _ = run(capsys, model, *simulated)
    (row,) = (line for line in out.splitlines() if line.startswith("machine") and " 1h " in line)
    low, high = map(float, re.search(r"([0-9.]+) to ([0-9.]+)", row).groups())  # type: ignore[union-attr]
    assert (code, low < exact[0] < high) == (0, True)
    code, _, err = run(capsys, model, "--at", "soon")
    assert (code, "--at: invalid time: 'soon'; expected times from the start" in err) == (2, True)


def test_stages_are_asked_for_and_what_they_stand_for_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "thesis-actor", "--phases", "2", "--set", "actor.sticky=0")
    assert (code, err) == (0, "")
    assert "actor.T1 as 0.127 Erlang-5 | 0.873 Erlang-6 (2 moments)." in out
    code, out, _ = run(capsys, "thesis-actor", "--phases", "3", "--set", "actor.sticky=0", "--json")
    (actor,) = json.loads(out)["measures"]
    # A renewal process: of its times only the means count.
    assert actor["value"] == pytest.approx(2208 * 3600 / (2208 * 3600 + 1), rel=1e-9)
    assert (code, actor["method"]) == (0, "exact")


def test_stages_that_make_too_many_states_leave_the_net_to_the_usual_ways(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: object) -> None:
        raise TooManyStates("more than 200000 states")

    monkeypatch.setattr("remusnet.availability.solve.explored", too_many)
    few = ("--phases", "2", "--relative-error", "20%")
    code, out, err = run(capsys, "thesis-standard-age", *few)
    assert (code, "simulation" in out) == (0, True)
    assert "warning: phase-type: the stages make too many states: it was simulated" in err


def test_the_values_can_be_had_as_csv(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "values.csv"
    code, out, _ = run(capsys, model, "--csv", str(file))
    assert (code, f"wrote '{file}'" in out) == (0, True)
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["design"], row["name"], row["kind"]) for row in rows] == [
        ("one", "machine", "probability"),
        ("one", "failures", "rate"),
        ("one", "broken", "mean"),
    ]
    assert float(rows[0]["downtime_s_a_year"]) == pytest.approx(0.01 * 365.25 * 86400)


def test_a_design_that_ships_can_be_run_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "thesis-standard-resample", "--json")
    (measure,) = json.loads(out)["measures"]
    assert (code, measure["method"]) == (0, "closed form")
    assert measure["value"] == pytest.approx(0.9999639, abs=5e-8)  # as `thesis` computes it
    code, out, err = run(capsys, "actor")
    assert (code, out) == (2, "")
    assert "unknown design 'actor' (did you mean 'actors'?); expected a file (.toml), or" in err


def test_nothing_of_numpy_is_loaded_for_the_help() -> None:

    program = (
        "import sys\nfrom remusnet.cli.main import main\n"
        "try:\n    main(['availability', *sys.argv[1:]])\n"
        "except SystemExit:\n    assert 'numpy' not in sys.modules\n"
    )
    for words in (["--help"], ["run", "--help"]):
        subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True)

"""Models that are wrong, from their file: one line that names the place, exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remusnet.cli.main import main
from tests.unit.cli.test_files_meant_to_hurt import cost, refused

HEAD = "net.places = { P = 1, Q = 0 }\nmeasure = [{ name = 'm', mean = 'P' }]\n"


def transition(name: str, keys: str) -> str:
    return f"[net.transitions.{name}]\n{keys}\n"


TICK = transition("tick", "needs = 'P'\ntime = '1s'")
BAD = {
    "a dead net": (
        HEAD + transition("ends", "takes = 'P'\nputs = 'Q'\ntime = '1s'"),
        ["a dead net", "with Q"],
    ),
    "a vanishing loop": (
        HEAD
        + transition("there", "takes = 'P'\nputs = 'Q'")
        + transition("back", "takes = 'Q'\nputs = 'P'"),
        ["a vanishing loop", "there", "back"],
    ),
    "an unbounded place": (
        HEAD + transition("pours", "needs = 'P'\nputs = 'Q'\ntime = '1s'"),
        ["place Q is unbounded", "pours put them there"],
    ),
    "a guard that raises": (
        HEAD + TICK + transition("divides", "needs = 'P'\nwhen = '1 / Q > 0'\ntime = '2s'"),
        ["transition divides: its guard: '1 / Q > 0' failed: ", "division by zero"],
    ),
    "a port left open": (
        HEAD + TICK + "[module.part.places]\nIn = 'port'\n[net.include]\na = 'part'\n",
        ["net.include.a.ports: port In of module part is left open"],
    ),
    "a negative time": (
        HEAD + transition("early", "needs = 'P'\ntime = '-1s'"),
        ["net.transitions.early.time: a negative time: '-1s'; expected more than 0"],
    ),
    "a negative mean": (
        HEAD
        + transition("early", "needs = 'P'\ntime = { distribution = 'exponential', mean = '0s' }"),
        ["net.transitions.early.time.mean: out of range: '0s'; expected more than 0"],
    ),
    "an unknown colour": (
        HEAD + TICK + transition("paints", "needs = \"P['blue']\"\ntime = '1s'"),
        ["net.transitions.paints.needs: unknown colour of place P: 'blue'"],
    ),
    "a module's guard": (
        HEAD
        + TICK
        + "[module.part.places]\nIn = 'port'\nX = 1\n"
        + "[module.part.transitions.odd]\nneeds = 'X'\nwhen = 'X / (In - In) > 0'\ntime = '3s'\n"
        + "[net.include]\na = { module = 'part', ports.In = 'P' }\n",
        ["module a, transition odd: its guard: ", "division by zero"],
    ),
}


@pytest.mark.parametrize("method", ["", "simulation"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_named_with_module_place_and_transition(
    name: str, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, problems = BAD[name]
    path = tmp_path / "model.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["availability", "run", str(path), *(["--method", method] if method else [])])
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"remusnet: error: {path}: ")
    for problem in problems:
        assert problem in err


def test_check_names_every_mistake_and_run_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.toml"
    path.write_text(HEAD + transition("a", "takes = 'X'") + transition("b", "time = '1'"))
    outcomes = []
    for words in (("check", str(path)), ("check", "--json", str(path)), ("run", str(path))):
        with pytest.raises(SystemExit) as ended:
            main(["availability", *words])
        outcomes.append((ended.value.code, *capsys.readouterr()))
    (code, out, err), (same_code, same, nothing), (_, _, first) = outcomes
    assert (code, out, same_code, nothing) == (2, "", 2, "")
    assert len(err.splitlines()) == 2
    (entry,) = json.loads(same)
    assert (entry["ok"], [each["path"] for each in entry["mistakes"]]) == (
        False,
        ["net.transitions.a.takes", "net.transitions.b.time"],
    )
    assert f"{path}: 2 mistakes, the first: net.transitions.a.takes: unknown place: 'X'" in first
    path.write_text(HEAD + TICK)
    with pytest.raises(SystemExit) as ended:
        main(["availability", "check", str(path)])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{path}: ok\n")


def nested(levels: int, width: int) -> str:
    """Each module includes the one before it ``width`` times."""
    text = "[module.m0]\nplaces.P = 1\n"
    for level in range(1, levels):
        inner = "".join(f"i{n} = 'm{level - 1}'\n" for n in range(width))
        text += f"[module.m{level}.include]\n{inner}"
    return HEAD + TICK + text + f"[net.include]\na = 'm{levels - 1}'\n"


COLOURS = ", ".join(f"'c{n}'" for n in range(900))
HURTING = {
    "doubling modules": (nested(39, 2), "too large when its modules are put in"),
    "a million modules": (nested(7, 10), "too large when its modules are put in"),
    "modules in modules": (nested(2000, 1), "too large when its modules are put in"),
    "a huge count": (
        HEAD + TICK + "[module.p.places]\nA = 1\nB = 1\nC = 1\nD = 1\nE = 1\nF = 1\n"
        "[net.include]\na = { module = 'p', count = 100000 }\n",
        "net.include.a.count: too large when its modules are put in",
    ),
    "a count beyond": (
        HEAD
        + TICK
        + f"[module.p]\nplaces.A = 1\n[net.include]\na = {{ module = 'p', count = {10**30} }}",
        "net.include.a.count: out of range: a number beyond 64 bits",
    ),
    "a module in itself": (
        HEAD + TICK + "[module.p.include]\na = 'p'\n[net.include]\nb = 'p'\n",
        "module.p.include.a.module: it includes itself: p -> p",
    ),
    "modules in a circle": (
        HEAD + TICK + "[module.p.include]\na = 'q'\n[module.q.include]\na = 'p'\n",
        "it includes itself: p -> q -> p",
    ),
    "many tokens": (HEAD.replace("P = 1", f"P = {10**400}") + TICK, "out of range: a number bey"),
    "many colours to bind": (
        f"measure = [{{ name = 'm', mean = 'C' }}]\n[net.places]\nC = {{ colours = [{COLOURS}] }}\n"
        + transition("t", "needs = ['C[x]', 'C[y]', 'C[z]']\ntime = '1s'"),
        "too large when its modules are put in",
    ),
    "a deep guard": (
        HEAD
        + TICK
        + transition("t", f"needs = 'P'\ntime = '1s'\nwhen = '{'(' * 900}P{')' * 900}'"),
        "net.transitions.t.when: ",
    ),
    "a power": (
        HEAD + TICK + transition("t", "needs = 'P'\nweight = '9**9**9**9'"),
        "net.transitions.t.weight: invalid value: '9**9**9**9'",
    ),
    "a power in a measure": (
        TICK + "[net.places]\nP = 1\n[[measure]]\nname = 'm'\nmean = '9**9**9**9'\n",
        "is not understood",
    ),
    "many measures": (
        HEAD.replace("measure = [{ name = 'm', mean = 'P' }]\n", "")
        + TICK
        + "".join(f"[[measure]]\nname = 'm{n}'\nmean = '{'P+' * 400}R'\n" for n in range(1000)),
        "measure: too many: 1000; expected at most 200",
    ),
    "many different modules": (
        HEAD
        + TICK
        + "[module.p.places]\nA = 1\n[net.include]\n"
        + "".join(
            f"a{n} = {{ module = 'p', set = {{ call.mean = '{n + 1}s' }} }}\n" for n in range(5000)
        ),
        "too many modules, or too deep in each other",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HURTING)
def test_a_model_that_is_meant_to_hurt_is_refused_at_once(name: str, tmp_path: Path) -> None:
    text, problem = HURTING[name]
    path = tmp_path / "model.toml"
    path.write_text(text, encoding="utf-8")
    refused(cost("availability", "run", str(path)), problem)

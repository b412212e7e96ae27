"""`import remusnet`: what it gives, what it costs, and what it says of bad words."""

from __future__ import annotations

import ast
import doctest
import inspect
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import remusnet
from remusnet.api import protection, recordings, simulation
from remusnet.errors import InvalidInput
from remusnet.plan.render import render

ROOT = Path(__file__).parents[3]
NAMES = (
    "apply", "classify", "plan", "remove", "simulate", "status", "verify",
    "Plug", "Policy",
    "CheckFailed", "Conflict", "InvalidInput", "KernelRefused", "MissingDependency",
    "NotPermitted", "RemusnetError",
)  # fmt: skip


def python(code: str) -> str:
    """What a bare Python says; it finds remusnet in the work tree."""
    done = subprocess.run(
        [sys.executable, "-IS", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


# What it costs


def test_importing_remusnet_imports_nothing_else() -> None:
    """A bare Python is 15 ms; what it has not loaded itself would be on top of that."""
    code = "before = set(sys.modules); import remusnet; print(*sorted(set(sys.modules) - before))"
    assert python(code) == "__future__ remusnet"


def test_looking_at_it_imports_nothing_either() -> None:
    code = "import remusnet; dir(remusnet); repr(remusnet); print(len(sys.modules))"
    assert python(code) == python("import remusnet; print(len(sys.modules))")


def test_an_error_costs_no_more_than_its_module() -> None:
    code = "import remusnet; remusnet.Conflict; print('numpy' in sys.modules)"
    assert python(code) == "False"


def test_a_driver_loads_no_library() -> None:
    """What Plug needs comes with Python: a replicator may drive it where nothing is installed."""
    code = "import remusnet; remusnet.Plug; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = set(python(code).split()) - set(sys.stdlib_module_names)
    assert {each for each in loaded if not each.startswith("_")} == {"remusnet"}


# What it gives


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there_and_listed(name: str) -> None:
    assert callable(getattr(remusnet, name))
    assert name in dir(remusnet)
    assert name in remusnet.__all__  # type: ignore[attr-defined]  # for `import *`, not for checkers


def test_type_checkers_see_the_same_names() -> None:
    stub = ast.parse((ROOT / "remusnet/__init__.pyi").read_text(encoding="utf-8"))
    seen = {
        each.asname: (node.module, each.name)
        for node in ast.walk(stub)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    }
    assert set(seen) == set(NAMES)
    for name, (module, attribute) in seen.items():
        assert name == attribute
        given = python(f"import remusnet; print(remusnet._DOOR[{name!r}])")
        assert given == module


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'remusnet' has no attribute 'aply'"):
        _ = remusnet.aply  # type: ignore[attr-defined]  # on purpose


@pytest.mark.parametrize(
    "before",
    [
        "pass",
        "import remusnet.plan.plan",
        "import remusnet.plan.plan as planned; planned.build_plan",
        "from remusnet.plan import domains",
        "import remusnet.kernel.change.apply",
        "remusnet.plan; import remusnet.plan.plan; remusnet.plan.plan.Plan",
    ],
)
def test_plan_is_a_function_whatever_was_imported_before(before: str) -> None:
    code = f"import remusnet; {before}; print(remusnet.plan('vif1.0').limit)"
    assert int(python_with_site(code)) == 50_000_000
    code = f"import remusnet; {before}; from remusnet import plan; print(plan('vif1.0').limit)"
    assert int(python_with_site(code)) == 50_000_000


def python_with_site(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["plan", "classify"])
def test_a_function_that_is_a_package_too_shows_its_own_signature(name: str) -> None:
    function = getattr(protection if name == "plan" else recordings, name)
    assert inspect.signature(getattr(remusnet, name)) == inspect.signature(function)


def test_a_plan_is_what_the_command_makes(capsys: pytest.CaptureFixture[str]) -> None:
    from remusnet.cli.main import main

    with pytest.raises(SystemExit):
        main(["plan", "vif1.0", "--policy", "real-time", "--rate", "100mbit", "--limit", "2MB"])
    plan = remusnet.plan("vif1.0", policy="real-time", rate="100mbit", limit="2MB")
    assert render(plan, "sh") == capsys.readouterr().out


def test_an_error_survives_pickling() -> None:
    """As multiprocessing and pytest-xdist need it."""
    again = pickle.loads(pickle.dumps(remusnet.InvalidInput("x")))
    assert type(again) is InvalidInput


# What its examples and its page say


@pytest.mark.parametrize(
    "function",
    [protection.plan, recordings.classify, simulation.simulate, remusnet.Policy.from_toml],
    ids=lambda f: f.__name__,
)
def test_the_example_of_a_docstring_is_true(
    function: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of apply, status, verify and remove need a kernel: tests/kernel/test_front_door.py."""
    shutil.copy(ROOT / "tests/data/call.pcap", tmp_path)
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder().find(function, globs={"remusnet": remusnet}, module=False)
    assert example.examples
    told: list[str] = []
    doctest.DocTestRunner().run(example, out=told.append)
    assert not told, "".join(told)


# Bad words

door: Any = remusnet
"""For words of another type than it takes."""


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (door.plan, "Give at least one vif"),
        (lambda: door.plan("vif1.0", rate=10**9), "rate: expected text, for example '1gbit'"),
        (lambda: door.plan("vif1.0", interval="0"), "interval: invalid time: 0"),
        (lambda: door.plan("vif1.0", interval="200"), "invalid time: '200'; expected for"),
        (lambda: door.plan("vif1.0", policy="tcp-onyl"), "did you mean 'tcp-only'?"),
        (lambda: door.plan("vif1.0", policy=7), "policy: expected a name or a path, not 7"),
        (lambda: door.plan("vif1.0", policy=Path("mine")), "mine"),
        (lambda: door.plan("vif1.0", classifier=3), "classifier: expected text"),
        (lambda: door.plan("vif1.0", limit=5), "expected text, for example '10MB', not 5"),
        (lambda: door.plan("../vif"), "'../vif'"),
        (door.apply, "what is to be protected"),
        (lambda: door.apply("vif1.0", domain="guest"), "not both"),
        (door.remove, "Give at least one vif"),
        (lambda: door.verify(run_dir=5), "run_dir: expected a name or a path, not 5"),
        (lambda: door.classify("none.pcap"), "cannot read 'none.pcap'"),
        (lambda: door.classify("x", policies="tcp-only"), "expected a list of names"),
        (lambda: door.classify("x", policies=["hold-all"] * 2), "are named 'hold-all'"),
        (lambda: door.Policy.from_toml("name = 5"), "name: invalid name: 5"),
        (lambda: door.simulate("fig8", calls=1.5), "calls: expected a whole number"),
        (lambda: door.simulate(capture="x", period=400), "period: expected text"),
        (lambda: door.simulate(capture="x", schedule="xm"), "schedule: expected one of"),
        (lambda: door.simulate("fig8", out="-"), "expected a file's name, not '-'"),
    ],
)
def test_a_bad_word_is_refused_in_one_line_that_names_it(
    call: Callable[[], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(door.InvalidInput) as caught:
        call()
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_path_is_a_policy_file_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text('name = "mine"\ndefault = "hold"\n')
    assert remusnet.plan("vif1.0", policy=Path("mine")).classification.policy.name == "mine"


def test_what_left_is_written_where_it_is_asked(tmp_path: Path) -> None:
    out = tmp_path / "left.pcap"
    capture = ROOT / "tests/data/call.pcap"
    remusnet.simulate(capture, policies=["tcp-only", "hold-all"], out=out)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "left-hold-all.pcap",
        "left-tcp-only.pcap",
    ]


def test_a_recording_is_replayed_without_what_only_scenarios_need() -> None:
    """scapy's import takes longer than the replay of an hour's call, numpy.ma's 10 ms."""
    code = (
        "import sys, remusnet\n"
        "remusnet.simulate(capture='tests/data/call.pcap', policies=['tcp-only'])\n"
        "print(*(m for m in sys.modules if m in ('remusnet.scenario', 'scapy', 'numpy.ma')))"
    )
    assert python_with_site(code) == ""

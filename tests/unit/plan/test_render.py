"""Plans as text: reviewed files, shells that accept them, and templates of the user's own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import remusnet
from remusnet.errors import InvalidInput
from remusnet.plan.plan import Plan, build_plan
from remusnet.plan.render import FORMATS, TEMPLATES, render, shell_line
from remusnet.plan.rows import Command
from remusnet.policy.presets import HOLD_ALL, PRESETS

GOLDEN = Path(__file__).parents[2] / "golden/plan"
SUFFIXES = {"sh": "sh", "batch": "batch.sh", "json": "json"}


def plan(
    *vifs: str, policy: str = "hold-all", buffer: str | None = None, decouple: bool = True
) -> Plan:
    return build_plan(
        vifs or ("vif1.0",),
        PRESETS[policy],
        buffer=buffer,
        rate=10**9,
        interval_ns=200_000_000,
        decouple=decouple,
    )


CASES = {
    **{name: (plan(policy=name), False) for name in PRESETS},
    "undo": (plan(policy="tcp-only"), True),
    "coupled": (plan(decouple=False), False),
    "two-vifs": (plan("vif1.0", "vif2.0"), False),
    "shared-buffer": (plan("vif1.0", "vif1.0-emu", buffer="ifb-1"), False),
    "shared-buffer-undo": (plan("vif1.0", "vif1.0-emu", buffer="ifb-1"), True),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", CASES)
def test_a_plan_reads_as_reviewed(name: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """REGEN_GOLDEN=1 in the environment writes the files anew; then review what git diff shows."""
    monkeypatch.setattr(remusnet, "__version__", "VERSION")
    case, undo = CASES[name]
    text = render(case, form, undo=undo)
    path = GOLDEN / f"{name}.{SUFFIXES[form]}"
    if os.environ.get("REGEN_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_there_is_no_reviewed_plan_that_nothing_makes() -> None:
    made = {f"{name}.{suffix}" for name in CASES for suffix in SUFFIXES.values()}
    assert {path.name for path in GOLDEN.iterdir()} == made


# -- shells ----------------------------------------------------------------------------------------


@pytest.mark.needs("shellcheck")
@pytest.mark.parametrize("form", TEMPLATES)
def test_shellcheck_has_nothing_to_say(form: str, tmp_path: Path) -> None:
    paths = []
    for name, (case, undo) in CASES.items():
        path = tmp_path / f"{name}.sh"
        path.write_text(render(case, form, undo=undo), encoding="utf-8")
        paths.append(str(path))
    done = subprocess.run(["shellcheck", *paths], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("form", TEMPLATES)
@pytest.mark.parametrize("name", CASES)
def test_a_posix_shell_can_read_it(name: str, form: str) -> None:
    case, undo = CASES[name]
    text = render(case, form, undo=undo)
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("form", TEMPLATES)
def test_the_forms_start_the_same_commands_in_the_same_order(form: str, tmp_path: Path) -> None:
    """With programs in the place of ip and tc that write down what they are told."""
    log = tmp_path / "log"
    for program in ("ip", "tc"):
        fake = tmp_path / program
        fake.write_text(
            f'#!/bin/sh\nif [ "$1" = -batch ]; then sed "s/^/{program} /"; '
            f'else echo {program} "$@"; fi >>{log}\n',
            encoding="utf-8",
        )
        fake.chmod(0o755)
    case = plan("vif1.0", "vif2.0", policy="real-time")
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh"], input=render(case, form), text=True, env={"PATH": path}, check=True)
    expected = [shell_line(command) for each in case.operations for command in each.commands]
    assert log.read_text(encoding="utf-8").splitlines() == expected


def test_a_step_that_fails_ends_the_script_unless_its_failure_is_no_mistake(tmp_path: Path) -> None:
    """A kernel without IPv6 refuses addrgenmode; any other refusal is the end."""
    for program, refused in (("ip", "addrgenmode"), ("tc", "plug")):
        fake = tmp_path / program
        fake.write_text(
            f'#!/bin/sh\necho {program} "$@"\ncase $* in *{refused}*) exit 2 ;; esac\n',
            encoding="utf-8",
        )
        fake.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh"], input=render(plan(), "sh"), text=True, env={"PATH": path}, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "addrgenmode" in done.stdout
    assert done.stdout.splitlines()[-1] == "tc qdisc add dev ifb-1.0 root plug limit 50000000"


@pytest.mark.parametrize("form", TEMPLATES)
def test_a_description_stays_in_its_comment(form: str) -> None:
    evil = replace(HOLD_ALL, description="\nreboot\r\x1b[2J\u2028reboot")
    case = build_plan(["vif1.0"], evil, rate=10**9, interval_ns=200_000_000)
    lines = render(case, form).splitlines()
    assert r"# \nreboot\r\x1b[2J\u2028reboot" in lines
    assert not any(line.startswith("reboot") for line in lines)


def test_a_word_that_a_shell_would_split_is_quoted() -> None:
    assert shell_line(Command("ip", ("link", "a b;c"))) == "ip link 'a b;c'"


# -- templates of the user's own -------------------------------------------------------------------


def test_a_template_takes_the_place_of_ours_and_can_include_the_others() -> None:
    own = {
        "plan.sh.j2": "{% include 'plan.header.j2' %}{% include 'mine.j2' %}",
        "mine.j2": "{{ plan.vifs | length }} {{ operations[0].kind }}\n",
    }
    assert render(plan(), "sh", templates=own).endswith("set -eu\n1 create-buffer\n")
    assert render(plan(), "batch", templates=own) == render(plan(), "batch")
    assert render(plan(), "json", templates=own) == render(plan(), "json")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n{% for %}", "template plan.sh.j2, line 2: "),
        ("{{ plan.nothing }}", "template plan.sh.j2: .* has no attribute 'nothing'"),
        ("{% include 'gone.j2' %}", "template plan.sh.j2 asks for 'gone.j2'"),
        ("{{ 1 / 0 }}", "template plan.sh.j2: division by zero"),
        ("{{ plan.limit | missing }}", "template plan.sh.j2, line 1: No filter named 'missing'"),
        ("{{ range(10 ** 9) }}", "template plan.sh.j2: Range too big"),
        ("{% include 'plan.sh.j2' %}", "template plan.sh.j2: .*recursion"),
        # What a sandbox is for.
        ("{{ plan.__class__.__mro__ }}", "template plan.sh.j2: access to attribute '__class__'"),
        ("{{ plan.limit.__class__.__base__ }}", "template plan.sh.j2: access to attribute"),
    ],
)
def test_a_broken_template_is_an_error_of_one_line(source: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        render(plan(), "sh", templates={"plan.sh.j2": source})
    assert "\n" not in str(caught.value)


def test_templates_of_which_none_is_ours_are_refused() -> None:
    """A misspelt name would otherwise be left unused, and nobody would know."""
    with pytest.raises(InvalidInput, match=r"none of the templates is .* plan\.sh\.j2"):
        render(plan(), "sh", templates={"plan-sh.j2": ""})

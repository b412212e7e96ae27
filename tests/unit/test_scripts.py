"""The scripts that people start: what they refuse, what they say, and what they leave behind."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kernel.lab.wait import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
TRY_DEBIAN = REPOSITORY / "scripts/try-debian"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Stand-ins for what try-debian calls; ``say`` notes who was called, and with what."""
    folder = tmp_path / "tools"
    folder.mkdir()
    say = f'echo "${{0##*/}} $*" >>{tmp_path}/calls\n'
    scripts = {
        "id": "echo 0",
        "dpkg-query": "printf installed",
        "unshare": f'{say}shift 3\nexec "$@"',
        "mmdebstrap": f'{say}for last; do :; done\ntouch "$last/made"',
        "bwrap": say,
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (tmp_path / "roots").mkdir()
    return folder


def environment(tools: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "TMPDIR": str(tools.parent / "roots"),
    }


def try_debian(tools: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [TRY_DEBIAN, *argv],
        env={**environment(tools), **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert list((tools.parent / "roots").iterdir()) == []
    return done


def state(process: Path) -> str:
    """The letter of a process's state; empty if it is gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def calls(tools: Path) -> list[str]:
    return (tools.parent / "calls").read_text().splitlines()


class TestTryDebian:
    def test_it_runs_the_demo_and_the_fast_tests_and_removes_the_root(self, tools: Path) -> None:
        done = try_debian(tools)
        assert (done.returncode, done.stderr) == (0, "")
        commands = [call.partition("--chdir /checkout ")[2] for call in calls(tools)[2:]]
        assert commands == ["python3 --version", "scripts/demo", "scripts/test --fast"]
        assert " trixie /" in calls(tools)[1]

    def test_a_command_of_ones_own_runs_instead_and_its_status_comes_out(self, tools: Path) -> None:
        (tools / "bwrap").write_text('#!/bin/sh\ncase "$*" in *version) exit 0 ;; esac; exit 7\n')
        assert try_debian(tools, "bookworm", "false", "-x").returncode == 7

    def test_a_root_that_can_not_be_made_is_3(self, tools: Path) -> None:
        (tools / "mmdebstrap").write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 25\n")
        done = try_debian(tools)
        assert done.returncode == 3
        assert done.stderr.splitlines() == [
            "E: no network",
            "scripts/try-debian: mmdebstrap could not make it (status 25)",
        ]

    def test_time_up_is_124(self, tools: Path) -> None:
        (tools / "mmdebstrap").write_text("#!/bin/sh\nexec sleep 1000\n")
        assert try_debian(tools, REMUSNET_TRY_SECONDS="1").returncode == 124

    @pytest.mark.parametrize("tool", ["mmdebstrap", "bwrap"])
    def test_a_signal_ends_what_runs_and_removes_the_root(self, tools: Path, tool: str) -> None:
        begun = tools.parent / "begun"
        (tools / tool).write_text(
            f"#!/bin/sh\necho $$ >{begun}.new\nmv {begun}.new {begun}\nsleep 1000\n"
        )
        with subprocess.Popen(
            [TRY_DEBIAN], env=environment(tools), stdout=subprocess.DEVNULL
        ) as process:
            wait_until(begun.exists, "the tool runs", 60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 128 + signal.SIGTERM
        assert not Path("/proc", begun.read_text().strip()).exists()
        assert list((tools.parent / "roots").iterdir()) == []

    def test_a_run_that_is_killed_ends_what_runs_and_the_next_one_removes_its_root(
        self, tools: Path
    ) -> None:
        begun = tools.parent / "begun"
        made = (tools / "mmdebstrap").read_text()
        (tools / "mmdebstrap").write_text(
            f"#!/bin/sh\necho $$ >{begun}.new\nmv {begun}.new {begun}\nexec sleep 1000\n"
        )
        with subprocess.Popen(
            [TRY_DEBIAN], env=environment(tools), stdout=subprocess.DEVNULL
        ) as process:
            wait_until(begun.exists, "the tool runs", 60)
            process.kill()
        tool = Path("/proc", begun.read_text().strip())
        wait_until(lambda: not tool.exists() or "Z" in state(tool), "the tool has ended", 60)
        assert len(list((tools.parent / "roots").iterdir())) == 1
        (tools / "mmdebstrap").write_text(made)
        assert try_debian(tools).returncode == 0

    def test_the_root_of_a_run_that_goes_on_stays(self, tools: Path) -> None:
        other = tools.parent / "roots/remusnet-debian.aaaaaa"
        other.mkdir()
        with (other / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run([TRY_DEBIAN], env=environment(tools), capture_output=True, check=True)
            assert other.exists()
        assert try_debian(tools).returncode == 0

    @pytest.mark.parametrize(
        ("argv", "variables", "said"),
        [
            (["--wrong"], {}, "unknown argument: --wrong"),
            (["../../etc"], {}, "'../../etc' is no name of a Debian release"),
            (["Trixie; reboot"], {}, "'Trixie; reboot' is no name of a Debian release"),
            ([], {"REMUSNET_TRY_SECONDS": "soon"}, "REMUSNET_TRY_SECONDS is 'soon'"),
        ],
    )
    def test_a_mistake_is_2_and_one_line(
        self, tools: Path, argv: list[str], variables: dict[str, str], said: str
    ) -> None:
        done = try_debian(tools, *argv, **variables)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert said in line

    def test_who_is_not_root_is_told_so(self, tools: Path) -> None:
        (tools / "id").write_text("#!/bin/sh\necho 1000\n")
        done = try_debian(tools)
        assert (done.returncode, done.stderr) == (
            4,
            "scripts/try-debian: only root can make a root directory\n",
        )


def in_group(number: int) -> bool:
    """Whether a process of this process group is there."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


class TestSteps:
    def test_the_summary_has_each_steps_minutes_and_fails_if_a_step_did(self) -> None:
        program = (
            ". scripts/lib/steps.sh; step one true; step two false; "
            "step_left_out three 'it is late'; steps_summary"
        )
        done = subprocess.run(
            ["bash", "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        lines = done.stdout.partition("== summary\n")[2].splitlines()
        assert [" ".join(line.split()[:2]) for line in lines[:3]] == [
            "one ok",
            "two FAILED",
            "three -",
        ]
        assert all("0 min" in lines[number] for number in (0, 1, 3))
        assert lines[3].startswith("all ")

    def test_what_steps_said_of_failures_comes_last_before_the_summary(
        self, tmp_path: Path
    ) -> None:
        program = (
            f". scripts/lib/steps.sh; STEPS_FAILURES={tmp_path}/failures; "
            "fails() { echo 'failed: it' >>$STEPS_FAILURES; seq 1000; false; }; "
            "step one fails; steps_summary"
        )
        done = subprocess.run(
            ["bash", "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "1000\n\n== failures\nfailed: it\n\n== summary\none" in done.stdout

    @pytest.mark.parametrize(("status", "result"), [(0, "ok"), (3, "FAILED")])
    def test_a_step_beside_the_others_is_shown_and_counted_where_it_is_joined(
        self, tmp_path: Path, status: int, result: str
    ) -> None:
        program = (
            f"set -eu; export TMPDIR={tmp_path}; . scripts/lib/steps.sh; "
            f"step_beside long sh -c 'sleep 0.3; echo said; exit {status}'; "
            "step short true; step_joined; step_stopped; steps_summary"
        )
        done = subprocess.run(
            ["bash", "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == (status != 0), done.stderr
        shown, _, summary = done.stdout.partition("== summary\n")
        assert shown.split("== ")[1:] == ["short\n\n", "long (beside the others)\nsaid\n\n\n"]
        assert re.fullmatch(rf"long +{result} +0 min  \d\.\d s beside", summary.splitlines()[1])
        assert list(tmp_path.iterdir()) == []

    def test_a_run_that_ends_ends_what_is_beside_it(self, tmp_path: Path) -> None:
        program = (
            f"export TMPDIR={tmp_path}; . scripts/lib/steps.sh; trap step_stopped EXIT; "
            "step_beside long sh -c 'sleep 1000 & wait'; echo $STEP_BESIDE"
        )
        done = subprocess.run(
            ["bash", "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True
        )
        group = int(done.stdout)
        wait_until(lambda: not in_group(group), "all of it has ended", 10)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "markers"), [("tests/kernel", "kernel|uml|netns"), ("tests/xen", "xen")]
)
def test_marked_tests_are_where_scripts_test_looks_for_them(folder: str, markers: str) -> None:
    """It collects no other files for these steps: that takes a quarter of a minute each."""
    marked = re.compile(rf"^(@pytest|pytestmark = pytest|.*param\(.*)\.?mark\.({markers})\b", re.M)
    files = (REPOSITORY / "tests").rglob("test_*.py")
    found = {path for path in files if marked.search(path.read_text(encoding="utf-8"))}
    assert found
    assert [path for path in found if not path.is_relative_to(REPOSITORY / folder)] == []
    steps = (REPOSITORY / "scripts/test").read_text(encoding="utf-8")
    assert re.search(rf"run_pytest 0 .* {folder}$", steps, re.M)

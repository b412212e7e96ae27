"""The labs: what they pass on, what they guard, and what becomes of tests when they die."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remusnet.lab.account import ordinary_account
from remusnet.lab.errors import LabDied, LabUnavailable
from remusnet.lab.kernel import find_kernel
from remusnet.lab.runs import Job
from remusnet.lab.uml import Uml, memory_bytes
from remusnet.lab.visible import SOURCE
from tests.kernel.lab.plugin import hands, shared_out
from tests.kernel.lab.wait import wait_until

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def uml() -> Uml:
    return Uml()


def script(*argv: str) -> list[str]:
    return [sys.executable, str(SOURCE / "scripts/uml"), *argv]


def uml_processes(directory: str) -> list[str]:
    """The processes whose command line names ``directory``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if directory in line:
                found.append(line)
    return found


def assert_gone(directory: str) -> None:
    """Nothing of the lab with this directory is left (other labs may run on this machine)."""
    assert Path(directory).name.startswith("remusnet-lab-")
    assert not Path(directory).exists()
    assert uml_processes(directory) == []


class TestUml:
    def test_output_and_exit_status_come_out_as_they_were(self, uml: Uml) -> None:
        result = uml.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
        assert (result.stdout, result.stderr, result.status) == ("out\n", "err\n", 7)

    def test_the_job_is_root_inside_and_has_its_environment_and_directory(self, uml: Uml) -> None:
        odd = "a b'c\"$d\n=e"
        result = uml.run(["sh", "-c", 'id -u; pwd; printf %s "$ODD"'], env={"ODD": odd}, cwd=SOURCE)
        assert result.stdout == f"0\n{SOURCE}\n{odd}"

    def test_a_script_ends_at_its_first_error(self, uml: Uml) -> None:
        result = uml.run("echo before\nfalse\necho after")
        assert (result.stdout, result.status) == ("before\n", 1)

    def test_the_host_is_neither_written_nor_reconfigured(self, uml: Uml) -> None:
        name = os.uname().nodename
        devices = set(os.listdir("/sys/class/net"))
        result = uml.run(
            f"""
            hostname inside
            ip link add ifb7 type ifb
            touch {SOURCE}/written && exit 1
            touch /tmp/written && exit 2
            # Even where root inside makes it writable, it is not root outside.
            mount -o remount,rw /
            touch /etc/written && exit 3
            exit 0
            """
        )
        assert result.status == 0, result.stderr
        assert os.uname().nodename == name
        assert set(os.listdir("/sys/class/net")) == devices

    def test_a_writable_directory_is_written_with_the_accounts_rights(
        self, uml: Uml, tmp_path: Path
    ) -> None:
        shared = Path("/tmp", f"remusnet-shared-{os.getpid()}")
        shared.mkdir()
        try:
            os.chown(shared, uml.account.uid, uml.account.gid)
            assert uml.run(f"id -u > {shared}/id", writable=[shared]).status == 0
            assert (shared / "id").read_text() == "0\n"
            assert (shared / "id").stat().st_uid == uml.account.uid != 0
        finally:
            for path in shared.iterdir():
                path.unlink()
            shared.rmdir()

    def test_a_panic_is_told_with_the_end_of_the_console(self, uml: Uml) -> None:
        with pytest.raises(LabDied, match="sysrq triggered crash"):
            uml.run("echo c > /proc/sysrq-trigger")

    def test_a_job_that_hangs_is_stopped_and_leaves_no_process(self, uml: Uml) -> None:
        script = "echo still here; trap '' TERM; sleep 1000 & sleep 1000"
        with uml.start(Job(["sh", "-c", script], {})) as run:
            wait_until(lambda: run.read("stdout"), "the job has begun", 60)
            with pytest.raises(LabDied, match=r"stopped after 0.1 s[^$]*still here"):
                run.wait(timeout=0.1)
            assert uml_processes(str(run.directory)) == []
        assert_gone(str(run.directory))

    def test_modules_can_be_asked_for_by_name(self, uml: Uml) -> None:
        assert uml.run("modprobe sch_plug; grep -q ^sch_plug /proc/modules").status == 0

    def test_a_run_of_true_costs_less_than_four_seconds(self, uml: Uml) -> None:
        def used() -> float:
            spent = resource.getrusage(resource.RUSAGE_CHILDREN)
            return spent.ru_utime + spent.ru_stime

        before = used()
        uml.run(["true"])
        # Of the processor: the machine has other work. On an idle one it is 0.6 s.
        assert 0 < used() - before < 4


class TestSetup:
    def test_a_second_look_for_the_kernel_starts_no_program(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = find_kernel()
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_kernel() == first

    def test_a_machine_without_apt_is_told_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("remusnet.lab.kernel.INSTALLED", tmp_path / "nowhere")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(LabUnavailable, match=r"user-mode-linux.*apt-get isn't on this machine"):
            find_kernel(tmp_path / "cache")
        assert list((tmp_path / "cache").glob("*/")) == []

    def test_a_failing_download_is_told_with_apts_reason(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apt = tmp_path / "apt-get"
        apt.write_text(
            "#!/bin/sh\necho 'W: old'\necho 'E: Unable to locate package' >&2\nexit 100\n"
        )
        apt.chmod(0o755)
        monkeypatch.setattr("remusnet.lab.kernel.INSTALLED", tmp_path / "nowhere")
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(LabUnavailable, match=r"E: Unable to locate package.*apt-get update"):
            find_kernel(tmp_path / "cache")

    def test_root_becomes_somebody_else(self) -> None:
        account = ordinary_account()
        assert account.uid != 0
        assert account.change == (os.geteuid() == 0)

    def test_a_directory_without_execution_is_not_used_for_memory(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("remusnet.lab.uml.MEMORY_DIRECTORIES", ("/proc",))
        with pytest.raises(LabUnavailable, match="allows execution and has 256 MiB free"):
            Uml().run(["true"])

    @pytest.mark.parametrize("text", ["", "M", "256", "256K", "-1M", "1.5G", "M256"])
    def test_a_memory_size_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a size"):
            memory_bytes(text)


class TestScript:
    def test_it_passes_on_output_and_status(self) -> None:
        done = subprocess.run(
            script("sh", "-c", "echo out; echo err >&2; exit 3"), capture_output=True, check=False
        )
        assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)

    def test_time_up_is_124_with_what_was_said_until_then(self) -> None:
        for seconds in ("3", "10", "30"):
            done = subprocess.run(
                script("--timeout", seconds, "sh", "-c", "echo begun; sleep 100"),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 124
            assert f"stopped after {seconds} s" in done.stderr
            if done.stdout:  # else this machine is too busy to boot in that time
                break
        assert done.stdout == "begun\n"

    def test_a_kernel_that_dies_is_125(self) -> None:
        done = subprocess.run(
            script("sh", "-c", "echo c > /proc/sysrq-trigger"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 125
        assert "Kernel panic" in done.stderr

    def test_output_comes_while_the_command_runs_and_a_signal_ends_it_all(self) -> None:
        with subprocess.Popen(
            script("sh", "-c", 'echo "$LAB_JOB"; sleep 100'), stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            directory = process.stdout.readline().strip()
            assert uml_processes(directory)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 128 + signal.SIGTERM
        assert_gone(directory)

    def test_a_directory_that_the_account_cannot_enter_is_named(self, tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0)
        done = subprocess.run(
            script("--dir", str(closed), "true"), capture_output=True, text=True, check=False
        )
        closed.chmod(0o700)
        assert done.returncode == 125
        assert f"{closed} is closed to " in done.stderr

    def test_a_mistake_on_the_command_line_is_2(self) -> None:
        for wrong in (["--mem", "lots", "true"], ["--dir", "/nonexistent", "true"], []):
            done = subprocess.run(script(*wrong), capture_output=True, text=True, check=False)
            assert done.returncode == 2, wrong
            assert "usage: scripts/uml" in done.stderr


PLACE = 'os.environ["LAB_JOB"]'

SUITE = """
from __future__ import annotations
import os, platform, time
import pytest

def test_outside():
    assert platform.node() != "uml"

@pytest.mark.uml
def test_inside():
    assert platform.node() == "uml" and os.geteuid() == 0

@pytest.mark.netns
def test_namespace():
    assert platform.node() != "uml" and os.geteuid() == 0
    assert os.listdir("/sys/class/net") == ["lo"]

@pytest.mark.uml
@pytest.mark.parametrize("value", ["a b", "[::]", "\\u00fc"])
def test_odd_ids(value):
    pass

@pytest.mark.uml
def test_fails():
    print("printed inside", os.environ["LAB_JOB"])
    assert [1, 2] == [1, 3]

@pytest.mark.uml
def test_skips():
    pytest.skip("said inside")

@pytest.mark.uml
def test_panics():
    with open("/proc/sysrq-trigger", "w") as trigger:
        trigger.write("c")

@pytest.mark.uml
def test_after_a_panic():
    pass

@pytest.mark.uml(timeout=2)
def test_hangs():
    time.sleep(1000)

@pytest.mark.uml
def test_after_a_hang():
    pass
"""


def run_suite(directory: Path, source: str, *argv: str, **environment: str) -> str:
    """What a pytest outside prints of a test module; its directory is closed to everybody else."""
    (directory / "test_suite.py").write_text(source)
    (directory / "pytest.ini").write_text("[pytest]\n")
    directory.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.kernel.lab.plugin", "-rA", *argv],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "CI": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def lab_of(printed: str) -> str:
    """The directory of the lab that ``test_fails`` ran in."""
    match = re.search(r"printed inside (\S+)", printed)
    assert match is not None, printed
    return match[1]


class TestBatch:
    def test_each_test_has_the_outcome_that_it_had_inside(self, tmp_path: Path) -> None:
        """In the end three boots: a panic and a hang cost one test each."""
        printed = run_suite(tmp_path, SUITE)
        outcomes = dict(
            reversed(line)
            for line in re.findall(
                r"^(PASSED|FAILED) test_suite\.py::(.*?)(?: - .*)?$", printed, re.M
            )
        )
        assert outcomes == {
            "test_outside": "PASSED",
            "test_inside": "PASSED",
            "test_namespace": "PASSED",
            "test_odd_ids[a b]": "PASSED",
            "test_odd_ids[[::]]": "PASSED",
            "test_odd_ids[\\xfc]": "PASSED",
            "test_fails": "FAILED",
            "test_panics": "FAILED",
            "test_after_a_panic": "PASSED",
            "test_hangs": "FAILED",
            "test_after_a_hang": "PASSED",
        }
        for words in (
            ": said inside",
            "assert [1, 2] == [1, 3]",
            "printed inside",
            "sysrq triggered crash",
            "stopped after 2 s",
            "in test_hangs",  # where it stood
        ):
            assert words in printed
        assert_gone(lab_of(printed))

    def test_many_tests_are_shared_out_among_kernels_that_run_at_once(self, tmp_path: Path) -> None:
        """Each kernel says that it is here, and waits for a word that comes when all are here."""
        many = r"""
import os, pytest, re
from pathlib import Path
from tests.kernel.lab.wait import wait_until

def here():
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    lines = [Path("/proc", child, "cmdline").read_text() for child in children]
    labs = [Path(lab) for line in lines for lab in re.findall(r"LAB_JOB=([^\0]+)", line)]
    return [lab for lab in labs if (lab / "here").exists()]

def test_outside():
    kernels = min(3, len(os.sched_getaffinity(0)))
    wait_until(lambda: len(here()) == kernels, "all kernels", 60)
    for lab in here():
        (lab / "go").touch()

@pytest.fixture(scope="module")
def all_here():
    lab = Path(os.environ["LAB_JOB"])
    (lab / "here").touch()
    wait_until((lab / "go").exists, "the word", 60)

@pytest.mark.uml
@pytest.mark.parametrize("number", range(40))
def test_one(number, all_here):
    print("printed inside", os.environ["LAB_JOB"])
"""
        printed = run_suite(tmp_path, many)
        assert "41 passed" in printed
        labs = set(re.findall(r"printed inside (\S+)", printed))
        assert printed.count("printed inside") == 40
        assert len(labs) == min(3, len(os.sched_getaffinity(0)))
        for lab in labs:
            assert_gone(lab)

    @pytest.mark.parametrize("shares", [1, 2, 3, 4])
    @pytest.mark.parametrize("period", [2, 3, 4])
    def test_no_share_gets_each_test_with_the_same_parameter(
        self, shares: int, period: int
    ) -> None:
        dealt = shared_out(range(240), shares)
        assert sorted(number for share in dealt for number in share) == list(range(240))
        for share in dealt:
            assert len(share) == 240 / shares
            for remainder in range(period):
                found = sum(number % period == remainder for number in share)
                assert found == pytest.approx(len(share) / period, rel=0.7)

    def test_a_hand_is_of_one_file_and_all_are_dealt_what_may_take_longest_first(self) -> None:
        few = {f"few.py::test_{number}": 900.0 for number in range(3)}
        many = {f"many.py::test_{number}": 120.0 for number in range(60)}
        dealt = hands(few | many)
        assert sorted(nodeid for hand in dealt for nodeid in hand) == sorted(few | many)
        assert [len(hand) for hand in dealt] == [3, 20, 20, 20]
        assert all(len({nodeid.partition("::")[0] for nodeid in hand}) == 1 for hand in dealt)

    def test_a_kernel_imports_no_file_but_those_that_it_runs(self, tmp_path: Path) -> None:
        """Two hands are one kernel's here, one after the other; the test alone has another."""
        source = """
import os, sys, pytest
def loaded():
    return sorted(name for name in ("a", "b", "c") if any(
        str(getattr(module, "__file__", "")).endswith(f"/test_{name}.py")
        for module in list(sys.modules.values())))
"""
        tests = {
            "a": "@pytest.mark.uml(timeout=900)\n",  # the first hand: it may take longest
            "b": "@pytest.mark.uml\n",
            "c": "@pytest.mark.uml(alone=True)\n",
        }
        for name, marker in tests.items():
            test = f'def test_{name}():\n    print("printed inside", *loaded(), "of", {PLACE})\n'
            (tmp_path / f"test_{name}.py").write_text(source + marker + test)
        printed = run_suite(tmp_path, "", "test_a.py::test_a", "test_b.py", "test_c.py")
        assert "3 passed" in printed
        found = dict(re.findall(r"printed inside (.*) of (\S+)", printed))
        assert set(found) == {"a", "a b", "c"}
        assert found["a"] == found["a b"] != found["c"]

    def test_what_failed_inside_is_run_again_by_last_failed(self, tmp_path: Path) -> None:
        source = """
import pytest
@pytest.mark.netns
@pytest.mark.parametrize("number", range(3))
def test_one(number): assert number != 1
"""
        assert "1 failed, 2 passed" in run_suite(tmp_path, source)
        printed = run_suite(tmp_path, source, "--lf")
        assert "1 failed" in printed
        assert "passed" not in printed

    def test_a_module_that_does_not_import_inside_fails_its_tests_only(
        self, tmp_path: Path
    ) -> None:
        broken = """
import platform, pytest
if platform.node() == "uml":
    raise RuntimeError("not in here")
@pytest.mark.uml
def test_one(): pass
@pytest.mark.uml
def test_two(): pass
"""
        (tmp_path / "test_fine.py").write_text(
            "import pytest\n@pytest.mark.uml\ndef test_three(): pass\n"
        )
        printed = run_suite(tmp_path, broken)
        assert "2 failed, 1 passed" in printed
        assert "RuntimeError: not in here" in printed

    def test_a_module_that_does_not_import_outside_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "test_broken.py").write_text("import nothing_of_this_name\n")
        source = "import pytest\n@pytest.mark.uml\ndef test_one(): pass\n"
        printed = run_suite(tmp_path, source)
        assert "No module named 'nothing_of_this_name'" in printed
        assert "1 error" in printed

    def test_without_the_lab_its_tests_are_skipped_but_fail_on_ci(self, tmp_path: Path) -> None:
        without = """
import pytest
from remusnet.lab import kernel
from pathlib import Path
kernel.INSTALLED = Path("/nonexistent")
kernel.default_cache = lambda: Path("/proc/nowhere")
@pytest.mark.uml
def test_one(): pass
"""
        assert re.search(r"SKIPPED .* can't keep user-mode-linux", run_suite(tmp_path, without))
        printed = run_suite(tmp_path, without, CI="true")
        assert "1 failed" in printed
        assert "no lab 'uml': can't keep user-mode-linux" in printed

    def test_the_first_failure_can_end_the_session(self, tmp_path: Path) -> None:
        printed = run_suite(tmp_path, SUITE, "-x", "-k", "test_fails or test_hangs")
        assert "1 failed" in printed
        assert "test_hangs" not in printed
        assert_gone(lab_of(printed))

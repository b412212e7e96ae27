"""``remusnet lab`` as people type it: exit codes, terminals, and nothing left when it's killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from remusnet.lab.account import ordinary_account
from remusnet.lab.visible import SOURCE
from tests.kernel.lab.wait import wait_until

pytestmark = pytest.mark.kernel

REMUSNET = [sys.executable, "-m", "remusnet"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE)}


def lab(*words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """``remusnet lab`` without a terminal."""
    return subprocess.run(
        [*REMUSNET, "lab", *words],
        cwd="/",
        env=ENVIRONMENT,
        input="" if given is None else given,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def within(directory: str) -> list[int]:
    """The processes whose working directory is, or was, ``directory``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if os.readlink(entry / "cwd").removesuffix(" (deleted)") == directory:
                    found.append(int(entry.name))
    return found


def test_setup_says_what_it_found_and_tried() -> None:
    found = json.loads(lab("setup", "--json").stdout)
    assert found["version"].startswith("6.")
    assert found["runs_as"] == ordinary_account().name
    assert (found["virtual_time"], found["memory"]) == (False, "256M")
    assert found["seconds"] > 0


def test_exec_has_the_output_and_the_exit_code_of_its_command() -> None:
    done = lab("exec", "--", "sh", "-c", "id -u; echo err >&2; exit 9")
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "err\n", 9)


def test_options_behind_the_command_are_the_commands() -> None:
    done = lab("exec", "echo", "--timeout", "-x")
    assert (done.stdout, done.returncode) == ("--timeout -x\n", 0)


def test_a_kernel_that_dies_is_125_in_one_line() -> None:
    done = lab("exec", "--", "sh", "-c", "echo c >/proc/sysrq-trigger")
    assert done.returncode == 125
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(": the kernel ended before the job did\n")


def test_time_up_is_124() -> None:
    done = lab("exec", "--timeout", "2s", "--", "sleep", "1000")
    assert (done.returncode, done.stderr) == (
        124,
        "remusnet: error: sleep 1000: stopped after 2 s\n",
    )


def test_without_a_kernel_it_says_what_would_mend_that(tmp_path: Path) -> None:
    setup = (
        "import sys; from pathlib import Path; from remusnet.lab import kernel\n"
        "kernel.INSTALLED = Path('/nonexistent')\n"
        f"kernel.default_cache = lambda: Path({str(tmp_path)!r}, 'cache')\n"
        "import os; os.environ['PATH'] = '/nonexistent'\n"
        "from remusnet.cli.main import main; main(sys.argv[1:])"
    )
    for words, code in ((["exec", "true"], 125), (["setup"], 3)):
        done = subprocess.run(
            [sys.executable, "-c", setup, "lab", *words],
            cwd="/",
            env={**ENVIRONMENT, "PATH": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert done.stderr.startswith("remusnet: error: ")
        assert "user-mode-linux" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [["exec"], ["exec", "--mem", "lots", "true"], ["exec", "--dir", "/nonexistent", "true"]],
)
def test_a_mistake_is_2_in_one_line(words: list[str]) -> None:
    done = lab(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_shell_without_a_terminal_reads_its_commands_from_standard_input() -> None:
    done = lab("shell", given="modprobe sch_plug\ngrep -c ^sch_plug /proc/modules\nexit 3\n")
    assert (done.stdout, done.returncode) == ("1\n", 3)


def test_a_shell_has_the_terminal_and_gives_it_back_as_it_was() -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "remusnet", "lab", "shell"],
        cwd="/",
        env={**ENVIRONMENT, "PAGER": "cat"},
        timeout=60,
        dimensions=(30, 90),
    )
    child.expect_exact("lab:/# ")
    child.sendline("stty size; tty; id -un")
    child.expect("30 90")
    child.expect("root")
    child.sendline("sleep 1000")
    time.sleep(0.5)
    child.sendintr()  # to the shell's job, not to remusnet
    child.expect_exact("lab:/# ")
    child.sendline("exit 5")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5


@pytest.fixture
def running() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A lab whose job runs, and its directory."""
    script = 'echo "$LAB_JOB"; sleep 1000 & sleep 1000'
    with subprocess.Popen(
        [*REMUSNET, "lab", "exec", "--", "sh", "-c", script],
        cwd="/",
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        directory = process.stdout.readline().strip()
        assert within(directory)
        yield process, directory
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whatever_signal_ends_it_leaves_no_process_and_no_file(
    running: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    process, directory = running
    os.killpg(process.pid, number)
    code = process.wait(timeout=60)
    assert code == (-number if number is signal.SIGKILL else 128 + number)
    wait_until(lambda: not Path(directory).exists(), "the directory goes", 30)
    assert within(directory) == []


@pytest.mark.parametrize("after_s", [0.3, 0.6, 0.9, 1.2, 1.5])
def test_killed_at_any_moment_it_leaves_nothing(after_s: float, tmp_path: Path) -> None:
    """Before the kernel boots, or while it does."""
    with subprocess.Popen(
        [*REMUSNET, "lab", "exec", "true"],
        cwd="/",
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
    ) as process:
        time.sleep(after_s)
        mine = set(tmp_path.iterdir()) | {
            path
            for path in Path("/tmp").glob("remusnet-lab-*")
            if process.pid in _starters(str(path))
        }
        process.kill()
    wait_until(lambda: not any(path.exists() for path in mine), "the directories go", 30)


def _starters(directory: str) -> set[int]:
    """The parents of the processes that run there."""
    found = set()
    for each in within(directory):
        with suppress(OSError):
            stat = Path("/proc", str(each), "stat").read_text()
            found.add(int(stat.rpartition(")")[2].split()[1]))
    return found


def test_several_at_once_do_not_disturb_each_other() -> None:
    script = "ip link add ifb7 type ifb; sleep 1; ip -br link show type ifb | wc -l"
    running = [
        subprocess.Popen(
            [*REMUSNET, "lab", "exec", "--", "sh", "-c", script],
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    # Loading the module makes two more.
    assert [process.communicate(timeout=120)[0] for process in running] == 3 * ["1\n"]

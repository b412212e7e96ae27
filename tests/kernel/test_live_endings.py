"""Live runs: nothing is left of one, whatever ends it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from remusnet.live.running import LiveRun
from tests.kernel.lab.live import (
    SECONDS,
    SLEEPER,
    groups_there,
    run_once,
    wait_until_nothing_is_left,
    what_is_left,
)
from tests.lib.long import count

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_run_dir")]

_READY = re.compile(r"remusnet: (\S+) under")


@contextmanager
def _started(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """A run of a sleeper, and the processes of it."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "remusnet", "run", *options, "--", *SLEEPER],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert guard.stderr is not None
        line = guard.stderr.readline()
        while line and not _READY.search(line):
            line = guard.stderr.readline()
        assert line, "it did not begin"
        (runner,) = _children(guard.pid)
        deadline = time.monotonic() + SECONDS
        while not (program := [each for each in _children(runner) if _is_program(each)]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        others = [each for each in _children(runner) if each not in program]
        names = ("keeper", "relay")
        yield (
            guard,
            {
                "guard": guard.pid,
                "runner": runner,
                "program": program[0],
                **dict(zip(names, others, strict=False)),
            },
        )
    except BaseException:
        guard.kill()  # it may be stopped, and the next tests want a clean kernel
        raise
    finally:
        if guard.poll() is None:
            guard.terminate()
        print(guard.communicate(timeout=SECONDS)[1])


@pytest.mark.netns
def test_a_runs_record_goes_before_its_guard_has_to_do_anything(tmp_path: Path) -> None:
    """Where processors are busy the last thread of a killed guard may take long to die.

    The guard still has sockets of the run's namespace; its device goes with them.
    """
    groups = groups_there()
    with _started() as (guard, processes):
        os.kill(guard.pid, signal.SIGSTOP)
        os.kill(processes["runner"], signal.SIGTERM)
        deadline = time.monotonic() + SECONDS
        while left := [
            each for each in what_is_left(tmp_path, groups) if not each.startswith("rn")
        ]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        os.kill(guard.pid, signal.SIGCONT)
    wait_until_nothing_is_left(tmp_path, groups)


def _children(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    return sorted(map(int, path.read_text().split()))


def _is_program(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"sh\0-c")
    return False


def _wait_until_dead(process: int) -> None:
    deadline = time.monotonic() + SECONDS
    with suppress(OSError):
        while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, process
            time.sleep(0.02)


@pytest.mark.netns
@pytest.mark.parametrize(
    ("who", "number"),
    [
        ("guard", signal.SIGINT),
        ("guard", signal.SIGTERM),
        ("guard", signal.SIGKILL),
        ("runner", signal.SIGTERM),
        ("runner", signal.SIGKILL),
        ("keeper", signal.SIGKILL),
        ("relay", signal.SIGKILL),
        ("program", signal.SIGKILL),
    ],
)
def test_whatever_is_killed_nothing_is_left(
    who: str, number: signal.Signals, tmp_path: Path
) -> None:
    groups = groups_there()
    with _started("--publish", "48082/udp") as (guard, processes):
        os.kill(processes[who], number)
        guard.wait(SECONDS)
        wait_until_nothing_is_left(tmp_path, groups)


@pytest.mark.netns
@pytest.mark.parametrize("what", ["uplink", "bridge"])
def test_a_device_that_somebody_deletes_ends_the_run_and_is_named(
    what: str, tmp_path: Path
) -> None:
    groups = groups_there()
    with _started() as (guard, processes):
        if what == "uplink":
            (name,) = [each for _, each in socket.if_nameindex() if each.startswith("rn")]
            subprocess.run(["ip", "link", "del", name], check=True)
        else:
            enter = ["nsenter", f"--net=/proc/{processes['runner']}/ns/net"]
            subprocess.run([*enter, "ip", "link", "del", "br0"], check=True)
        assert guard.wait(SECONDS) == 5
        assert guard.stderr is not None
        said = guard.stderr.read()
        assert "somebody has deleted" in said
        wait_until_nothing_is_left(tmp_path, groups)


@pytest.mark.netns
def test_what_is_left_when_all_are_killed_at_once_the_next_start_clears(tmp_path: Path) -> None:
    groups = groups_there()
    with _started() as (guard, processes):
        # Stopped first, so that none can clear up after another.
        for each in processes.values():
            os.kill(each, signal.SIGSTOP)
        for each in processes.values():
            # One dies with another: the kernel kills a child when its parent ends.
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        guard.wait(SECONDS)
        for each in processes.values():
            _wait_until_dead(each)  # whose lock is free then
        done = run_once("--policy", "none", "--", "true")
    assert "cleared up after a live run that was killed" in done.stderr
    assert done.returncode == 0
    wait_until_nothing_is_left(tmp_path, groups)


@pytest.mark.netns
def test_many_runs_at_once_have_a_subnet_each(tmp_path: Path) -> None:
    groups = groups_there()
    runs = [LiveRun(SLEEPER, ["--policy", "tcp-only"]) for _ in range(count(sample=3, long=20))]
    with ExitStack() as stack:
        for each in runs:
            stack.enter_context(each)
        assert len({each.address for each in runs}) == len(runs)
    assert all(each.result["violations"] == 0 for each in runs)
    wait_until_nothing_is_left(tmp_path, groups)

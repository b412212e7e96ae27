"""A directory that doesn't outlive who made it, nor does what runs in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remusnet.lab.guard import Guard
from tests.kernel.lab.wait import wait_until

OWNER = """
import subprocess, sys, time
from pathlib import Path
from remusnet.lab.guard import Guard
guard = Guard(Path(sys.argv[1]), "guarded-")
(guard.directory / "below").mkdir()
inside = subprocess.Popen(
    ["sleep", "1000"], cwd=guard.directory / "below", start_new_session=True
)
print(guard.directory, inside.pid, flush=True)
time.sleep(1000)
"""


def gone(process: int) -> bool:
    """Whether it has ended: nobody waits for an orphan but init, which may take its time."""
    try:
        state = Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_it_is_closed_to_others_and_goes_with_all_in_it(tmp_path: Path) -> None:
    with Guard(tmp_path, "guarded-") as guard:
        assert guard.directory.parent == tmp_path
        assert guard.directory.stat().st_mode & 0o777 == 0o700
        (guard.directory / "a b").mkdir()
        (guard.directory / "a b" / "file").write_text("")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_whatever_ends_the_owner_ends_what_runs_there(tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        directory, inside = owner.stdout.readline().split()
        os.killpg(owner.pid, number)
        if number == signal.SIGSTOP:  # he is still there, and may go on
            assert Path(directory).exists()
            assert not gone(int(inside))
            os.killpg(owner.pid, signal.SIGKILL)
    wait_until(lambda: not Path(directory).exists(), "the directory goes", 30)
    wait_until(lambda: gone(int(inside)), "what runs there ends", 30)


def test_a_process_beside_it_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], cwd=tmp_path) as beside:
        with subprocess.Popen(
            [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as owner:
            assert owner.stdout is not None
            directory = owner.stdout.readline().split()[0]
            owner.kill()
        wait_until(lambda: not Path(directory).exists(), "the directory goes", 30)
        assert beside.poll() is None
        beside.kill()


def test_where_it_cannot_be_made_the_error_says_why(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory"):
        Guard(tmp_path / "nowhere", "guarded-")

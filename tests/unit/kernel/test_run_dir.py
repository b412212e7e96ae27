"""Locks: one at a time, and gone with their process."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from remusnet.errors import Conflict, InvalidInput
from remusnet.kernel.run_dir import Problems, change_lock, driver_lock, driver_of
from remusnet.kernel.state.drivers import forget_driver


def test_a_second_change_waits_and_then_names_who_is_at_work(tmp_path: Path) -> None:
    with (
        change_lock(tmp_path),
        pytest.raises(Conflict, match=f"by process {os.getpid()} is at work"),
        change_lock(tmp_path, longest_wait=0.02),
    ):
        pass
    with change_lock(tmp_path, longest_wait=0):
        pass


def test_a_plug_has_one_driver_and_others_can_ask_who(tmp_path: Path) -> None:
    assert driver_of(tmp_path, "ifb-1.0") == ""
    with driver_lock(tmp_path, "ifb-1.0"):
        assert driver_of(tmp_path, "ifb-1.0") == f" by process {os.getpid()}"
        assert driver_of(tmp_path, "ifb-2.0") == ""
        with (
            pytest.raises(Conflict, match=f"driven already by process {os.getpid()}"),
            driver_lock(tmp_path, "ifb-1.0"),
        ):
            pass
    assert driver_of(tmp_path, "ifb-1.0") == ""
    forget_driver(tmp_path, "ifb-1.0")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with driver_lock(tmp_path, "ifb-1.0"):
            os.write(tell, b"!")
            os._exit(0)  # as killed: nothing is released by hand
    os.read(ready, 1)
    os.waitpid(child, 0)
    assert driver_of(tmp_path, "ifb-1.0") == ""
    with driver_lock(tmp_path, "ifb-1.0"):
        pass


@pytest.mark.parametrize("said", ["\x1b[2J", "999999999", "-1", ""])
def test_the_holder_is_named_by_the_kernel_and_not_by_what_the_file_says(
    tmp_path: Path, said: str
) -> None:
    with driver_lock(tmp_path, "ifb-1.0"):
        (tmp_path / "driver-ifb-1.0.lock").write_text(said)
        assert driver_of(tmp_path, "ifb-1.0") == f" by process {os.getpid()}"


def ended_process() -> int:
    """The number of a process that is no more."""
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


@pytest.mark.parametrize("lock", [change_lock, partial(driver_lock, buffer="ifb-1.0")])
def test_a_process_that_has_ended_is_not_named(
    tmp_path: Path, lock: Callable[[Path], AbstractContextManager[None]]
) -> None:
    """A child has the lock by its parent's descriptor, and the parent, who took it, is gone."""
    name = "lock" if lock is change_lock else "driver-ifb-1.0.lock"
    with (tmp_path / name).open("w") as file:
        file.write(f"{ended_process()}\n")
        file.flush()
        taker = os.fork()
        if taker == 0:
            fcntl.flock(file, fcntl.LOCK_EX)
            os._exit(0)
        os.waitpid(taker, 0)
        waits = {"longest_wait": 0.02} if lock is change_lock else {}
        with pytest.raises(Conflict) as caught, lock(tmp_path, **waits):
            pass
        assert not re.search(r"process \d", str(caught.value)), caught.value
        assert "process" not in driver_of(tmp_path, "ifb-1.0").replace("another process", "")


def test_only_its_owner_can_open_a_lock_file_and_so_hold_it(tmp_path: Path) -> None:
    """Who can open a file can lock it: any user could have stopped every apply and remove."""
    old = os.umask(0)
    try:
        with change_lock(tmp_path), driver_lock(tmp_path, "ifb-1.0"):
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert modes == {"lock": 0o600, "driver-ifb-1.0.lock": 0o600}


def test_a_lock_file_of_an_older_version_is_closed_to_others(tmp_path: Path) -> None:
    for name in ("lock", "driver-ifb-1.0.lock"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    with change_lock(tmp_path), driver_lock(tmp_path, "ifb-1.0"):
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_who_may_not_open_the_lock_still_sees_who_drives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`remusnet status` needs no rights. Root may open everything, so the refusal is made."""

    def refuse(path: str, *_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    with driver_lock(tmp_path, "ifb-1.0"), monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert driver_of(tmp_path, "ifb-1.0") == f" by process {os.getpid()}"
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert driver_of(tmp_path, "ifb-1.0") == ""


def test_what_a_killed_writer_left_goes_with_the_next_lock(tmp_path: Path) -> None:
    left = ["ifb-1.0.json.new", "ifb-1.0.new"]
    kept = ["ifb-1.0.xen.new", "plug-ifb-1.0.state.new", "ifb-1.0.json"]
    for name in (*left, *kept):
        (tmp_path / name).touch()
    with change_lock(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "lock"])


def test_an_ending_goes_on_without_a_lock_where_there_can_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problems = Problems()
    with (
        change_lock(tmp_path / "file", problems=problems),
        driver_lock(tmp_path / "file", "ifb-1.0", problems),
    ):
        pass
    (problem,) = problems.lines
    assert problem.startswith("went on without a lock: ")
    assert problem.endswith("file': Not a directory")
    with pytest.raises(InvalidInput, match="Not a directory"), change_lock(tmp_path / "file"):
        pass

"""Locks: one at a time, and gone with their process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remusnet.errors import Conflict
from remusnet.kernel.locks import change_lock, driver_lock, driver_of, forget_driver


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


def test_what_a_lock_file_says_never_reaches_a_terminal(tmp_path: Path) -> None:
    with driver_lock(tmp_path, "ifb-1.0"):
        (tmp_path / "driver-ifb-1.0.lock").write_text("\x1b[2J")
        assert driver_of(tmp_path, "ifb-1.0") == " by another process"

"""What the watcher has written down of drivers is told as it is now, or not at all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from remusnet.kernel.run_dir import watch_lock
from remusnet.kernel.watch import ports, record
from remusnet.kernel.watch.record import Watched, publish, watched
from remusnet.results.driving import Activity, Driver

S = 1_000_000_000
DRIVER = Driver(4711, "xl", Activity.DRIVES, 20, S // 5, S // 10)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The processes that a signal has stopped."""
    found: set[int] = set()
    for module in (ports, record):
        monkeypatch.setattr(module, "is_stopped", found.__contains__)
    return found


def seen(folder: Path, age_s: float = 0) -> list[Driver]:
    """What a command finds, so long after it was written down."""
    publish(folder, Watched(99, 0, {"ifb-1.0": (DRIVER,)}))
    began = time.monotonic_ns()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic_ns", lambda: began + round(age_s * S))
        found = watched(folder)
    assert found is not None
    return list(found.drivers["ifb-1.0"])


@pytest.mark.usefixtures("stopped")
def test_a_driver_of_whom_nothing_more_was_written_down_is_silent(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with watch_lock(folder):
        assert seen(folder) == [DRIVER]
        (later,) = seen(folder, age_s=5)
    assert later.activity is Activity.SILENT
    assert later.silent_ns >= 5 * S


def test_a_driver_that_was_stopped_since_is_stopped(tmp_path: Path, stopped: set[int]) -> None:
    folder = tmp_path / "run"
    stopped.add(4711)
    with watch_lock(folder):
        (found,) = seen(folder)
    assert found.activity is Activity.STOPPED


def test_without_a_watcher_or_where_that_is_stopped_nobody_knows(
    tmp_path: Path, stopped: set[int]
) -> None:
    folder = tmp_path / "run"
    with watch_lock(folder):
        seen(folder)
        stopped.add(99)
        assert watched(folder) is None
    stopped.clear()
    assert watched(folder) is None

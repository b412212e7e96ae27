"""What takes long to make and is only looked at: made once a session, whichever worker is first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name``, which ``make`` has filled; other workers wait until it has."""
    base = factory.getbasetemp()
    # Workers of xdist have a folder each, in one of the session.
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = session / name, session / f"{name}.done"
    with (session / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder

"""Where receipts, locks and the record of each plug are, and what goes wrong there."""

from __future__ import annotations

import os
from pathlib import Path

from remusnet.defaults import RUN_DIR, RUN_DIR_VARIABLE
from remusnet.errors import Conflict, InvalidInput, NotPermitted, RemusnetError, quoted
from remusnet.kernel.own_folder import Untrusted


def default_run_dir() -> Path:
    """$REMUSNET_RUN_DIR, or /run/remusnet. It appears with the first file that is put there."""
    return Path(os.environ.get(RUN_DIR_VARIABLE) or RUN_DIR)


def folder_error(folder: Path, error: OSError) -> RemusnetError:
    """What the user can do about ``error``, met in the run directory ``folder``, in one line."""
    what = f"{quoted(str(folder))}: {error.strerror or error}"
    if isinstance(error, Untrusted):
        return Conflict(what)
    if isinstance(error, PermissionError):
        return NotPermitted(f"may not use {quoted(str(folder))}: run it as root, or give --run-dir")
    return InvalidInput(what)


class Problems:
    """What an ending could not write, delete or lock on its way: it goes on by the kernel's marks.

    ``lines``: one for each problem, the same one once.
    """

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    @property
    def lines(self) -> tuple[str, ...]:
        """For the user."""
        return tuple(self._lines)

    def note(self, what: str, folder: Path, error: OSError) -> None:
        """Adds ``error``, met in ``folder``; ``what``: what was not done for it."""
        self._lines[f"{what}: {folder_error(folder, error)}"] = None

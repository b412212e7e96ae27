"""Standard output that remembers when it could not be written: its errors have no name otherwise.

An OSError of a print looks like one of any file; but the work is done then, and only its report is
lost.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Any

UNPRINTED = 74
"""The exit code where what was done could not be printed: EX_IOERR of sysexits.h."""

_STDOUT = 1
_CHANGING = ("apply", "confirm", "remove", "try", "plug", "checkpoint", "run", "watch", "xen")
"""Commands that print after they have changed something."""
_WRITING = ("--out", "--report", "--junit")
"""Options of ``simulate`` that leave something behind. Without them its print is all there is."""


class Output(io.RawIOBase):
    """Descriptor 1. ``failed``: why it could not be written, once it could not."""

    failed: OSError | None = None

    def fileno(self) -> int:
        """1."""
        return _STDOUT

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(_STDOUT)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """As `os.write`, which takes what it takes."""
        try:
            return os.write(_STDOUT, data)
        except OSError as error:
            self.failed = error
            raise


def watch_output() -> None:
    """Make ``sys.stdout`` one whose failures `output_failure` knows; a test's own stays."""
    old = sys.stdout
    if type(old) is not io.TextIOWrapper or old.name != "<stdout>":
        return
    old.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(Output()),
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=old.line_buffering or old.write_through,
    )


def output_failure() -> OSError | None:
    """Why standard output could not be written; None where it could, or no watch was set up."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failed if isinstance(raw, Output) else None


def lasting(args: Sequence[str]) -> bool:
    """Whether the command that ``args`` name has left something behind when it prints."""
    command = next((each for each in args if not each.startswith("-")), "")
    if command == "simulate":
        return any(each.partition("=")[0] in _WRITING for each in args)
    return command in _CHANGING

"""Standard output that remembers when it could not be written: its errors have no name otherwise.

An OSError of a print looks like one of any file; but the work is done then, and only its report is
lost.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

UNPRINTED = 74
"""The exit code where what was done could not be printed: EX_IOERR of sysexits.h."""

_STDOUT = 1
_CHANGING = ("apply", "remove", "plug", "checkpoint", "xen")
"""Commands that print after they have changed something."""
_WRITING = ("--out", "--report", "--junit")
"""Options of ``simulate`` that leave something behind. Without them its print is all there is."""


class Output(io.FileIO):
    """Descriptor 1. ``failed``: why it could not be written, once it could not."""

    failed: OSError | None = None

    def write(self, data: object) -> int:
        """The same."""
        try:
            return super().write(data)  # type: ignore[arg-type]
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
        io.BufferedWriter(Output(_STDOUT, "w", closefd=False)),
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=old.line_buffering or old.write_through,
    )


def output_failure() -> OSError | None:
    """Why standard output could not be written; None where it could, or nobody has watched."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failed if isinstance(raw, Output) else None


def lasting(args: Sequence[str]) -> bool:
    """Whether the command that ``args`` name has left something behind when it prints."""
    command = next((each for each in args if not each.startswith("-")), "")
    if command == "simulate":
        return any(each.partition("=")[0] in _WRITING for each in args)
    return command in _CHANGING

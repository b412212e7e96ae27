"""A program in a terminal of its own, as wide as a test wants it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\(B)")
_NO_WIDTH = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")


def spawn(*args: str | Path, columns: int = 80, **environment: str) -> pexpect.spawn[str]:
    """``remusnet ARGS`` in a terminal; its output is text, with the terminal's line ends."""
    inherited = {name: value for name, value in os.environ.items() if name not in _NO_WIDTH}
    return pexpect.spawn(
        sys.executable,
        ["-m", "remusnet", *map(str, args)],
        encoding="utf-8",
        dimensions=(100, columns),
        timeout=60,
        env={**inherited, "TERM": "xterm", **environment},
    )


def seen(*args: str | Path, columns: int = 80, **environment: str) -> tuple[int, str]:
    """The exit code of ``remusnet ARGS``, and what it wrote, without colours."""
    child = spawn(*args, columns=columns, **environment)
    child.expect(pexpect.EOF)
    child.close()
    text = plain(child.before or "")
    code = child.exitstatus
    assert code is not None, f"ended by signal {child.signalstatus}"
    return code, text


def plain(text: str) -> str:
    """What a terminal got, without colours and cursor movements."""
    return _ESCAPES.sub("", text).replace("\r\n", "\n")

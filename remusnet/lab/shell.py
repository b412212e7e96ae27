"""A shell in a kernel: on a terminal, or with its commands from a file."""

from __future__ import annotations

import os
import pty
import select
import shutil
import sys
import termios
import tty
from pathlib import Path

from remusnet.lab.runs import TERMINAL, Job, Run
from remusnet.lab.uml import Uml

_INPUT = "input"
_PROMPT = r"lab:\w# "
_SOME = 1 << 16
_PATIENCE_S = 0.1


def commands(text: str, place: Path, folder: Path | None) -> Job:
    """A job that is a shell which reads ``text``, in ``place``; ``folder`` may be written."""
    return Job(
        ["sh", "-c", f'exec sh <"$LAB_JOB/{_INPUT}"'],
        {},
        place,
        [folder] if folder else [],
        {_INPUT: text},
    )


def interactive(lab: Uml, place: Path, folder: Path | None) -> int:
    """A shell on our own terminal, until it ends; its exit status.

    Raises ``LabUnavailable`` and ``LabDied``.
    """
    shell = ["bash", "--norc"] if shutil.which("bash") else ["sh"]
    size = shutil.get_terminal_size()
    script = 'stty cols "$1" rows "$2"; shift 2; exec "$@"'
    job = Job(
        ["sh", "-c", script, "sh", str(size.columns), str(size.lines), *shell],
        {"PS1": _PROMPT, "TERM": os.environ.get("TERM", "dumb")},
        place,
        [folder] if folder else [],
        {TERMINAL: ""},
    )
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(sys.stdin)
    try:
        with lab.start(job, terminal=theirs) as run:
            tty.setraw(sys.stdin)
            _converse(run, ours)
            return run.wait(1).status
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)
        os.close(ours)
        os.close(theirs)


def _converse(run: Run, console: int) -> None:
    """Pass on both ways until the kernel has ended and said all."""
    while True:
        ended = run.ended()
        sources = [console] if ended else [console, 0]
        ready = select.select(sources, [], [], 0 if ended else _PATIENCE_S)[0]
        if console in ready:
            os.write(1, os.read(console, _SOME))
        if 0 in ready:
            os.write(console, os.read(0, _SOME))
        if ended and not ready:
            return

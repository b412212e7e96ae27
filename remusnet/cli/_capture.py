"""Reading the capture that a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._progress import Progress
from remusnet.cli.names import PROGRAM
from remusnet.errors import InvalidInput, quoted
from remusnet.units import format_size

if TYPE_CHECKING:
    from remusnet.capture import Capture


def read_frames(source: str, progress: Progress) -> Capture:
    """The capture ``source``, with its warnings on standard error.

    Raises InvalidInput as `remusnet.capture.read` does, and where there is no frame in it.
    """
    from remusnet.capture import read

    progress.step(f"reading {_described(source)}")
    recording = read(source)
    if not len(recording.frames):
        # Damage before the first frame is told once: it is why there are none.
        why = recording.warnings[0] if recording.warnings else quoted(recording.name)
        raise InvalidInput(f"no frames: {why}")
    if recording.warnings:
        progress.hide()
    for warning in recording.warnings:
        click.echo(f"{PROGRAM}: warning: {warning}", err=True)
    return recording


def _described(source: str) -> str:
    if source == "-":
        return "standard input"
    try:
        return f"{quoted(source)} ({format_size(Path(source).stat().st_size)})"
    except (OSError, ValueError):
        return quoted(source)

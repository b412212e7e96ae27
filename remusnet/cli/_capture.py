"""Reading the capture that a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from remusnet.cli._progress import Progress
from remusnet.cli._terminal import warn
from remusnet.errors import quoted
from remusnet.units import format_size

if TYPE_CHECKING:
    from remusnet.capture import Capture


def read_frames(progress: Progress, source: str) -> Capture:
    """The capture ``source``, with its warnings on standard error.

    Raises as `remusnet.capture.read_frames` does.
    """
    from remusnet.capture import read_frames as read

    progress.step(f"reading {_described(source)}")
    recording = read(source)
    if recording.warnings:
        progress.hide()
    warn(recording.warnings)
    return recording


def _described(source: str) -> str:
    if source == "-":
        return "standard input"
    try:
        return f"{quoted(source)} ({format_size(Path(source).stat().st_size)})"
    except (OSError, ValueError):
        return quoted(source)

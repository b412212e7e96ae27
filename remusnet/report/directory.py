"""The folder of a report: every file of it is the same in two runs of the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from remusnet.capture import write
from remusnet.errors import Conflict, InvalidInput, quoted
from remusnet.frames import Frames
from remusnet.report.assertions import Checked
from remusnet.report.csv_files import csv_files
from remusnet.report.document import report_json
from remusnet.report.measures import Measurements
from remusnet.report.page import FileBeside, report_page

PAGE = "index.html"
_BESIDE = {
    "report.json": "all numbers",
    "streams.csv": "a row for each stream, policy and jitter buffer",
    "packets.csv": "a row for each RTP packet",
    "epochs.csv": "a row for each checkpoint",
}


def prepare(directory: Path) -> None:
    """Make the folder, so that what stands in the way is known before the work.

    A folder that has files of an older report gets the new ones. Raises InvalidInput for what is
    no folder, Conflict for a folder with files in it that are of no report.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InvalidInput(f"{quoted(str(directory))} is no folder") from None
    if not (directory / PAGE).exists() and any(directory.iterdir()):
        raise Conflict(f"{quoted(str(directory))} has files in it, and they are of no report")


def write_report(
    directory: Path,
    measurements: Measurements,
    checked: Sequence[Checked],
    released: Sequence[Frames] = (),
    command: str | None = None,
) -> None:
    """Write the page, JSON, CSV, and the frames of each run that has some, into ``directory``.

    ``command``: what the page says has made it. Raises MissingDependency without matplotlib.
    """
    # A scenario may keep none.
    captures = {
        released_name(outcome.policy): frames
        for outcome, frames in zip(measurements.comparison.outcomes, released, strict=False)
    }
    beside = [FileBeside(name, has) for name, has in _BESIDE.items()]
    beside += [FileBeside(name, "what was released, as a capture") for name in captures]
    texts = {
        PAGE: report_page(measurements, checked, command=command, files=beside),
        "report.json": report_json(measurements, checked),
        **csv_files(measurements),
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8", newline="\n")
    for name, frames in captures.items():
        write(directory / name, frames)


def released_name(policy: str) -> str:
    """The capture of what left under ``policy``."""
    return f"released-{policy}.pcap"

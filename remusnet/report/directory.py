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
from remusnet.report.page import report_page

PAGE = "index.html"


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
) -> None:
    """Write the page, JSON, CSV, and the frames of each run that has some, into ``directory``.

    Raises MissingDependency without matplotlib.
    """
    texts = {
        PAGE: report_page(measurements, checked),
        "report.json": report_json(measurements, checked),
        **csv_files(measurements),
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8", newline="\n")
    # A scenario may keep none.
    for outcome, frames in zip(measurements.comparison.outcomes, released, strict=False):
        write(directory / f"released-{outcome.policy}.pcap", frames)

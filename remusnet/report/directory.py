"""The folder of a report: every file of it is the same in two runs of the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from remusnet.capture import write
from remusnet.frames import Frames
from remusnet.report.assertions import Checked
from remusnet.report.csv_files import csv_files
from remusnet.report.document import report_json
from remusnet.report.folder import prepare, replaced
from remusnet.report.measures import Measurements
from remusnet.report.page import report_page

PAGE = "index.html"
__all__ = ["PAGE", "prepare", "write_report"]


def write_report(
    directory: Path,
    measurements: Measurements,
    checked: Sequence[Checked],
    released: Sequence[Frames] = (),
) -> None:
    """Write the page, JSON, CSV, and the frames of each run that has some, into ``directory``.

    The folder takes the place of an older report's when all of it is written. Raises
    MissingDependency without matplotlib, and what `prepare` raises.
    """
    texts = {
        PAGE: report_page(measurements, checked),
        "report.json": report_json(measurements, checked),
        **csv_files(measurements),
    }
    with replaced(directory) as folder:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        # A scenario may keep none.
        for outcome, frames in zip(measurements.comparison.outcomes, released, strict=False):
            write(folder / f"released-{outcome.policy}.pcap", frames)

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
from remusnet.report.page import FileBeside, report_page

PAGE = "index.html"
__all__ = ["PAGE", "prepare", "write_report"]

_BESIDE = {
    "report.json": "all numbers",
    "streams.csv": "a row for each stream, policy and jitter buffer",
    "packets.csv": "a row for each RTP packet",
    "epochs.csv": "a row for each epoch that held something",
}


def write_report(
    directory: Path,
    measurements: Measurements,
    checked: Sequence[Checked],
    released: Sequence[Frames] = (),
    command: str | None = None,
) -> None:
    """Write the page, JSON, CSV, and the frames of each run that has some, into ``directory``.

    The folder takes the place of an older report's when all of it is written. ``command``: what the
    page says has made it. Raises MissingDependency without matplotlib, and what `prepare` raises.
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
    with replaced(directory) as folder:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        for name, frames in captures.items():
            write(folder / name, frames)


def released_name(policy: str) -> str:
    """The capture of what left under ``policy``."""
    return f"released-{policy}.pcap"

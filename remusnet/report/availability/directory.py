"""The folder of an availability report: a page, JSON and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from remusnet.report.availability.document import as_text
from remusnet.report.availability.page import Told, availability_page
from remusnet.report.folder import replaced
from remusnet.report.page import FileBeside

PAGE = "index.html"
KIND = "a report of availability"


def write_availability(
    directory: Path, told: Told, document: Mapping[str, object], csv: str
) -> Path:
    """Write the report into ``directory``, in the place of an older one; its page.

    Raises MissingDependency without matplotlib, and what `folder.prepare` raises.
    """
    files = (FileBeside("report.json", "all numbers"), FileBeside("values.csv", "a row for each"))
    texts = {
        PAGE: availability_page(replace(told, files=files)),
        "report.json": as_text(document),
        "values.csv": csv,
    }
    with replaced(directory, KIND) as folder:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return directory / PAGE

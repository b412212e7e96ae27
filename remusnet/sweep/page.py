"""The folder of a sweep: a page with its curves, tables as CSV, all of it as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from remusnet.report.assertion_syntax import parse
from remusnet.report.drawing import inline, style, to_svg
from remusnet.report.figures import Caption
from remusnet.report.folder import replaced
from remusnet.report.page import Drawn, FileBeside
from remusnet.report.templating import markup, render
from remusnet.sweep.choice import Choice, of_trade
from remusnet.sweep.curves import curves, head, pareto
from remusnet.sweep.running import Asked
from remusnet.sweep.table import Mean, Row, means_csv, seen, tidy_csv
from remusnet.sweep.trade import knees, name_of, short

KIND: Final = "a sweep"
PAGE: Final = "index.html"
MOST_ROWS: Final = 4
"""Curves of a figure and columns of a table: as many as fit on a sheet of paper, or a screen."""
_FILES = (
    FileBeside("runs.csv", "a row for each number of each run"),
    FileBeside("means.csv", "a row for each number, with its 95 % interval over the runs"),
    FileBeside("sweep.json", "the same, and what was chosen"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template shows. ``unseen``: metrics that no run had a reading of."""

    title: str
    choice: Choice | None
    setting: tuple[tuple[str, str], ...]
    figures: tuple[Drawn, ...]
    tables: tuple[tuple[str, list[str], list[tuple[str, list[str]]]], ...]
    command: str | None
    unseen: tuple[str, ...] = ()
    files: tuple[FileBeside, ...] = _FILES

    @property
    def contents(self) -> list[tuple[str, str]]:
        """The sections: identifiers and titles."""
        drawn = [(each.caption.name, each.caption.title) for each in self.figures]
        return [*drawn, ("points", "All points"), ("made", "How it was made")]


@dataclass(frozen=True, slots=True)
class Tuned:
    """A tuning: its words, its JSON, and its requirements, whose limits are drawn."""

    choice: Choice
    document: dict[str, object]
    requirements: Sequence[str]


def as_json(means: Sequence[Mean]) -> dict[str, object]:
    """As ``sweep --json`` has it."""
    return {
        "points": [each.to_json() for each in means],
        "knees": [each.to_json() for each in knees(means)],
    }


def write_sweep(
    directory: Path,
    rows: Sequence[Row],
    means: Sequence[Mean],
    asked: Sequence[Asked],
    keys: Sequence[str],
    *,
    title: str,
    setting: Sequence[tuple[str, str]],
    command: str | None = None,
    tuned: Tuned | None = None,
) -> None:
    """Write page, CSV and JSON into ``directory``; the same bytes for the same numbers.

    Without ``tuned`` the knee of the trade is what it recommends. Raises MissingDependency without
    matplotlib, and what `replaced` raises.
    """
    words = tuned.choice if tuned else of_trade(means)
    limits = [_limit(text) for text in tuned.requirements] if tuned else []
    there = seen(asked, means)
    page = Page(
        title=title,
        choice=words,
        setting=tuple(setting),
        figures=tuple(_figures(means, there, words, limits)),
        tables=tuple(
            (name, [head(each) for each in part], rows)
            for part in _parts(there)
            for name, rows in tables(means, part)
        ),
        unseen=tuple(each.text for each in asked if each not in there),
        command=command,
    )
    document = as_json(means)
    if tuned:
        document["choice"] = tuned.document
    texts = {
        PAGE: render("sweep.html.j2", page=page),
        "runs.csv": tidy_csv(rows, asked, keys),
        "means.csv": means_csv(means, asked, keys),
        "sweep.json": json.dumps(document, indent=2) + "\n",
    }
    with replaced(directory, KIND) as folder:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")


def tables(
    means: Sequence[Mean], asked: Sequence[Asked]
) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """A table for each policy and setting: its name, and a row of numbers for each interval."""
    cells: dict[str, dict[int, dict[str, Mean]]] = {}
    for each in means:
        cells.setdefault(name_of(each), {}).setdefault(each.interval_ns, {})[each.metric] = each
    for name, rows in cells.items():
        yield (
            name,
            [
                (short(interval), [_cell(row.get(each.text)) for each in asked])
                for interval, row in sorted(rows.items())
            ],
        )


def _cell(mean: Mean | None) -> str:
    if mean is None or mean.mean is None:
        return "-"
    return "never" if mean.mean == float("inf") else f"{mean.mean:.4g}"


def _figures(
    means: Sequence[Mean],
    asked: Sequence[Asked],
    words: Choice | None,
    limits: Sequence[tuple[str, float]],
) -> Iterator[Drawn]:
    chosen = words.interval_ns if words else None
    marked = " Dotted: the interval above." if chosen else ""
    if words and words.good_ns:
        marked += " Green: others that are as good."
    if limits:
        marked += " Dashed: what was required."
    points = f"Each point is a run, or the mean of several with its 95 % interval.{marked}"
    with style():
        found = [
            (
                Caption(
                    f"curves-{number}" if number > 1 else "curves",
                    "What the interval changes" + (f" ({number})" if number > 1 else ""),
                    points if number == 1 else "",
                ),
                curves(
                    means,
                    part,
                    chosen_ns=chosen,
                    good_ns=words.good_ns if words else None,
                    limits=limits,
                ),
            )
            for number, part in enumerate(_parts(asked), 1)
        ]
        found.append(
            (
                Caption(
                    "pareto",
                    "What is paid for what",
                    "A point for each interval (ms): throughput that checkpoints cost against how "
                    "long TCP is held. On the line no other interval is better in both.",
                ),
                pareto(means, chosen),
            )
        )
        for caption, made in found:
            if made is not None:
                yield Drawn(caption, markup(inline(to_svg(made), caption.name, caption.title)))


def _parts(asked: Sequence[Asked]) -> list[Sequence[Asked]]:
    return [asked[at : at + MOST_ROWS] for at in range(0, len(asked), MOST_ROWS)]


def _limit(text: str) -> tuple[str, float]:
    """What a requirement is about, as the curves name it, and its limit."""
    found = parse(text)
    return found.metric.path, found.limit

"""The folder of a sweep: a page with its curves, tables as CSV, all of it as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.report.assertion_syntax import parse
from remusnet.report.assertions import shown
from remusnet.report.drawing import inline, style, to_svg
from remusnet.report.figures import Caption
from remusnet.report.folder import replaced
from remusnet.report.metric_table import METRICS
from remusnet.report.page import Drawn, FileBeside
from remusnet.report.templating import markup, render
from remusnet.sweep.curves import curves, head, name_of, pareto
from remusnet.sweep.optimum import FLAT, Nothing, Optimum
from remusnet.sweep.running import Asked, Kept
from remusnet.sweep.table import Mean, Row, means_csv, tidy_csv
from remusnet.units import format_duration

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
class Requirement:
    """A requirement at the chosen interval, or why there is none."""

    text: str
    good: bool
    word: str
    seen: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What a tuning came to, in words. ``headline``: the interval, or that there is none.

    ``good_ns``: from where to where others are as good.
    """

    found: bool
    headline: str
    requirements: tuple[Requirement, ...]
    lines: tuple[str, ...]
    interval_ns: int | None
    good_ns: tuple[int, int] | None = None


def choice(result: Optimum | Nothing, objective: Asked, *, maximise: bool) -> Choice:
    """The words for a tuning's result; the same in the terminal and on the page."""
    metric = METRICS[objective.metric]
    if isinstance(result, Nothing):
        needed = tuple(
            Requirement(each.text, False, "never", f"nearest: {_worst(each)}")
            for each in result.never
        ) or tuple(
            Requirement(text, False, "apart", f"kept by {kept} of {len(result.tried)} intervals")
            for text, kept in result.apart
        )
        why = (
            "No interval of the range keeps what is required"
            if result.never
            else "Each requirement is kept by some intervals, but no interval keeps all"
        )
        return Choice(False, why, needed, (), None)
    best = result.best
    low, high = (short(each) for each in result.flat_ns)
    required = tuple(
        Requirement(
            each.text, True, "binds" if each.text in result.binding else "holds", _worst(each)
        )
        for each in best.requirements
    )
    lines = [f"{objective.text} is {shown(metric, best.value or 0.0)} there."]
    if result.flat_ns[0] < result.flat_ns[1]:
        within = "at least" if maximise else "at most"
        lines.append(
            f"From {low} to {high} it is {within} {FLAT:.0%} "
            f"{'less' if maximise else 'more'}, and all requirements hold."
        )
    else:
        lines.append(f"No other interval that was tried is within {FLAT:.0%} of it.")
    if result.at_end:
        lines.append("It is an end of the range: a wider --interval may have a better one.")
    return Choice(
        True,
        f"Checkpoint interval: {short(best.interval_ns)}",
        required,
        tuple(lines),
        best.interval_ns,
        result.flat_ns,
    )


def choice_json(result: Optimum | Nothing, objective: Asked) -> dict[str, object]:
    """As ``tune --json`` has it."""
    tried = [
        {"interval_ms": each.interval_ns / NS_PER_MS, "value": each.value, "holds": each.feasible}
        for each in result.tried
    ]
    if isinstance(result, Nothing):
        return {
            "interval_ms": None,
            "metric": objective.text,
            "never": [{"assertion": each.text, "nearest": each.worst} for each in result.never],
            "apart": [{"assertion": text, "intervals": kept} for text, kept in result.apart],
            "tried": tried,
        }
    return {
        "interval_ms": result.best.interval_ns / NS_PER_MS,
        "metric": objective.text,
        "value": result.best.value,
        "flat_ms": [each / NS_PER_MS for each in result.flat_ns],
        "at_end": result.at_end,
        "requirements": [
            {"assertion": each.text, "worst": each.worst, "binds": each.text in result.binding}
            for each in result.best.requirements
        ],
        "tried": tried,
    }


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template shows."""

    title: str
    choice: Choice | None
    setting: tuple[tuple[str, str], ...]
    figures: tuple[Drawn, ...]
    tables: tuple[tuple[str, list[str], list[tuple[str, list[str]]]], ...]
    command: str | None
    files: tuple[FileBeside, ...] = _FILES

    @property
    def contents(self) -> list[tuple[str, str]]:
        """The sections: identifiers and titles."""
        drawn = [(each.caption.name, each.caption.title) for each in self.figures]
        return [*drawn, ("points", "All points"), ("made", "How it was made")]


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
    tuned: tuple[Choice, dict[str, object], Sequence[str]] | None = None,
) -> None:
    """Write page, CSV and JSON into ``directory``; the same bytes for the same numbers.

    ``tuned``: a tuning's words, its JSON, and its requirements, whose limits are drawn. Raises
    MissingDependency without matplotlib, and what `replaced` raises.
    """
    words = tuned[0] if tuned else None
    limits = [_limit(text) for text in tuned[2]] if tuned else []
    page = Page(
        title=title,
        choice=words,
        setting=tuple(setting),
        figures=tuple(_figures(means, asked, words, limits)),
        tables=tuple(
            (name, [head(each) for each in part], rows)
            for part in _parts(asked)
            for name, rows in tables(means, part)
        ),
        command=command,
    )
    document: dict[str, object] = {"points": [each.to_json() for each in means]}
    if tuned:
        document["choice"] = tuned[1]
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
    """For each policy and setting: its name, and a row of numbers for each interval."""
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
    marked = (
        " Dotted: the interval that was chosen; green: others that are as good; dashed: what was "
        "required."
        if words
        else ""
    )
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


def _worst(kept: Kept) -> str:
    if kept.worst is None:
        return "nothing to look at"
    return f"worst {shown(parse(kept.text).metric, kept.worst)}"


def short(ns: int) -> str:
    """An interval to four digits: 86.56ms."""
    digits = len(str(ns)) - 4
    return format_duration(round(ns, -digits) if digits > 0 else ns)

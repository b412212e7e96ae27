"""What assertions can ask for, for a person and for a script."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.console import Console

from remusnet.errors import InvalidInput, quoted, suggestion
from remusnet.report.layout import Column, print_records, print_sentence
from remusnet.report.measures import Metric
from remusnet.report.metric_table import METRICS

_COLUMNS = (Column("METRIC", roomy=22), Column("UNIT", roomy=6), Column("IS", prose=True))


def metrics_below(words: Iterable[str]) -> list[Metric]:
    """The metrics that one of ``words`` is, or is the beginning of: ``rtp.jitter``; without, all.

    Raises InvalidInput for a word that begins none.
    """
    words = tuple(words)
    for word in words:
        if not any(_below(path, word) for path in METRICS):
            beginnings = {path.partition(".")[0]: None for path in METRICS}
            raise InvalidInput(
                f"unknown metric {quoted(word)}{suggestion(word, [*METRICS, *beginnings])}; "
                f"they begin with {', '.join(beginnings)}"
            )
    return [
        metric
        for path, metric in METRICS.items()
        if not words or any(_below(path, word) for word in words)
    ]


def _below(path: str, word: str) -> bool:
    return f"{path}.".startswith(f"{word.removesuffix('.')}.")


def print_metrics(console: Console, metrics: Iterable[Metric]) -> None:
    """Tables, one for each set of selectors."""
    groups: dict[tuple[str, ...], list[Metric]] = {}
    for metric in metrics:
        groups.setdefault(metric.keys, []).append(metric)
    for number, (keys, group) in enumerate(groups.items()):
        if number:
            console.print()
        print_sentence(console, f"Selectors: {', '.join(keys)}", "bold", indent=4)
        rows = [(each.path, each.unit or "number", each.meaning) for each in group]
        print_records(console, _COLUMNS, rows)


def metrics_json(metrics: Iterable[Metric]) -> str:
    """The document of ``metrics --json``: a list, in the order of the tables."""
    found = [
        {
            "metric": each.path,
            "unit": str(each.unit),
            "meaning": each.meaning,
            "selectors": list(each.keys),
        }
        for each in metrics
    ]
    return json.dumps(found, indent=2)

"""The results of a sweep: a tidy table of all runs, and what repetitions come to together."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from remusnet.metrics.percentiles import NS_PER_MS, rounded
from remusnet.report.measures import Metric
from remusnet.report.metric_table import METRICS
from remusnet.sweep.grid import Settings
from remusnet.sweep.running import Asked, Done, Task

# Student's t of 95 %, two-sided, by degrees of freedom: scipy's, which is an extra.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one run."""

    interval_ns: int
    settings: Settings
    policy: str
    seed: int
    metric: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a number over ``runs`` repetitions, and its 95 % interval (Student's t).

    ``low`` and ``high`` are None with one run; ``mean`` is None where no run has the metric, and
    infinite where one has no end.
    """

    interval_ns: int
    settings: Settings
    policy: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    runs: int

    def to_json(self) -> dict[str, object]:
        """An element of ``points``."""
        return {
            "interval_ms": self.interval_ns / NS_PER_MS,
            "set": dict(self.settings),
            "policy": self.policy,
            "metric": self.metric,
            "mean": _number(self.mean),
            "low": _number(self.low),
            "high": _number(self.high),
            "runs": self.runs,
        }


def rows(task: Task, done: Done) -> Iterator[Row]:
    """The rows of a point."""
    for each in done.values:
        yield Row(task.interval_ns, task.settings, each.policy, task.seed, each.metric, each.value)


def means(found: Iterable[Row]) -> list[Mean]:
    """The mean of each number over its repetitions, in the order in which they are first there."""
    groups: dict[tuple[int, Settings, str, str], list[float | None]] = {}
    for row in found:
        key = (row.interval_ns, row.settings, row.policy, row.metric)
        groups.setdefault(key, []).append(row.value)
    return [Mean(*key, *_mean(values), len(values)) for key, values in groups.items()]


def _mean(values: Sequence[float | None]) -> tuple[float | None, float | None, float | None]:
    there = [value for value in values if value is not None]
    if not there:
        return None, None, None
    if not all(map(math.isfinite, there)):
        return math.inf, None, None
    middle = fmean(there)
    if len(there) < 2:
        return middle, None, None
    student = _STUDENT[len(there) - 2] if len(there) - 2 < len(_STUDENT) else 1.96
    half = student * stdev(there) / math.sqrt(len(there))
    return middle, middle - half, middle + half


def tidy_csv(found: Sequence[Row], asked: Sequence[Asked], keys: Sequence[str]) -> str:
    """A line for each number of each run; a metric without readings has an empty value."""
    header = ["interval_ms", *keys, "policy", "seed", "metric", "unit", "value"]
    unit = units(asked)
    lines = (
        [
            _ms(row.interval_ns),
            *(value for _, value in row.settings),
            row.policy,
            row.seed,
            row.metric,
            unit[row.metric],
            _text(row.value),
        ]
        for row in found
    )
    return _csv(header, lines)


def means_csv(found: Sequence[Mean], asked: Sequence[Asked], keys: Sequence[str]) -> str:
    """A line for each number, over its repetitions."""
    header = ["interval_ms", *keys, "policy", "metric", "unit", "mean", "low", "high", "runs"]
    unit = units(asked)
    lines = (
        [
            _ms(each.interval_ns),
            *(value for _, value in each.settings),
            each.policy,
            each.metric,
            unit[each.metric],
            *map(_text, (each.mean, each.low, each.high)),
            each.runs,
        ]
        for each in found
    )
    return _csv(header, lines)


def seen(asked: Sequence[Asked], found: Sequence[Mean]) -> list[Asked]:
    """Those that any run had a reading of: a scenario without SIP has no set-up."""
    there = {each.metric for each in found if each.mean is not None}
    return [each for each in asked if each.text in there]


def units(asked: Sequence[Asked]) -> dict[str, str]:
    """The unit of each metric, by its text."""
    found: dict[str, Metric] = {each.text: METRICS[each.metric] for each in asked}
    return {text: str(metric.unit) for text, metric in found.items()}


def _csv(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()


def _ms(ns: int) -> str:
    return f"{ns / NS_PER_MS:.6g}"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else rounded(value)

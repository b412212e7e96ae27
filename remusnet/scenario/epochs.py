"""What checkpoints of a real guest took: a CSV file with a line for each, read and written.

    interval_ms,at_ms,period_ms,pause_ms,lag_ms,backlog_bytes,dirty_bytes
    200,0,,12.1,8.4,18220,
    200,220.7,220.7,11.8,8.2,20512,4194304

docs/reference/epochs-file.md says what the columns mean; any replicator can write them.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from remusnet.errors import InvalidInput, quoted, suggestion
from remusnet.schedule import LONGEST_NS, MOST_CHECKPOINTS
from remusnet.tables.mistakes import shown_origin

Floats = npt.NDArray[np.float64]

COLUMNS: Final = (
    "interval_ms",
    "at_ms",
    "period_ms",
    "pause_ms",
    "lag_ms",
    "backlog_bytes",
    "dirty_bytes",
)
LARGEST_FILE: Final = 1 << 27
"""Bytes: a million checkpoints, with room."""
_NEEDED = ("pause_ms", "lag_ms")
_NS_PER_MS = 1e6
_LONGEST_MS = LONGEST_NS / _NS_PER_MS
_LONGEST_TRACE_MS = 1e12
_MOST_BYTES = float(1 << 50)
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Trace:
    """n checkpoints in order, all float64[n]: times in ns, sizes in bytes, NaN for unknown.

    ``at_ns``: the suspend; ``period_ns``: since the suspend before; ``pause_ns``: from the suspend
    to the resume; ``lag_ns``: from there to the commit. ``backlog``: what the plug held at the
    suspend. ``dirty``: what had to be copied. ``interval_ns``: what was configured, if it is known.
    """

    name: str
    interval_ns: float | None
    at_ns: Floats
    period_ns: Floats
    pause_ns: Floats
    lag_ns: Floats
    backlog: Floats
    dirty: Floats

    def __len__(self) -> int:
        return len(self.pause_ns)

    @property
    def ran_ns(self) -> Floats:
        """How long the guest ran before each checkpoint: float64[n], unknown for the first."""
        found = np.full(len(self), math.nan)
        found[1:] = self.period_ns[1:] - self.pause_ns[:-1]
        return found


def read(text: str, origin: str) -> Trace:
    """The trace in ``text``; ``origin`` is its file's name. Lines that begin with # say nothing.

    Raises InvalidInput that names each line that is wrong (the first 20).
    """
    name = shown_origin(origin)
    lines = [
        (number, line)
        for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]
    if not lines:
        raise InvalidInput(f"{name}: no line in it; expected the heads {','.join(COLUMNS)}")
    heads = _heads(lines[0][1], name)
    if len(lines) - 1 > MOST_CHECKPOINTS:
        raise InvalidInput(f"{name}: more than {MOST_CHECKPOINTS:,} checkpoints")
    cells = {head: np.full(len(lines) - 1, math.nan) for head in COLUMNS}
    mistakes: list[str] = []
    for row, (number, line) in enumerate(lines[1:]):
        fields = line.split(",")
        if len(fields) != len(heads):
            mistakes.append(f"{name}:{number}: {len(fields)} fields; expected {len(heads)}")
            continue
        for head, field in zip(heads, fields, strict=True):
            try:
                cells[head][row] = _number(head, field.strip())
            except InvalidInput as error:
                mistakes.append(f"{name}:{number}: {error}")
    if len(lines) == 1:
        mistakes.append(f"{name}: no checkpoint in it")
    if mistakes:
        more = len(mistakes) - _MOST_NAMED
        rest = [f"{name}: {more} more mistakes"] if more > 0 else []
        raise InvalidInput("\n".join([*mistakes[:_MOST_NAMED], *rest]))
    return _trace(cells, heads, name)


def write(trace: Trace) -> str:
    """The file of ``trace``: times to 1 us."""
    interval = math.nan if trace.interval_ns is None else trace.interval_ns
    times = (
        np.full(len(trace), interval),
        trace.at_ns,
        trace.period_ns,
        trace.pause_ns,
        trace.lag_ns,
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in range(len(trace)):
        writer.writerow(
            [
                *(_written(each[row] / _NS_PER_MS, 3) for each in times),
                *(_written(each[row], 0) for each in (trace.backlog, trace.dirty)),
            ]
        )
    return text.getvalue()


def _heads(line: str, name: str) -> Sequence[str]:
    heads = [each.strip() for each in line.split(",")]
    for head in heads:
        if head not in COLUMNS:
            raise InvalidInput(
                f"{name}:1: unknown column {quoted(head[:60])}{suggestion(head, COLUMNS)}; "
                f"known are {', '.join(COLUMNS)}"
            )
    twice = [head for head in heads if heads.count(head) > 1]
    if twice:
        raise InvalidInput(f"{name}:1: column {twice[0]} is there twice")
    missing = [head for head in _NEEDED if head not in heads]
    if not {"at_ms", "period_ms"} & set(heads):
        missing.append("period_ms (or at_ms)")
    if missing:
        raise InvalidInput(f"{name}:1: no column {missing[0]}")
    return heads


def _number(head: str, text: str) -> float:
    if not text:
        return math.nan
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    most = _LONGEST_MS if head.endswith("_ms") else _MOST_BYTES
    if head == "at_ms":
        most = _LONGEST_TRACE_MS
    if not 0 <= found <= most:
        raise InvalidInput(f"{head}: {quoted(text[:60])}; expected 0 to {most:g}, or nothing")
    return found


def _trace(cells: dict[str, Floats], heads: Sequence[str], name: str) -> Trace:
    at, period = cells["at_ms"], cells["period_ms"]
    if "period_ms" not in heads:
        period = np.concatenate([[math.nan], np.diff(at)])
        if (period < 0).any():
            raise InvalidInput(f"{name}: at_ms falls: checkpoints have to be in order")
    intervals = np.unique(cells["interval_ms"][~np.isnan(cells["interval_ms"])])
    if len(intervals) > 1:
        raise InvalidInput(
            f"{name}: interval_ms is {intervals[0]:g} and {intervals[1]:g}: one file an interval"
        )
    return Trace(
        name,
        float(intervals[0]) * _NS_PER_MS if len(intervals) else None,
        at * _NS_PER_MS,
        period * _NS_PER_MS,
        cells["pause_ms"] * _NS_PER_MS,
        cells["lag_ms"] * _NS_PER_MS,
        cells["backlog_bytes"],
        cells["dirty_bytes"],
    )


def _written(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}".removesuffix(".000")

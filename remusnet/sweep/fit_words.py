"""What a fit came to: as text, as JSON, and as a guest file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from remusnet.metrics.percentiles import NS_PER_MS, rounded
from remusnet.sweep.fit import Fit, Parameter, Seen

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_RATES = ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"))
_UNKNOWN = "-"


def text(found: Fit) -> str:
    """Parameters, what is left over, and what the traces don't tell; 60 columns are enough."""
    rows = [("parameter", "value", "95 % interval")]
    rows += [
        (
            each.key,
            _shown(each, each.value),
            f"{_shown(each, each.low)} to {_shown(each, each.high)}"
            + ("" if each.known else "  not told"),
        )
        for each in found.parameters
    ]
    lines = [*_table(rows), "", *_table(_rows(found.fitted))]
    if found.checked:
        lines += ["", "not fitted, only compared:", *_table(_rows(found.checked))]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def to_json(found: Fit) -> dict[str, object]:
    """As ``remusnet xen fit --json`` prints it; times in ms."""
    return {
        "name": found.guest.name,
        "parameters": [
            {
                "key": each.key,
                "unit": each.unit,
                "value": rounded(each.value),
                "low": rounded(each.low),
                "high": rounded(each.high),
                "known": each.known,
            }
            for each in found.parameters
        ],
        "late_ms": rounded(found.late_ns / NS_PER_MS),
        "fitted": [_json(each) for each in found.fitted],
        "checked": [_json(each) for each in found.checked],
        "notes": list(found.notes),
    }


def guest_file(found: Fit) -> str:
    """The guest file, with where its numbers are from."""
    traces = ", ".join(each.name.rpartition("/")[2] for each in found.fitted)
    unknown = [each.key for each in found.parameters if not each.known]
    comments = [f"Fitted by remusnet xen fit to {traces}."]
    if unknown:
        comments.append(f"These traces don't tell {', '.join(unknown)}.")
    comments += [f"Note: {note}." for note in found.notes]
    return "".join(f"# {each}\n" for each in comments) + found.guest.to_toml()


def _rows(traces: Sequence[Seen]) -> list[tuple[str, ...]]:
    heads = ("trace", "every", "pause", "fit", "lag", "fit")
    return [
        heads,
        *(
            (
                each.name.rpartition("/")[2],
                _ms(each.interval_ns),
                _ms(each.pause_ns),
                _percent(each.pause_error),
                _ms(each.lag_ns),
                _percent(each.lag_error),
            )
            for each in traces
        ),
    ]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _json(seen: Seen) -> dict[str, object]:
    return {
        "trace": seen.name,
        "interval_ms": None if seen.interval_ns is None else rounded(seen.interval_ns / NS_PER_MS),
        "checkpoints": seen.checkpoints,
        "ran_ms": rounded(seen.ran_ns / NS_PER_MS),
        "pause_ms": rounded(seen.pause_ns / NS_PER_MS),
        "expected_pause_ms": rounded(seen.expected_pause_ns / NS_PER_MS),
        "lag_ms": rounded(seen.lag_ns / NS_PER_MS),
        "expected_lag_ms": rounded(seen.expected_lag_ns / NS_PER_MS),
    }


def _ms(ns: float | None) -> str:
    return _UNKNOWN if ns is None else f"{ns / NS_PER_MS:.4g} ms"


def _percent(share: float) -> str:
    return _UNKNOWN if math.isnan(share) else f"{100 * share:+.1f} %"


def _shown(each: Parameter, value: float) -> str:
    if each.unit == "ns":
        return f"{value / NS_PER_MS:.3g} ms"
    steps = _SIZES if each.unit == "bytes" else _RATES
    for size, unit in steps:
        if value >= 0.99995 * size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g} {each.unit}"

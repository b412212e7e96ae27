"""What a SIP server tells about itself, as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

# Transient actors are summed up: a line a call would be too many to read.
_MOST_OF_A_KIND = 10


def status_json(status: dict[str, Any]) -> str:
    """As the server tells it; docs/reference/sip.md has the fields."""
    return json.dumps(status, indent=2) + "\n"


def status_text(status: dict[str, Any]) -> str:
    """The tree, then the counts."""
    rows = [("actor", "state", "age", "waiting", "restarts")]
    hidden: dict[str, int] = {}
    shown: dict[str, int] = {}
    for actor in status["actors"]:
        path, kind = actor["path"], actor["kind"]
        quiet = not actor["restarts"] and actor["state"] in ("running", "busy")
        if path.rpartition("/")[2].isdigit() and quiet:
            shown[kind] = shown.get(kind, 0) + 1
            if shown[kind] > _MOST_OF_A_KIND:
                hidden[kind] = hidden.get(kind, 0) + 1
                continue
        indent = "  " * path.count("/")
        restarts = f"{actor['restarts']} ({actor['restarts_in_window']} in 30 s)"
        rows.append(
            (
                indent + path.rpartition("/")[2],
                actor["state"],
                _age(actor["age_s"]),
                str(actor["mailbox"]),
                restarts if actor["restarts"] or actor["restarts_in_window"] else "0",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [f"and {count} more of kind {kind}" for kind, count in hidden.items()]
    lines.append("")
    for name in ("calls", "transactions", "bindings"):
        lines.append(f"{name:<13} {status[name]}")
    for name in ("requests", "responses"):
        counts = ", ".join(f"{key} {value}" for key, value in sorted(status[name].items()))
        lines.append(f"{name:<13} {counts or 'none'}")
    for each in status.get("blocked", ()):
        lines.append(f"{'blocked':<13} {each['source']}, for {each['left_s']:.0f} s more")
    if status["store"] != "ok":
        lines.append(f"{'store':<13} away: {status['store']}")
    return "\n".join(lines) + "\n"


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"

"""What a watcher has seen and done, a line each: for a person, for a journal, or as JSON."""

from __future__ import annotations

import json

from remusnet.results.watching import ALARMS, Happening

# sd-daemon(3): journald takes the level from these, where a service's output goes there.
_WARNING, _INFO = "<4>", "<6>"


def happening_line(happening: Happening, *, levels: bool = False) -> str:
    """A sentence; ``levels``: with the level that journald reads."""
    word = "ALARM: " if happening.occasion in ALARMS else ""
    level = (_WARNING if word else _INFO) if levels else ""
    return f"{level}{word}{_harmless(happening.text)}"


def happening_json(happening: Happening) -> str:
    """One line of JSON."""
    return json.dumps(happening.to_json(), allow_nan=False)


def _harmless(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)

"""Who drives a plug, as far as it was seen: values to report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remusnet.plan.rows import Json


class PlugOrder(StrEnum):
    """What a driver tells a plug."""

    BUFFER = "buffer"
    RELEASE = "release"


class Activity(StrEnum):
    """What a driver does now."""

    DRIVES = "drives"
    SILENT = "silent"
    """It should have told the plug something by now."""
    STOPPED = "stopped"
    """A signal has stopped its process."""
    GONE = "gone"
    """Its socket is closed."""


@dataclass(frozen=True, slots=True)
class Driver:
    """Who tells a plug something, again and again.

    ``process``, ``command``: None and empty where /proc doesn't tell, or where each order came from
    another process. ``orders``: how many were seen. ``period_ns``: of a checkpoint, two orders;
    None until three were seen. ``silent_ns``: since the last order. ``last``: which that was,
    ``released_ns``: since the last release; None where it can't be told.
    """

    process: int | None
    command: str
    activity: Activity
    orders: int
    period_ns: int | None
    silent_ns: int
    last: PlugOrder | None = None
    released_ns: int | None = None

    def __str__(self) -> str:
        """As in ``process 4711 (xl)``."""
        if self.process is None:
            return "an unknown process"
        name = f" ({self.command})" if self.command else ""
        return f"process {self.process}{name}"

    def to_json(self) -> Json:
        """All of it; times in nanoseconds."""
        return {
            "process": self.process,
            "command": self.command or None,
            "activity": self.activity.value,
            "orders": self.orders,
            "period_ns": self.period_ns,
            "silent_ns": self.silent_ns,
            "last_order": None if self.last is None else self.last.value,
            "released_ns": self.released_ns,
        }

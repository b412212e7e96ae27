"""What happened to actors, as values and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TextIO


class Change(Enum):
    """What an event tells."""

    SERVER_STARTED = "server-started"
    STARTED = "started"
    FAILED = "failed"
    RESTARTED = "restarted"
    RESUMED = "resumed"
    STOPPED = "stopped"
    ESCALATED = "escalated"
    SERVER_STOPPED = "server-stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one actor.

    ``time_ns``: of the system's clock, which only grows. ``actor``: its path, ``/`` for the system.
    ``kind``: of its spec. ``id``: of the failure that caused the change; a failure and the restart
    that answers it have the same. ``wall``: the date and time (ISO 8601), of the first event only.
    """

    time_ns: int
    actor: str
    kind: str
    id: int | None
    change: Change
    error: str | None = None
    wall: str | None = None

    def line(self) -> str:
        """One line of JSON, without its end."""
        fields: dict[str, object] = {
            "time_ns": self.time_ns,
            "actor": self.actor,
            "kind": self.kind,
            "id": self.id,
            "event": self.change.value,
            "error": self.error,
        }
        if self.wall is not None:
            fields["wall"] = self.wall
        return json.dumps(fields)


class JsonLines:
    """Writes each event to a file as one line, at once: what a crash leaves is whole lines.

    A file that can't be written, on a full disk say, is no failure of the actor whose event it is.
    ``tell``: called when that begins, and when it is over.
    """

    def __init__(self, file: TextIO, tell: Callable[[str], None] = lambda _text: None) -> None:
        self._file = file
        self._tell = tell
        self.failed = 0  # events, since one was written last

    def __call__(self, event: Event) -> None:
        """Write it."""
        try:
            self._file.write(event.line() + "\n")
            self._file.flush()
        except OSError as error:
            self.failed += 1
            if self.failed == 1:
                self._tell(f"events can't be written: {error.strerror or error}")
            return
        if self.failed:
            # What its buffer has kept meanwhile has come before.
            self._tell(f"events are written again; {self.failed} were late or are lost")
            self.failed = 0


def describe(error: BaseException) -> str:
    """An error as events tell it: its class and its message, escaped and bounded."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text[:500].encode("unicode_escape").decode("ascii")

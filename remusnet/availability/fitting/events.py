"""The events that a SIP server's actors leave, as JSON lines, read strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from remusnet.errors import InvalidInput, quoted, suggestion

_MOST_NAMED = 20
_LONGEST = 4000
_LARGEST = 2**63


class Change(Enum):
    """What an event tells; the words are those of ``remusnet sip serve --events``."""

    SERVER_STARTED = "server-started"
    STARTED = "started"
    FAILED = "failed"
    RESTARTED = "restarted"
    RESUMED = "resumed"
    STOPPED = "stopped"
    ESCALATED = "escalated"
    SERVER_STOPPED = "server-stopped"


_CHANGES = {each.value: each for each in Change}
_WITH_ID = (Change.FAILED, Change.RESUMED, Change.ESCALATED)


@dataclass(frozen=True, slots=True)
class Told:
    """One event. ``time_s``: of a clock that only grows while the machine runs.

    ``id``: the failure that caused it. ``wall``: seconds of the world's clock, where it tells.
    """

    time_s: float
    actor: str
    kind: str
    id: int | None
    change: Change
    error: str | None = None
    wall: float | None = None


def read_events(lines: Iterable[str], name: str) -> list[Told]:
    """The events in ``lines`` of a file called ``name``.

    Raises InvalidInput that names each line that is none (the first 20), and where there is none
    at all. A last line without its end is what a server that is writing leaves; it is passed over
    if it is no event.
    """
    found: list[Told] = []
    mistakes: list[str] = []
    unfinished = ""
    for number, line in enumerate(lines, 1):
        unfinished = "" if line.endswith("\n") else line
        if not line.strip():
            continue
        try:
            found.append(_told(line))
        except InvalidInput as error:
            if not unfinished or not found:
                mistakes.append(f"{name}:{number}: {error}")
    if mistakes:
        more = len(mistakes) - _MOST_NAMED
        rest = [f"{name}: {more} more lines are wrong"] if more > 0 else []
        raise InvalidInput("\n".join([*mistakes[:_MOST_NAMED], *rest]))
    if not found:
        raise InvalidInput(f"{name}: no events in it")
    return found


def _told(line: str) -> Told:
    try:
        fields = json.loads(line) if len(line) <= _LONGEST else None
    except (ValueError, RecursionError):
        raise InvalidInput("no JSON") from None
    if not isinstance(fields, dict):
        raise InvalidInput("no JSON object of an event")
    for key in ("time_ns", "actor", "kind", "id", "event"):
        if key not in fields:
            raise InvalidInput(f"no {key} in it")
    word = fields["event"]
    if not isinstance(word, str) or word not in _CHANGES:
        hint = suggestion(word, _CHANGES) if isinstance(word, str) else ""
        raise InvalidInput(f"unknown event {quoted(str(word))}{hint}")
    change = _CHANGES[word]
    number = fields["id"]
    if not _is_whole(number) and (number is not None or change in _WITH_ID):
        raise InvalidInput(f"invalid id: {quoted(str(number))}; expected a failure's number")
    if not _is_whole(fields["time_ns"]):
        raise InvalidInput(f"invalid time_ns: {quoted(str(fields['time_ns']))}; expected ns, 0 up")
    for key in ("actor", "kind"):
        if not isinstance(fields[key], str) or len(fields[key]) > 500:
            raise InvalidInput(f"invalid {key}: {quoted(str(fields[key])[:60])}; expected a name")
    error = fields.get("error")
    return Told(
        time_s=fields["time_ns"] / 1e9,
        actor=fields["actor"],
        kind=fields["kind"],
        id=number,
        change=change,
        error=error if isinstance(error, str) else None,
        wall=_wall(fields.get("wall")),
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _wall(value: object) -> float | None:
    if value is None:
        return None
    try:
        seconds = datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InvalidInput(f"invalid wall: {quoted(str(value)[:60])}; expected a date") from None
    return seconds if math.isfinite(seconds) else None

"""Readings as a plugin of Nagios and its kin prints them: a line, performance data, details.

Monitoring Plugins Development Guidelines: the states and their exit codes, ``'label'=value[UOM];
warn;crit;min;max``, one line first. See https://www.monitoring-plugins.org/doc/guidelines.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

from remusnet.results.monitoring import WARN_FROM, Reading
from remusnet.results.protection import Status

_SERVICE = "REMUSNET"


class State(IntEnum):
    """What a plugin's exit code says."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def nagios(readings: Sequence[Reading], notes: Iterable[str] = ()) -> tuple[State, str]:
    """The state, and all that is to be printed. ``notes``: details that change no state.

    Critical: the kernel is not as it was applied, or a vif that was asked for has no protection.
    Warning: what ``remusnet status`` warns of.
    """
    critical = [f"{name(each)}: {line}" for each in readings for line in _differences(each)]
    warnings = [f"{name(each)}: {line}" for each in readings for line in _warnings(each)]
    if critical:
        state, head = State.CRITICAL, critical[0]
    elif warnings:
        state, head = State.WARNING, warnings[0]
    else:
        state, head = State.OK, _summary(readings)
    found = [*critical, *warnings]
    if len(found) > 1:
        head += f" (and {len(found) - 1} more)"
    values = " ".join(_performance(readings))
    first = f"{_SERVICE} {state.name} - {_plain(head)}" + (f" | {values}" if values else "")
    details = (*found[1:], *notes)
    return state, "".join(f"{line}\n" for line in (first, *map(_plain, details)))


def unknown(problem: str) -> tuple[State, str]:
    """The state and the line where nothing could be read."""
    return State.UNKNOWN, f"{_SERVICE} UNKNOWN - {_plain(problem)}\n"


def name(reading: Reading) -> str:
    """The vifs of a protection, or its buffer device where none is left."""
    return ", ".join(reading.protected.vifs) or reading.protected.buffer


def _summary(readings: Sequence[Reading]) -> str:
    vifs = [vif for each in readings for vif in each.protected.vifs]
    if not vifs:
        return "nothing is protected"
    return f"{len(vifs)} vif{'' if len(vifs) == 1 else 's'} protected as applied"


def _differences(reading: Reading) -> Iterator[str]:
    for each in reading.differences:
        where = "" if each.device in reading.protected.vifs else f"{each.device}: "
        yield f"{where}{each.what}: desired {each.desired}, current {each.current}"


def _warnings(reading: Reading) -> Iterator[str]:
    if reading.status is not None:
        for each in reading.status.warnings:
            if not (reading.differences and each.startswith("not as it was applied")):
                yield each


def _performance(readings: Sequence[Reading]) -> Iterator[str]:
    for each in readings:
        if each.status is not None and each.protected.buffer:
            yield from _values(each, each.status, each.protected.buffer)


def _values(reading: Reading, status: Status, buffer: str) -> Iterator[str]:
    limit = reading.limit
    bounds = "" if limit is None else f";{int(WARN_FROM * limit)};{limit};0;{limit}"
    yield f"{_label(buffer, 'backlog')}={status.backlog}B{bounds}"
    for what, value in (
        ("held", status.held),
        ("bypassed", status.bypassed),
        ("overflowed", status.overflowed),
        ("refused", status.refused),
    ):
        if value is not None:
            yield f"{_label(buffer, what)}={value}c"


def _label(buffer: str, what: str) -> str:
    """A label may have any character but an equals sign; a quote is doubled."""
    return "'" + f"{buffer}_{what}".replace("=", "_").replace("'", "''") + "'"


def _plain(text: str) -> str:
    """One line, without what would begin performance data."""
    return " ".join(text.split()).replace("|", "/")

"""A check of the machine: its subject, what it found, why that matters, what mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from remusnet.errors import MissingDependency, NotPermitted


class CheckState(StrEnum):
    """What a check has found."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"
    """It could not be tried."""


class CheckKind(StrEnum):
    """The thing to change where a check fails."""

    RIGHTS = "rights"
    KERNEL = "kernel"
    TOOL = "tool"
    PYTHON = "python"
    FILES = "files"
    MEMORY = "memory"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``remusnet doctor``.

    ``found``: what was seen, in a few words. ``why``: what needs it. ``mend``: the command that
    mends it, or what to do where there is none; empty where it is ok. ``needed``: whether
    ``remusnet apply`` can't do without it.
    """

    what: str
    kind: CheckKind
    state: CheckState
    found: str
    why: str
    mend: str = ""
    needed: bool = False

    def to_json(self) -> dict[str, object]:
        """As ``remusnet doctor --json`` prints it."""
        return asdict(self)


Look = Callable[[Path], Iterable[Check]]
"""One thing that is looked at: a folder, of the run or the root of a host, to its lines."""


def exit_code(checks: Iterable[Check]) -> int:
    """0 if all that ``apply`` needs may be there, 4 if only rights are missing, else 3."""
    kinds = {each.kind for each in checks if each.needed and each.state is CheckState.MISSING}
    if kinds - {CheckKind.RIGHTS}:
        return MissingDependency.exit_code
    return NotPermitted.exit_code if kinds else 0

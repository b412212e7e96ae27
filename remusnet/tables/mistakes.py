"""Mistakes in a file that a person wrote: where each is, what it is, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.errors import InvalidInput, quoted

_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake. ``path``: its key (``rule[2].source-port``), ``line 3, column 7``, or empty."""

    path: str
    problem: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.problem}; expected {self.expected}"


class MistakenFile(InvalidInput):
    """A file that says nothing remusnet could act on; ``mistakes`` has all the reasons.

    ``str()`` is one line: the origin, how many mistakes there are, and the first.
    """

    def __init__(self, origin: str, mistakes: tuple[Mistake, ...]) -> None:
        self.origin = origin
        self.mistakes = mistakes
        count = f"{len(mistakes)} mistakes, the first: " if len(mistakes) > 1 else ""
        super().__init__(f"{shown_origin(origin)}: {count}{mistakes[0]}")


def shown_origin(origin: str) -> str:
    """A file's name as it is, or in quotes where it could disturb a terminal or a log."""
    return origin if origin.isprintable() else quoted(origin)


def shown(value: object) -> str:
    """A TOML value for a message: short, harmless, and in TOML's own words."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            short = len(value) <= _LONGEST_SHOWN
            return quoted(value if short else f"{value[:_LONGEST_SHOWN]}...")
        case int():
            # TOML has no limit, and Python refuses to print some of what it can read.
            return str(value) if value.bit_length() <= 64 else "a number beyond 64 bits"
        case float():
            return str(value)
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
        case _:
            return "a date or time"

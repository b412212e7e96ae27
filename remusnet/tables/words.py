"""Closed vocabularies in files: reading a word, and saying which there are."""

from __future__ import annotations

from collections.abc import Iterable

from remusnet.errors import suggestion
from remusnet.tables.mistakes import shown


class Unfit(Exception):
    """A value that a key does not take: the ``problem``, and what is ``expected``."""

    def __init__(self, problem: str, expected: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected


def words(known: Iterable[str]) -> str:
    """``"hold" or "bypass"``, ``one of "a", "b", "c"``: a closed vocabulary, for a message."""
    in_quotes = [f'"{word}"' for word in known]
    return " or ".join(in_quotes) if len(in_quotes) < 3 else f"one of {', '.join(in_quotes)}"


def read_word(value: object, known: Iterable[str], what: str) -> str:
    """``value``, if it is one of the ``known`` words; ``what`` they are is for the message.

    Raises Unfit.
    """
    known = [str(word) for word in known]  # an enum's own repr is not for users
    if not isinstance(value, str):
        raise Unfit(f"invalid {what}: {shown(value)}", words(known))
    if value not in known:
        raise Unfit(f"unknown {what}: {shown(value)}{close_to(value, known)}", words(known))
    return value


def close_to(word: str, known: Iterable[str]) -> str:
    """`suggestion` for a word of a file, whatever its case and with ``_`` for ``-``."""
    return suggestion(word.lower().replace("_", "-"), known)

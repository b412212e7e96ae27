"""TOML that people write: its tables, what is wrong with them at first sight, and closed words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from typing import Any

from remusnet.errors import suggestion
from remusnet.tables.mistakes import Mistake, shown


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


_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_TOML_PLACE = re.compile(r"(.*) \(at (?:(line \d+), (column \d+)|(end of document))\)", re.DOTALL)
# tomllib's time grows by the cube of a dotted key's parts, and no key of ours is dotted.
_LONG_DOTTED_KEY = re.compile(
    r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""", re.ASCII
)


def parse(text: str) -> dict[str, Any] | Mistake:
    """The tables of ``text``; broken TOML is one mistake."""
    try:
        if _LONG_DOTTED_KEY.search(text):
            return Mistake("", "a key of too many parts", "plain keys")
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _syntax_mistake(str(error))
    except RecursionError:
        return Mistake("", "nested too deeply", "keys whose values are words, numbers or lists")
    except ValueError:
        # Python's own limit (4300 digits), which tomllib passes on without a place.
        return Mistake("", "a number of too many digits", "numbers of at most five digits")


def _syntax_mistake(message: str) -> Mistake:
    """tomllib's ``Invalid value (at line 1, column 5)`` as a mistake; it quotes with repr()."""
    found = _TOML_PLACE.fullmatch(message)
    problem = found[1] if found else message
    place = "" if not found else found[4] or f"{found[2]}, {found[3]}"
    return Mistake(place, f"broken TOML: {problem[0].lower()}{problem[1:]}", "key = value")


def key_path(prefix: str, key: str) -> str:
    """``rule[2].source-port``: where a key is, for a mistake."""
    plain = key if _BARE_KEY.fullmatch(key) else shown(key)
    return f"{prefix}.{plain}" if prefix else plain


def unknown_keys(
    table: dict[str, Any], known: Iterable[str], prefix: str, mistakes: list[Mistake]
) -> None:
    """Add a mistake for every key of ``table`` that nobody knows."""
    known = list(known)
    for key in table:
        if key not in known:
            problem = f"unknown key{close_to(key, known)}"
            mistakes.append(Mistake(key_path(prefix, key), problem, f"one of {', '.join(known)}"))

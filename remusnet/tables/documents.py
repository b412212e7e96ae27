"""TOML that people write: its text, its tables, closed words, and what is wrong at first sight."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from io import FileIO
from typing import Any

from remusnet.errors import suggestion
from remusnet.files import open_input
from remusnet.tables.mistakes import Mistake, MistakenFile, shown

LARGEST = 1 << 20
"""Bytes of a file that people write."""


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
    """Add a mistake for every key of ``table`` that is not among the ``known`` ones."""
    known = list(known)
    for key in table:
        if key not in known:
            problem = f"unknown key{close_to(key, known)}"
            mistakes.append(Mistake(key_path(prefix, key), problem, f"one of {', '.join(known)}"))


def is_path(word: str) -> bool:
    """Whether a user's ``word`` is the path of a file, not the name of something that ships."""
    return "/" in word or word.endswith(".toml")


def read_text(path: str, largest: int = LARGEST) -> str:
    """The text of the file at ``path``, of ``largest`` bytes at most.

    Raises MistakenFile, one line, for a file that is missing, can not be read, is not UTF-8, or is
    larger.
    """
    try:
        file, first = open_input(path)
        with file:
            content = _read(file, first, largest)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), "a file to read") from None
    except ValueError:  # a null byte, say; Python's own words for it differ between versions
        raise _unreadable(path, "no file can have this name", "a file's name") from None
    if len(content) > largest:
        raise _unreadable(path, "too large", f"at most {largest >> 20} MiB")
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"not UTF-8 (byte {error.start + 1})", "text in UTF-8") from None


def _read(file: FileIO, content: bytes, largest: int) -> bytes:
    """What follows ``content``, one byte more than a file can have at most."""
    while len(content) <= largest:
        more = file.read(largest + 1 - len(content))
        if not more:
            break
        content += more
    return content


def _unreadable(path: str, problem: str, expected: str) -> MistakenFile:
    return MistakenFile(path, (Mistake("", problem, expected),))

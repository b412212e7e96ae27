"""The words of the command line, as Python callers give them: each is read, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from remusnet.errors import InvalidInput, quoted
from remusnet.policy import Policy
from remusnet.policy.toml import load, named_policy
from remusnet.tables.documents import is_path, read_text
from remusnet.units import parse_duration, parse_rate, parse_size

PolicyWord = str | Path | Policy
"""A shipped policy's name, a policy file, or a policy."""


def text(name: str, value: object, example: str) -> str:
    """``value`` if it is text; else InvalidInput: a number says nothing of its unit."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name}: expected text, for example {example}, not {value!r}")
    return value


def duration(name: str, value: object, example: str = "'50ms'") -> int:
    """Nanoseconds of a time as text. Raises InvalidInput."""
    return parse_duration(text(name, value, example))


def rate(name: str, value: object) -> int:
    """Bits a second of a rate as text. Raises InvalidInput."""
    return parse_rate(text(name, value, "'1gbit'"))


def size(name: str, value: object) -> int:
    """Bytes of a size as text. Raises InvalidInput."""
    return parse_size(text(name, value, "'10MB'"))


def path(name: str, value: object) -> str:
    """A name, or a path as text. Raises InvalidInput."""
    if not isinstance(value, str | Path):
        raise InvalidInput(f"{name}: expected a name or a path, not {value!r}")
    return str(value)


def whole(name: str, value: object, least: int, most: int) -> None:
    """Raises InvalidInput where ``value`` is neither None nor a whole number in the range."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(f"{name}: expected a whole number, {least} to {most}, not {value!r}")


def policy(word: object, folder: Path = Path(), name: str = "policy") -> Policy:
    """The policy that ``word`` names; the path of a file begins in ``folder``.

    A `Path` is a file, whatever its name. Raises InvalidInput.
    """
    if isinstance(word, Policy):
        return word
    if isinstance(word, Path):
        file = str(folder / word)
        return load(read_text(file), file)
    return named_policy(from_folder(path(name, word), folder), read_text)


def policies(words: object, folder: Path = Path()) -> tuple[Policy, ...]:
    """Several. Raises InvalidInput, also for one that stands in no list."""
    if isinstance(words, str | bytes) or not isinstance(words, Sequence):
        raise InvalidInput(f"policies: expected a list of names and files, not {words!r}")
    return tuple(policy(each, folder, "policies") for each in words)


def distinct(found: tuple[Policy, ...]) -> tuple[Policy, ...]:
    """``found``. Raises InvalidInput for two of one name: results are told apart by it."""
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"two policies are named {quoted(twice)}; give one another name")
    return found


def from_folder(word: str, folder: Path) -> str:
    """A path from ``folder``; a name stays a name."""
    return str(folder / word) if is_path(word) else word

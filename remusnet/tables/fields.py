"""One table of a file: each key read once, each mistake noted, unknown keys at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, TypeVar

from remusnet.errors import InvalidInput
from remusnet.schedule import LONGEST_NS
from remusnet.tables.documents import Unfit, key_path, read_word, unknown_keys, words
from remusnet.tables.mistakes import Mistake, shown
from remusnet.units import format_duration, parse_duration, parse_rate, parse_size

Word = TypeVar("Word", bound=StrEnum)
Value = TypeVar("Value")

MOST_TABLES = 1000


class Fields:
    """The keys of ``table``, which is at ``path``; mistakes go to the shared list.

    Every reader takes a key and its default (None: the key must be there), notes it as known, and
    gives the default back where the value is a mistake.
    """

    def __init__(self, table: dict[str, Any], path: str, mistakes: list[Mistake]) -> None:
        self.table = table
        self.path = path
        self.mistakes = mistakes
        self._known: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the file has ``key``; it need not be known yet."""
        return key in self.table

    def mistake(self, key: str, problem: str, expected: str, number: int | None = None) -> None:
        """Note a mistake under ``key`` (empty: of the table itself), or in a list's entry there."""
        path = key_path(self.path, key) if key else self.path
        if number is not None:
            path += f"[{number}]"
        self.mistakes.append(Mistake(path, problem, expected))

    def finish(self) -> None:
        """Note every key that no reader asked for."""
        unknown_keys(self.table, self._known, self.path, self.mistakes)

    def duration(
        self, key: str, default: int | None, *, least: int = 0, most: int = LONGEST_NS
    ) -> int:
        """A time in ns of ``"20ms"``; ``least`` to ``most``."""

        def read(value: object) -> int:
            expected = f"a time with its unit, {_range(least, most)}"
            ns = _text_quantity(value, parse_duration, "time", expected)
            if not least <= ns <= most:
                raise Unfit(f"out of range: {shown(value)}", expected)
            return ns

        return self._read(key, default, least, read, f"a time, {_range(least, most)}")

    def rate(self, key: str, default: int | None) -> int:
        """Bits a second of ``"1gbit"``."""
        expected = 'a rate in tc\'s units, such as "1gbit"'
        return self._read(
            key, default, 1, lambda v: _text_quantity(v, parse_rate, "rate", expected), expected
        )

    def size(self, key: str, default: int | None, *, least: int, most: int) -> int:
        """Bytes of ``"256KiB"`` or of a plain number; ``least`` to ``most``."""
        expected = f'a size of {least} to {most} bytes, such as 2000 or "256KiB"'

        def read(value: object) -> int:
            number = isinstance(value, int) and not isinstance(value, bool)
            size = (
                int(str(value)) if number else _text_quantity(value, parse_size, "size", expected)
            )
            if not least <= size <= most:
                raise Unfit(f"out of range: {shown(value)}", expected)
            return size

        return self._read(key, default, least, read, expected)

    def whole(self, key: str, default: int | None, *, least: int, most: int) -> int:
        """A whole number, ``least`` to ``most``."""
        expected = f"a whole number, {least} to {most}"

        def read(value: object) -> int:
            if isinstance(value, bool) or not isinstance(value, int):
                raise Unfit(f"invalid number: {shown(value)}", expected)
            if not least <= value <= most:
                raise Unfit(f"out of range: {shown(value)}", expected)
            return value

        return self._read(key, default, least, read, expected)

    def number(self, key: str, default: float | None, *, least: float, most: float) -> float:
        """A number, ``least`` to ``most``."""
        expected = f"a number, {least:g} to {most:g}"

        def read(value: object) -> float:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise Unfit(f"invalid number: {shown(value)}", expected)
            if not least <= value <= most:  # NaN is in no range
                raise Unfit(f"out of range: {shown(value)}", expected)
            return float(value)

        return self._read(key, default, least, read, expected)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""

        def read(value: object) -> bool:
            if not isinstance(value, bool):
                raise Unfit(f"invalid flag: {shown(value)}", "true or false")
            return value

        return self._read(key, default, default, read, "true or false")

    def word(self, key: str, default: Word, vocabulary: type[Word]) -> Word:
        """One of a closed vocabulary."""
        what = key.replace("-", " ")
        return self._read(
            key,
            default,
            default,
            lambda value: vocabulary(read_word(value, list(vocabulary), what)),
            words(vocabulary),
        )

    def one_of(self, key: str, default: str | None, known: Iterable[str]) -> str:
        """One of some words; without a default it must be there."""
        known = list(known)
        what = key.replace("-", " ")
        return self._read(
            key, default, known[0], lambda value: read_word(value, known, what), words(known)
        )

    def text(self, key: str, default: str | None, expected: str, most: int = 500) -> str:
        """One line of printable text."""

        def read(value: object) -> str:
            if not isinstance(value, str) or not value.isprintable() or len(value) > most:
                raise Unfit(f"invalid text: {shown(value)}", expected)
            return value

        return self._read(key, default, "", read, expected)

    def texts(self, key: str, expected: str) -> tuple[str, ...]:
        """A list of lines of text; a single one is a list of one."""

        def read(value: object) -> tuple[str, ...]:
            items = value if isinstance(value, list) else [value]
            for item in items:
                if not isinstance(item, str) or not item.isprintable():
                    raise Unfit(f"invalid text: {shown(item)}", expected)
            return tuple(items)

        return self._read(key, (), (), read, expected)

    def read(
        self, key: str, default: Value | None, read: Callable[[object], Value], expected: str
    ) -> Value | None:
        """What ``read`` makes of the value, or raises Unfit for; None where that is a mistake."""
        return self._read(key, default, default, read, expected)

    def inner(self, key: str) -> Fields | None:
        """The table ``[key]``; None where there is none."""
        self._known.append(key)
        if key not in self.table:
            return None
        value = self.table[key]
        if isinstance(value, dict):
            return Fields(value, key_path(self.path, key), self.mistakes)
        self.mistake(key, f"{shown(value)} where a table belongs", f"[{key}]")
        return None

    def inners(self, key: str) -> Iterator[Fields]:
        """The tables ``[[key]]``, in order."""
        self._known.append(key)
        tables = self.table.get(key, [])
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            self.mistake(
                key, f"{shown(tables)} where tables belong", f"[[{key}]], in double brackets"
            )
            return
        if len(tables) > MOST_TABLES:
            self.mistake(key, f"too many: {len(tables)}", f"at most {MOST_TABLES}")
            return
        for number, table in enumerate(tables, start=1):
            yield Fields(table, f"{key_path(self.path, key)}[{number}]", self.mistakes)

    def _read(
        self,
        key: str,
        default: Value | None,
        fallback: Value,
        read: Callable[[object], Value],
        expected: str,
    ) -> Value:
        self._known.append(key)
        if key not in self.table:
            if default is None:
                self.mistake(key, "missing", expected)
                return fallback
            return default
        try:
            return read(self.table[key])
        except Unfit as error:
            self.mistake(key, error.problem, error.expected)
            return fallback if default is None else default


def _text_quantity(value: object, parse: Callable[[str], int], what: str, expected: str) -> int:
    if not isinstance(value, str):
        raise Unfit(f"invalid {what}: {shown(value)}", expected)
    try:
        return parse(value)
    except InvalidInput:
        raise Unfit(f"invalid {what}: {shown(value)}", expected) from None


def _range(least: int, most: int) -> str:
    return f"{format_duration(least)} to {format_duration(most)}"

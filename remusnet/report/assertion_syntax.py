"""The language of assertions: ``rtp[policy=tcp-only].jitter.mean < 6ms``.

    assertion = path operator number [ unit ]
    path      = word { "." word } with one selector behind any of its words
    selector  = "[" key "=" value { "," key "=" value } "]"

Spaces mean nothing, except within quotes. docs/reference/assertions.md is what users read.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from remusnet.errors import InvalidInput, quoted, suggestion
from remusnet.report.measures import Metric, Reading, Unit
from remusnet.report.metric_table import METRICS

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_VALUE = re.compile(r"""[^\s,\]\["'=]+""")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNIT = re.compile(r"[A-Za-z%]*")
_SPACE = re.compile(r"\s*")

_UNITS: dict[Unit, dict[str, float]] = {
    Unit.MS: {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4},
    Unit.PERCENT: {"%": 1.0},
    Unit.NUMBER: {"": 1.0},
}
_EXPECTED = {
    Unit.MS: "a time with its unit, for example 6ms",
    Unit.PERCENT: "a share, for example 1%",
    Unit.NUMBER: "a number without a unit",
}


class Operator(Enum):
    """A comparison. ``holds(seen, limit)`` says whether a value keeps to it."""

    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    EQUAL = "=="
    OTHER = "!="

    @property
    def holds(self) -> Callable[[float, float], bool]:
        """The comparison as a function."""
        return _FUNCTIONS[self]


_FUNCTIONS: dict[Operator, Callable[[float, float], bool]] = {
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
    Operator.EQUAL: operator.eq,
    Operator.OTHER: operator.ne,
}
# The longer ones first: < is the beginning of <=.
_OPERATORS = sorted(Operator, key=lambda each: -len(each.value))


@dataclass(frozen=True, slots=True)
class Selector:
    """Only readings whose label ``key`` is ``value``, in which ``*`` stands for anything."""

    key: str
    value: str

    def matches(self, reading: Reading) -> bool:
        """Whether the reading has that label; upper and lower case are the same."""
        label = reading.label(self.key)
        if label is None:
            return False
        pattern = ".*".join(re.escape(part) for part in self.value.split("*"))
        return re.fullmatch(pattern, label, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class Assertion:
    """What must hold of every reading that is selected. ``limit``: in the metric's unit."""

    text: str
    metric: Metric
    selectors: tuple[Selector, ...]
    operator: Operator
    limit: float


def parse(text: str) -> Assertion:
    """The assertion that ``text`` is.

    Raises InvalidInput, in one line with the column of the mistake, for anything else: an unknown
    metric or selector (with a suggestion), a missing operator, a unit that isn't the metric's.
    """
    return _Parser(text).assertion()


class _Parser:
    """Reads from left to right; ``_at`` is where it stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def assertion(self) -> Assertion:
        start = self._at
        words = [self._word("a metric, for example rtp.jitter.mean")]
        selectors: list[tuple[int, Selector]] = []
        while True:
            if self._peek() == "[":
                if selectors:
                    raise self._mistake("one selector only: part what it asks by commas", self._at)
                selectors = self._selectors()
            elif self._peek() == ".":
                self._take(1)
                words.append(self._word("the next word of a metric"))
            else:
                break
        metric = self._metric(".".join(words), start)
        for at, selector in selectors:
            if selector.key not in metric.keys:
                raise self._mistake(
                    f"{metric.path} has no selector {quoted(selector.key)}"
                    f"{suggestion(selector.key, metric.keys)}; it has {', '.join(metric.keys)}",
                    at,
                )
        chosen = self._operator()
        limit = self._limit(metric)
        if self._at < len(self._text):
            raise self._mistake(f"{quoted(self._text[self._at :])} is too much", self._at)
        return Assertion(
            self._text.strip(), metric, tuple(each for _, each in selectors), chosen, limit
        )

    def _metric(self, path: str, at: int) -> Metric:
        if path not in METRICS:
            below = [known for known in METRICS if known.startswith(f"{path}.")]
            hint = suggestion(path, METRICS)
            if below:
                hint = f"; expected one of {', '.join(below)}"
            raise self._mistake(f"unknown metric {quoted(path)}{hint}", at)
        return METRICS[path]

    def _selectors(self) -> list[tuple[int, Selector]]:
        found = []
        while True:
            self._take(1)  # the bracket, or the comma
            at = self._at
            key = self._word("what to select by, for example policy")
            if self._peek() != "=":
                raise self._mistake(f"expected = behind {quoted(key)}", self._at)
            self._take(1)
            found.append((at, Selector(key, self._value())))
            if self._peek() == "]":
                self._take(1)
                return found
            if self._peek() != ",":
                raise self._mistake("expected , or ]", self._at)

    def _value(self) -> str:
        quote = self._peek()
        if quote in ('"', "'"):
            end = self._text.find(quote, self._at + 1)
            if end < 0:
                raise self._mistake(f"a {quote} is missing", self._at)
            value = self._text[self._at + 1 : end]
            self._take(end + 1 - self._at)
            return value
        return self._match(_VALUE, "a value")

    def _operator(self) -> Operator:
        for each in _OPERATORS:
            if self._text.startswith(each.value, self._at):
                self._take(len(each.value))
                return each
        known = " ".join(each.value for each in Operator)
        raise self._mistake(f"expected one of {known}", self._at)

    def _limit(self, metric: Metric) -> float:
        at = self._at
        number = float(self._match(_NUMBER, _EXPECTED[metric.unit]))
        unit = self._match(_UNIT, "a unit")
        units = _UNITS[metric.unit]
        if unit in units:
            # 0.1 + 0.2: a limit of 300us is 0.3 ms, as a user would write it.
            return round(number * units[unit], 9)
        if number == 0 and not unit:
            return 0.0
        raise self._mistake(
            f"{metric.path} needs {_EXPECTED[metric.unit]}, not {quoted(self._text[at:].strip())}",
            at,
        )

    def _word(self, what: str) -> str:
        return self._match(_WORD, what)

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._mistake(f"expected {what}", self._at)
        self._take(found.end() - self._at)
        return found[0]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, count: int) -> None:
        self._at += count
        self._skip()

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _mistake(self, problem: str, at: int) -> InvalidInput:
        where = "the end" if at >= len(self._text) else f"column {at + 1}"
        return InvalidInput(f"assertion {quoted(self._text)}, {where}: {problem}")

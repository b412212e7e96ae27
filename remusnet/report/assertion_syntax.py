"""The language of assertions: ``rtp[policy=tcp-only].jitter.mean < 6ms``.

    assertion = path operator number [ unit ]
    path      = word { "." word } with one selector behind any of its words
    selector  = "[" key "=" value { "," key "=" value } "]"

Spaces mean nothing, except within quotes. docs/reference/assertions.md is what users read.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from remusnet.errors import InvalidInput, quoted, suggestion
from remusnet.report.measures import Metric, Unit
from remusnet.report.metric_table import METRICS

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_VALUE = re.compile(r"""[^\s,\]\["'=]+""")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]{1,3})?")
_UNIT = re.compile(r"/?[A-Za-z%]*")
_SPACE = re.compile(r"\s*")

_UNITS: dict[Unit, dict[str, float]] = {
    Unit.MS: {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4},
    Unit.PERCENT: {"%": 1.0},
    Unit.NUMBER: {"": 1.0},
    Unit.SHARE: {"": 1.0, "%": 0.01},
    Unit.SECONDS: {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    Unit.PER_SECOND: {
        "/s": 1.0,
        "/min": 1 / 60,
        "/h": 1 / 3600,
        "/d": 1 / 86400,
        "/y": 1 / (365.25 * 86400),
    },
}
_EXPECTED = {
    Unit.MS: "a time with its unit, for example 6ms",
    Unit.PERCENT: "a share, for example 1%",
    Unit.NUMBER: "a number without a unit",
    Unit.SHARE: "a share, for example 0.9999 or 99.99%",
    Unit.SECONDS: "a time with its unit, for example 5min",
    Unit.PER_SECOND: "how often, for example 2/y",
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


class Measured(Protocol):
    """What an assertion can ask for: its name, its unit, and the labels that it can select by."""

    @property
    def path(self) -> str:
        """Words between dots."""

    @property
    def unit(self) -> Unit:
        """What its values are counted in."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The labels that its readings can have."""


class Labelled(Protocol):
    """Something that was seen, with labels that say where."""

    def label(self, key: str) -> str | None:
        """The value of a label; None where there is no such label."""


AnyMetric = TypeVar("AnyMetric", bound=Measured)


@dataclass(frozen=True, slots=True)
class Selector:
    """Only readings whose label ``key`` is ``value``, in which ``*`` stands for anything."""

    key: str
    value: str

    def matches(self, reading: Labelled) -> bool:
        """Whether the reading has that label; upper and lower case are the same."""
        label = reading.label(self.key)
        if label is None:
            return False
        pattern = ".*".join(re.escape(part) for part in self.value.split("*"))
        return re.fullmatch(pattern, label, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class Assertion(Generic[AnyMetric]):
    """What must hold of every reading that is selected. ``limit``: in the metric's unit."""

    text: str
    metric: AnyMetric
    selectors: tuple[Selector, ...]
    operator: Operator
    limit: float


def parse(text: str) -> Assertion[Metric]:
    """The assertion about a simulation that ``text`` is. Raises as `parsed`."""
    return parsed(text, METRICS)


def parsed(text: str, metrics: Mapping[str, AnyMetric]) -> Assertion[AnyMetric]:
    """The assertion about one of ``metrics`` that ``text`` is.

    Raises InvalidInput, in one line with the column of the mistake, for anything else: an unknown
    metric or selector (with a suggestion), a missing operator, a unit that isn't the metric's.
    """
    return _Parser(text, metrics).assertion()


class _Parser(Generic[AnyMetric]):
    """Reads from left to right; ``_at`` is where it stands."""

    def __init__(self, text: str, metrics: Mapping[str, AnyMetric]) -> None:
        self._text = text
        self._metrics = metrics
        self._at = 0
        self._skip()

    def assertion(self) -> Assertion[AnyMetric]:
        start = self._at
        words = [self._word(f"a metric, for example {self._example}")]
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

    @property
    def _example(self) -> str:
        usual = "rtp.jitter.mean"
        return usual if usual in self._metrics else next(iter(self._metrics))

    def _metric(self, path: str, at: int) -> AnyMetric:
        if path not in self._metrics:
            below = [known for known in self._metrics if known.startswith(f"{path}.")]
            hint = suggestion(path, self._metrics)
            if below:
                hint = f"; expected one of {', '.join(below)}"
            raise self._mistake(f"unknown metric {quoted(path)}{hint}", at)
        return self._metrics[path]

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

    def _limit(self, metric: AnyMetric) -> float:
        at = self._at
        number = float(self._match(_NUMBER, _EXPECTED[metric.unit]))
        unit = self._match(_UNIT, "a unit")
        units = _UNITS[metric.unit]
        if unit in units:
            # 0.1 + 0.2: a limit of 300us is 0.3 ms, as a user would write it.
            return float(f"{number * units[unit]:.15g}")
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

"""Assertions about measures: ``availability[service=new-calls] >= 0.9999``.

A value from a simulation has an interval. An assertion holds, or fails, where all of the interval
does; else it is undecided, and that is no pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from remusnet.availability.measures import Estimate, MeasureKind
from remusnet.availability.model import Service
from remusnet.availability.module import YEAR
from remusnet.report.assertion_syntax import Assertion, Operator, parsed
from remusnet.report.measures import Unit

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A value with its interval; the ends are None where nothing tells them."""

    value: float
    low: float | None
    high: float | None
    labels: Labels

    def label(self, key: str) -> str | None:
        """The value of a label; None where there is no such label."""
        return next((value for name, value in self.labels if name == key), None)


@dataclass(frozen=True, slots=True)
class Asked:
    """An estimate with the labels that assertions select by; ``service``: whether it is one."""

    estimate: Estimate
    labels: Labels
    service: bool

    def label(self, key: str) -> str | None:
        """The value of a label; None where there is no such label."""
        return dict(self.labels).get(key)


@dataclass(frozen=True, slots=True)
class AvailabilityMetric:
    """Something to assert. ``read``: the range of an estimate, None where it has none."""

    path: str
    unit: Unit
    meaning: str
    keys: tuple[str, ...]
    read: Callable[[Asked], Range | None]


class Verdict(StrEnum):
    """The outcome of an assertion."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Judged:
    """An assertion with what was seen; ``readings`` with a verdict each, the worst first."""

    assertion: Assertion[AvailabilityMetric]
    readings: tuple[tuple[Verdict, Range], ...]
    nothing: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict on all readings; of none it fails: what looks at nothing guards nothing."""
        found = {verdict for verdict, _ in self.readings} or {Verdict.FAILS}
        for each in (Verdict.FAILS, Verdict.UNDECIDED):
            if each in found:
                return each
        return Verdict.HOLDS

    @property
    def passed(self) -> bool:
        """Whether it holds of every reading."""
        return self.verdict == Verdict.HOLDS

    @property
    def seen(self) -> str:
        """The readings, for a person: the worst one, and how many there were."""
        if not self.readings:
            return self.nothing
        verdict, worst = self.readings[0]
        text = shown_range(self.assertion.metric, worst)
        if verdict == Verdict.UNDECIDED:
            text += " is on both sides: undecided, simulate longer"
        elif len(self.readings) > 1:
            text += f" is the worst of {len(self.readings)}"
        return f"{text} ({', '.join(f'{key} {value}' for key, value in worst.labels)})"

    @property
    def message(self) -> str:
        """What a failure says."""
        return f"saw {self.seen}" if self.readings else self.seen

    def to_json(self) -> dict[str, object]:
        """One element of ``assertions``."""
        worst = self.readings[0][1] if self.readings else None
        return {
            "assertion": self.assertion.text,
            "metric": self.assertion.metric.path,
            "verdict": self.verdict.value,
            "passed": self.passed,
            "checked": len(self.readings),
            "value": None if worst is None else _finite(worst.value),
            "low": None if worst is None else _finite(worst.low),
            "high": None if worst is None else _finite(worst.high),
            "where": {} if worst is None else dict(worst.labels),
            "seen": self.seen,
        }


def parse(text: str) -> Assertion[AvailabilityMetric]:
    """The assertion that ``text`` is. Raises InvalidInput, with the column of the mistake."""
    return parsed(text, METRICS)


def asked(
    estimates: Iterable[Estimate], services: Iterable[Service], *labels: tuple[str, str]
) -> list[Asked]:
    """``estimates`` as assertions see them, with ``labels`` before their own."""
    names = {each.name for each in services}
    return [
        Asked(
            each,
            (*labels, ("service" if each.name in names else "measure", each.name)),
            each.name in names,
        )
        for each in estimates
    ]


def judge(
    assertions: Sequence[Assertion[AvailabilityMetric]], found: Sequence[Asked]
) -> tuple[Judged, ...]:
    """Ask each assertion of every estimate that its selectors leave."""
    return tuple(_judged(each, found) for each in assertions)


def shown_range(metric: AvailabilityMetric, seen: Range) -> str:
    """A value, and its interval where that is no point."""
    value = _shown(metric, seen.value)
    if seen.low == seen.high == seen.value:
        return value
    if seen.low is None or seen.high is None:
        return f"{value} (no interval: too little was seen)"
    return f"{value} ({_shown(metric, seen.low)} to {_shown(metric, seen.high)})"


def _judged(assertion: Assertion[AvailabilityMetric], found: Sequence[Asked]) -> Judged:
    metric = assertion.metric
    readings = [each for each in map(metric.read, found) if each is not None]
    chosen = [each for each in readings if all(s.matches(each) for s in assertion.selectors)]
    if not chosen:
        return Judged(assertion, (), _nothing(assertion, readings))
    verdicts = [(_verdict(assertion, each), each) for each in chosen]
    verdicts.sort(key=lambda each: (_ORDER.index(each[0]), _badness(assertion, each[1].value)))
    return Judged(assertion, tuple(verdicts))


_ORDER: Final = (Verdict.FAILS, Verdict.UNDECIDED, Verdict.HOLDS)


def _verdict(assertion: Assertion[AvailabilityMetric], seen: Range) -> Verdict:
    if seen.low is None or seen.high is None:
        return Verdict.UNDECIDED
    chosen, limit = assertion.operator, assertion.limit
    if chosen in (Operator.EQUAL, Operator.OTHER):
        outside = not seen.low <= limit <= seen.high
        if not outside and seen.low != seen.high:
            return Verdict.UNDECIDED
        return Verdict.HOLDS if outside == (chosen == Operator.OTHER) else Verdict.FAILS
    sides = {chosen.holds(end, limit) for end in (seen.low, seen.high)}
    if len(sides) > 1:
        return Verdict.UNDECIDED
    return Verdict.HOLDS if sides.pop() else Verdict.FAILS


def _badness(assertion: Assertion[AvailabilityMetric], value: float) -> float:
    """Smaller the more a value is on the wrong side."""
    if assertion.operator in (Operator.LESS, Operator.AT_MOST):
        return -value
    if assertion.operator in (Operator.MORE, Operator.AT_LEAST):
        return value
    distance = abs(value - assertion.limit)
    return -distance if assertion.operator == Operator.EQUAL else distance


def _nothing(assertion: Assertion[AvailabilityMetric], found: Sequence[Range]) -> str:
    path = assertion.metric.path
    if not found:
        return f"nothing to look at: the model has no {path}"
    for selector in assertion.selectors:
        if not any(selector.matches(each) for each in found):
            known = dict.fromkeys(each.label(selector.key) for each in found)
            names = ", ".join(each for each in known if each is not None)
            problem = f"no {path} has {selector.key} {selector.value}"
            return f"nothing to look at: {problem}; there is {names or 'none'}"
    return f"nothing to look at: no {path} has all that was selected"


def _shown(metric: AvailabilityMetric, value: float) -> str:
    if math.isinf(value):
        return "all"
    if metric.unit == Unit.SECONDS:
        return f"{value:.6g} s"
    if metric.unit == Unit.SHARE:
        return f"{value:.12g}"
    return f"{value:.6g}{' ' if metric.unit else ''}{metric.unit}"


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


def _plain(each: Asked) -> Range:
    found = each.estimate
    return Range(found.value, found.low, found.high, each.labels)


def _service(each: Asked) -> Range | None:
    return _plain(each) if each.service else None


def downtime(estimate: Estimate) -> tuple[float, float | None, float | None] | None:
    """Seconds a year with the ends of the interval; None where it is no probability."""
    if estimate.rest is None:
        return None
    value = estimate.rest * YEAR
    if estimate.low is None or estimate.high is None:
        return value, None, None
    if estimate.low == estimate.high:
        return value, value, value
    return value, (1 - estimate.high) * YEAR, (1 - estimate.low) * YEAR


def nines(seconds: float | None) -> float | None:
    """The nines that so many seconds of downtime a year are."""
    if seconds is None:
        return None
    return -math.log10(seconds / YEAR) if seconds > 0 else math.inf


def _downtime(each: Asked) -> Range | None:
    found = downtime(each.estimate) if each.service else None
    return None if found is None else Range(*found, each.labels)


def _nines(each: Asked) -> Range | None:
    found = downtime(each.estimate) if each.service else None
    if found is None:
        return None
    value, low, high = found
    most = nines(value)
    assert most is not None
    return Range(most, nines(high), nines(low), each.labels)


def _of(kind: MeasureKind) -> Callable[[Asked], Range | None]:
    def read(each: Asked) -> Range | None:
        return _plain(each) if each.estimate.kind == kind and not each.service else None

    return read


_SERVICE_KEYS = ("design", "service")
_MEASURE_KEYS = ("measure",)
METRICS: Final[Mapping[str, AvailabilityMetric]] = {
    each.path: each
    for each in (
        AvailabilityMetric(
            "availability", Unit.SHARE, "share of time that a service is there", _SERVICE_KEYS,
            _service,
        ),
        AvailabilityMetric(
            "downtime", Unit.SECONDS, "time a year that it is not", _SERVICE_KEYS, _downtime
        ),
        AvailabilityMetric(
            "nines", Unit.NUMBER, "nines of its availability: 3 is 99.9 %", _SERVICE_KEYS, _nines
        ),
        AvailabilityMetric(
            "probability", Unit.SHARE, "share of time that an expression holds", _MEASURE_KEYS,
            _of(MeasureKind.PROBABILITY),
        ),
        AvailabilityMetric(
            "mean", Unit.NUMBER, "average of an expression", _MEASURE_KEYS, _of(MeasureKind.MEAN)
        ),
        AvailabilityMetric(
            "rate", Unit.PER_SECOND, "how often a transition fires", _MEASURE_KEYS,
            _of(MeasureKind.RATE),
        ),
    )
}  # fmt: skip

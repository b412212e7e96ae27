"""Assertions against a result: which hold, and what was seen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from remusnet.metrics.percentiles import rounded
from remusnet.report.assertion_syntax import Assertion, Operator
from remusnet.report.measures import Measurements, Metric, Reading, folded, readings

_MOST_VALUES = 5
_CEILINGS = (Operator.LESS, Operator.AT_MOST)
_FLOORS = (Operator.MORE, Operator.AT_LEAST)


@dataclass(frozen=True, slots=True)
class Checked:
    """An assertion and what was seen. ``readings``: all that it was asked of, in order.

    ``worst``: the one that is farthest on the wrong side, or nearest to it; None where there was
    nothing to look at. Then ``nothing`` says why, and the assertion has failed: one that looks at
    nothing guards nothing.
    """

    assertion: Assertion[Metric]
    readings: tuple[Reading, ...]
    worst: Reading | None
    failed: int
    nothing: str = ""

    @property
    def passed(self) -> bool:
        """Whether it holds of every reading, and there was one."""
        return self.worst is not None and self.failed == 0

    @property
    def seen(self) -> str:
        """The values, for a person: the worst one and where, and how many the assertion looked
        at.
        """
        if self.worst is None:
            return self.nothing
        value = shown(self.assertion.metric, self.worst.value)
        where = ", ".join(f"{key} {text}" for key, text in self.worst.labels)
        many = len(self.readings)
        if many == 1:
            return f"{value} ({where})"
        if self.passed:
            return f"{value} is the worst of {many} ({where})"
        return f"{value} is the worst of {many}, {self.failed} failed ({where})"

    @property
    def message(self) -> str:
        """The text of a failure: the values, or why there are none."""
        return f"saw {self.seen}" if self.worst is not None else self.seen

    def to_json(self) -> dict[str, object]:
        """One element of ``assertions``."""
        worst = self.worst
        never = worst is not None and math.isinf(worst.value)
        return {
            "assertion": self.assertion.text,
            "metric": self.assertion.metric.path,
            "unit": str(self.assertion.metric.unit),
            "passed": self.passed,
            "checked": len(self.readings),
            "failed": self.failed,
            "worst": None if worst is None or never else rounded(worst.value),
            "where": {} if worst is None else dict(worst.labels),
            "seen": self.seen,
        }


def evaluate(
    assertions: Iterable[Assertion[Metric]], measurements: Measurements
) -> tuple[Checked, ...]:
    """Ask each assertion of every run and stream that its selectors leave."""
    return tuple(_evaluate(assertion, measurements) for assertion in assertions)


def shown(metric: Metric, value: float) -> str:
    """A value with its unit, to six digits; ``never`` where it is infinite."""
    if math.isinf(value):
        return "never"
    return f"{value:.6g} {metric.unit}".strip()


def _evaluate(assertion: Assertion[Metric], measurements: Measurements) -> Checked:
    metric = assertion.metric
    found = readings(metric, measurements)
    chosen = [
        reading for reading in found if all(each.matches(reading) for each in assertion.selectors)
    ]
    if not chosen:
        return Checked(assertion, (), None, 0, _nothing(assertion, found))
    asked = folded(metric, chosen)
    holds = assertion.operator.holds
    failed = sum(not holds(reading.value, assertion.limit) for reading in asked)
    worst = max(asked, key=lambda reading: _badness(assertion, reading.value))
    return Checked(assertion, tuple(asked), worst, failed)


def _badness(assertion: Assertion[Metric], value: float) -> float:
    """Larger the more a value is on the wrong side."""
    if assertion.operator in _CEILINGS:
        return value
    if assertion.operator in _FLOORS:
        return -value
    distance = abs(value - assertion.limit)
    return distance if assertion.operator is Operator.EQUAL else -distance


def _nothing(assertion: Assertion[Metric], found: list[Reading]) -> str:
    path = assertion.metric.path
    if not found:
        return f"nothing to look at: no run has {path}"
    for selector in assertion.selectors:
        if not any(selector.matches(reading) for reading in found):
            values = {reading.label(selector.key): None for reading in found}
            known = [value for value in values if value is not None]
            more = ", ..." if len(known) > _MOST_VALUES else ""
            return (
                f"nothing to look at: no {path} has {selector.key} {selector.value}; "
                f"there is {', '.join(known[:_MOST_VALUES]) or 'none'}{more}"
            )
    return f"nothing to look at: no {path} has all that was selected"

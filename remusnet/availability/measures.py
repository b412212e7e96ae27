"""Questions to a net, and its answers: value, interval, method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from remusnet.availability.module import YEAR


class MeasureKind(StrEnum):
    """What a measure's text is, and what its value means."""

    PROBABILITY = "probability"
    """The share of time in which an expression holds."""
    MEAN = "mean"
    """An expression's average over time."""
    RATE = "rate"
    """How often a transition fires, a second."""


class Method(StrEnum):
    """How a value came about."""

    EXACT = "exact"
    CLOSED_FORM = "closed form"
    SIMULATION = "simulation"


@dataclass(frozen=True, slots=True)
class Measure:
    """``text``: an expression over places, or the path of a transition."""

    name: str
    text: str
    kind: MeasureKind = MeasureKind.PROBABILITY


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure's value and the ends of its 95 % interval, which is a point unless simulated.

    ``rest`` is 1 - ``value`` of a probability, with all its digits (else None). ``events``: the
    firings that were simulated (else 0). ``low`` and ``high`` are None where nothing was seen
    that could tell them. ``reached``: whether the asked relative error was.
    """

    name: str
    kind: MeasureKind
    value: float
    low: float | None
    high: float | None
    rest: float | None
    method: Method
    detail: str
    events: int = 0
    reached: bool = True

    @property
    def downtime_s_a_year(self) -> float | None:
        """Seconds a year in which it does not hold; None where it is no probability."""
        return None if self.rest is None else self.rest * YEAR

    @property
    def nines(self) -> float | None:
        """-log10 of its rest: 3 is 99.9 %. Infinite where it always holds, None as above."""
        if self.rest is None:
            return None
        return -math.log10(self.rest) if self.rest > 0 else math.inf


def point(
    measure: Measure, value: float, rest: float | None, method: Method, detail: str
) -> Estimate:
    """An estimate that has no error but rounding."""
    return Estimate(measure.name, measure.kind, value, value, value, rest, method, detail)

"""Tables 1 and 2 of the thesis: printed, computed literally, and under each hypothesis.

Nothing is tuned: a hypothesis is a formula of the parameters that the thesis states, and stands
beside what is printed. All are closed forms; `remusnet.availability.models.thesis` has the nets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from remusnet.availability.measures import Measure
from remusnet.availability.models.thesis import MEAN_LIVES_H, REPAIR, SECTIONS, life, standard
from remusnet.availability.module import HOUR, MINUTE
from remusnet.availability.net import Memory
from remusnet.availability.solve import solve

PRINTED_STANDARD: Final = (0.9872581, 0.9736801, 0.9550325)
PRINTED_ACTORS: Final = (0.9993507, 0.9998218, 0.9997122)
HYPOTHESES: Final[Mapping[str, str]] = {
    "A": "a slip of percent: a hundred times the unavailability of sections that keep their age",
    "B": "one token raced for, then all six repairs in a row, their seconds taken for minutes",
    "C": "ten sections that keep their age, repairs of minutes for seconds",
    "D": "six sections that keep their age, each repair 300 minutes",
}
"""What would make the printed column of the standard system; the data can't tell them apart."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of both tables. ``mean_h``: E(X) in hours; ``mu``: of ln(X in seconds)."""

    mean_h: int
    mu: float
    standard_printed: float
    standard_age: float
    standard_resample: float
    actors_printed: float
    actors_computed: float
    hypotheses: Mapping[str, float]

    @property
    def distances(self) -> Mapping[str, float]:
        """Each hypothesis's value less the printed one."""
        return {name: value - self.standard_printed for name, value in self.hypotheses.items()}


def tables(restart_s: float) -> tuple[Row, ...]:
    """The three rows, with an actor's restart of ``restart_s`` seconds, which the thesis lacks."""
    return tuple(
        _row(*each, restart_s)
        for each in zip(MEAN_LIVES_H, PRINTED_STANDARD, PRINTED_ACTORS, strict=True)
    )


def series(mean_s: float, repair_s: float, sections: int) -> float:
    """Sections that keep their age while one is repaired: 1 - n R / (E + n R)."""
    return mean_s / (mean_s + sections * repair_s)


def _row(mean_h: int, standard_printed: float, actors_printed: float, restart_s: float) -> Row:
    mean, repair = mean_h * HOUR, REPAIR.mean
    age = series(mean, repair, SECTIONS)
    (raced,) = solve(standard(mean_h, Memory.RESAMPLE), [Measure("up", "Running > 0")])
    assert raced.rest is not None
    first = repair * raced.value / raced.rest  # the mean time to the first of six failures
    in_minutes = repair * MINUTE
    return Row(
        mean_h=mean_h,
        mu=life(mean_h).mu,
        standard_printed=standard_printed,
        standard_age=age,
        standard_resample=raced.value,
        actors_printed=actors_printed,
        actors_computed=mean / (mean + restart_s),
        hypotheses={
            "A": 1 - 100 * (1 - age),
            "B": first / (first + SECTIONS * in_minutes),
            "C": series(mean, in_minutes, 10),
            "D": series(mean, 300 * MINUTE, SECTIONS),
        },
    )

"""Exact values: of nets whose timed transitions are all exponential, or that renew at each step.

The first are continuous-time Markov chains. The second are semi-Markov: in every state all clocks
are new, so that a state's mean time and its successors follow from its own race alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from remusnet.availability.distributions import Exponential
from remusnet.availability.measures import Estimate, Measure, MeasureKind, Method, point
from remusnet.availability.net import Memory
from remusnet.availability.races import Race, TiedRace, race
from remusnet.availability.states import StateSpace, Step
from remusnet.availability.stationary import Entries, Nearby, Vector, dead, stationary
from remusnet.availability.unfolding import Mode


@dataclass(frozen=True, slots=True)
class Solved:
    """``shares``: of time, by state; ``firings``: by mode, a second."""

    space: StateSpace
    shares: Vector
    firings: Vector
    method: Method
    detail: str

    def estimate(self, measure: Measure) -> Estimate:
        """The value of ``measure``. Raises InvalidInput for a text that names nothing."""
        net = self.space.net
        if measure.kind == MeasureKind.RATE:
            rate = math.fsum(self.firings[i] for i in net.modes_of(measure.text))
            return point(measure, rate, None, self.method, self.detail)
        seen = net.expression(measure.text, f"measure {measure.name}").value
        values = [seen(state) for state in self.space.states]
        if measure.kind == MeasureKind.MEAN:
            value = math.fsum(v * share for v, share in zip(values, self.shares, strict=True))
            return point(measure, value, None, self.method, self.detail)
        holds = math.fsum(s for v, s in zip(values, self.shares, strict=True) if v)
        rest = math.fsum(s for v, s in zip(values, self.shares, strict=True) if not v)
        return point(measure, holds, rest, self.method, self.detail)


def is_markov(modes: Sequence[Mode]) -> bool:
    """Whether every timed mode is exponential: then memory policies make no difference."""
    return all(isinstance(each.distribution, Exponential | None) for each in modes)


def solved_markov(space: StateSpace, nearby: Nearby | None = None) -> Solved:
    """The chain's stationary shares. Raises InvalidInput and MissingDependency (`stationary`)."""
    rates = _rates(space)
    shares = stationary(space, _entries(space, rates), nearby)
    detail = f"CTMC of {len(space.states)} states"
    return Solved(space, shares, _firings(space, shares, rates), Method.EXACT, detail)


def rates_between(space: StateSpace) -> Entries:
    """The chain's steps: from which state to which it goes, and how often a second."""
    return _entries(space, _rates(space))


def _rates(space: StateSpace) -> list[list[float]]:
    modes = space.net.modes

    def rate(step: Step) -> float:
        distribution = modes[step.mode].distribution
        assert distribution is not None
        return step.degree / distribution.mean

    return [[rate(step) for step in steps] for steps in space.steps]


def renews(space: StateSpace) -> bool:
    """Whether all clocks that matter are new in every state."""
    enabled = [frozenset(step.mode for step in steps) for steps in space.steps]
    modes = space.net.modes
    for number, steps in enumerate(space.steps):
        for step in steps:
            if step.degree > 1 and not isinstance(modes[step.mode].distribution, Exponential):
                return False
        for step in steps:
            for mode in enabled[number] - {step.mode}:
                if isinstance(modes[mode].distribution, Exponential):
                    continue
                if modes[mode].memory == Memory.RESAMPLE:
                    continue
                stays = any(mode in enabled[end] for end in step.passage.ends)
                leaves = any(mode not in enabled[end] for end in step.passage.ends)
                if stays or (leaves and modes[mode].memory == Memory.AGE):
                    return False
    return True


def solved_renewal(space: StateSpace) -> Solved | None:
    """A semi-Markov net's shares; None where two clocks may ring at the same time.

    Raises as `solved_markov` does.
    """
    try:
        races = [_race(space, number) for number in range(len(space.states))]
    except TiedRace:
        return None
    entered = stationary(space, _entries(space, [list(each.wins) for each in races]))
    if len(space.states) == 1:
        entered = np.ones(1)
    weights = entered * np.array([each.mean for each in races])
    total = weights.sum()
    shares = weights / total
    wins = [[share / each.mean for share in each.wins] for each in races]
    detail = f"renewal process of {len(space.states)} states"
    return Solved(space, shares, _firings(space, shares, wins), Method.CLOSED_FORM, detail)


def _race(space: StateSpace, number: int) -> Race:
    steps = space.steps[number]
    if not steps:
        raise dead(space, number)
    modes = space.net.modes
    runners = []
    for step in steps:
        distribution = modes[step.mode].distribution
        assert distribution is not None
        many = step.degree > 1
        runners.append(Exponential(distribution.mean / step.degree) if many else distribution)
    return race(runners)


def _entries(
    space: StateSpace, rates: list[list[float]]
) -> tuple[list[int], list[int], list[float]]:
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for number, (steps, row) in enumerate(zip(space.steps, rates, strict=True)):
        for step, rate in zip(steps, row, strict=True):
            for end, share in step.passage.ends.items():
                rows.append(number)
                columns.append(end)
                values.append(rate * share)
    return rows, columns, values


def _firings(space: StateSpace, shares: Vector, rates: list[list[float]]) -> Vector:
    firings = np.zeros(len(space.net.modes))
    for share, steps, row in zip(shares, space.steps, rates, strict=True):
        for step, rate in zip(steps, row, strict=True):
            firings[step.mode] += share * rate
            for mode, times in step.passage.fired.items():
                firings[mode] += share * rate * times
    return firings

"""Which parameter buys the most: each one halved and doubled, everything else as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from remusnet.availability.answers import Means, sampling
from remusnet.availability.exact import is_markov, solved_markov
from remusnet.availability.measures import Estimate, Method
from remusnet.availability.model import Blueprint, Given, Model, Plan, Service
from remusnet.availability.models.parameters import Unit
from remusnet.availability.module import YEAR
from remusnet.availability.sampling import simulated
from remusnet.availability.solve import solution
from remusnet.availability.states import StateSpace, TooManyStates, explored
from remusnet.availability.stationary import Nearby
from remusnet.availability.unfolding import Mode, Net, unfolded
from remusnet.errors import InvalidInput

FACTORS: Final = (0.5, 2.0)
# Two solutions of one chain differ by some 1e-12 of their value.
_ROUNDING = 1e-9

Progress = Callable[[int, int], None]
"""Gets how many models are worked out, and how many there are."""


@dataclass(frozen=True, slots=True)
class Varied:
    """A parameter with what a service's estimate is where it is halved, and doubled.

    None: it has no such value, as a share has none beyond 1.
    """

    given: Given
    halved: Estimate | None
    doubled: Estimate | None

    def saves(self, base: Estimate) -> float:
        """Seconds of downtime a year that the better of both saves; 0 where neither does."""
        return max((_saved(base, each) for each in self._both), default=0.0)

    def swing(self) -> float:
        """Seconds a year between both."""
        rests = [each.rest or 0.0 for each in self._both]
        return (max(rests) - min(rests)) * YEAR if len(rests) > 1 else 0.0

    def better(self, base: Estimate) -> str:
        """``halved`` or ``doubled``; empty where neither saves anything that can be told."""
        if not self.saves(base):
            return ""
        halved = self.halved
        is_half = halved is not None and _saved(base, halved) == self.saves(base)
        return "halved" if is_half else "doubled"

    @property
    def _both(self) -> list[Estimate]:
        return [each for each in (self.halved, self.doubled) if each is not None]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """``base``: with the parameters as they are; ``varied``: the one that saves most is first."""

    service: Service
    base: Estimate
    varied: tuple[Varied, ...]


def sensitivity(
    blueprint: Blueprint,
    plan: Plan,
    names: Sequence[str] = (),
    means: Means | None = None,
    progress: Progress | None = None,
) -> tuple[Sensitivity, ...]:
    """The sensitivity of each service of the model (of those ``names``, if there are any).

    Raises InvalidInput for a model that has none, and as `answers.answered` does.
    """
    model = blueprint.made()
    services = [each for each in model.services if not names or each.name in names]
    if not services:
        raise InvalidInput(f"model {model.name}: no service: a measure with availability = ...")
    worked = _Working(plan, Means() if means is None else means, services)
    tasks: list[tuple[str, float]] = []
    for name, given in blueprint.given.items():
        tasks += [(name, factor) for factor in FACTORS if _possible(given, factor)]
    base = worked.estimates(model)
    found: dict[tuple[str, float], tuple[Estimate, ...]] = {}
    for number, (name, factor) in enumerate(tasks, 1):
        changed = blueprint.make({name: blueprint.given[name].value * factor})
        found[name, factor] = worked.estimates(changed)
        if progress is not None:
            progress(number, len(tasks))
    return tuple(
        _sensitivity(service, base[index], blueprint.given, found, index)
        for index, service in enumerate(services)
    )


def _sensitivity(
    service: Service,
    base: Estimate,
    given: Mapping[str, Given],
    found: Mapping[tuple[str, float], tuple[Estimate, ...]],
    index: int,
) -> Sensitivity:
    def estimate(name: str, factor: float) -> Estimate | None:
        estimates = found.get((name, factor))
        return None if estimates is None else estimates[index]

    varied = [
        Varied(each, *(estimate(name, factor) for factor in FACTORS))
        for name, each in given.items()
    ]
    varied.sort(key=lambda each: (-each.saves(base), -each.swing()))
    return Sensitivity(service, base, tuple(varied))


def _possible(given: Given, factor: float) -> bool:
    """A share is less than 1, and nothing is made of 0 by halving it."""
    value = given.value * factor
    return value > 0 and (given.parameter.unit != Unit.SHARE or value < 1)


def _saved(base: Estimate, other: Estimate) -> float:
    """Seconds a year that ``other`` saves; 0 where the intervals don't tell them apart."""
    if base.high is None or other.low is None or base.rest is None or other.rest is None:
        return 0.0
    if base.method == Method.SIMULATION and other.low <= base.high:
        return 0.0
    saved = base.rest - other.rest
    return saved * YEAR if saved > _ROUNDING * base.rest else 0.0


class _Working:
    """Works models out that differ in numbers only.

    The states of the first one are searched for once, and its solution helps to find the others'.
    """

    def __init__(self, plan: Plan, means: Means, services: Sequence[Service]) -> None:
        self._plan, self._means, self._services = plan, means, services
        self._space: StateSpace | None = None
        self._nearby = Nearby()

    def estimates(self, model: Model) -> tuple[Estimate, ...]:
        """The services' estimates."""
        net = unfolded(model.net)
        if self._plan.method in (None, Method.EXACT) and is_markov(net.modes):
            space = self._states(net)
            if space is not None:
                return tuple(map(solved_markov(space, self._nearby).estimate, self._services))
        solved = solution(net, self._plan.method, self._plan.phases)
        if solved is not None:
            return tuple(map(solved.estimate, self._services))
        return simulated(net, self._services, sampling(self._plan, self._means))

    def _states(self, net: Net) -> StateSpace | None:
        """The states of ``net``: those of the first one, where only times differ."""
        known = self._space
        if known is not None and _shape(known.net) == _shape(net):
            return replace(known, net=net)
        try:
            found = explored(net)
        except TooManyStates:
            return None
        if known is None:
            self._space = found
        return found


def _shape(net: Net) -> tuple[object, ...]:
    """All that the states and the ways between them depend on."""
    return net.slots, net.initial, tuple(map(_mode_shape, net.modes))


def _mode_shape(mode: Mode) -> tuple[object, ...]:
    timed = mode.distribution is not None
    guard = None if mode.guard is None else mode.guard.text
    return (
        *(mode.name, timed, mode.infinite, mode.priority, mode.weight, mode.takes),
        *(mode.change, mode.inhibitors, guard),
    )

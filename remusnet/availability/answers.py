"""What a model's measures came to, and what its services are down for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from remusnet.availability.measures import Estimate, MeasureKind, Method
from remusnet.availability.model import Model, Plan, causes_of
from remusnet.availability.sampling import Sampling, simulated
from remusnet.availability.solve import solution
from remusnet.availability.transient import Curve, transient
from remusnet.availability.unfolding import Net, unfolded

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """``estimates``: a value for each measure of ``model``, in order.

    ``causes``: for each service, the share of time that each cause takes it down for; empty where
    the question didn't ask. ``curves``: of all measures but rates, where times are asked for.
    """

    model: Model
    plan: Plan
    estimates: tuple[Estimate, ...]
    causes: Mapping[str, tuple[Estimate, ...]]
    curves: tuple[Curve, ...] = ()

    @property
    def services(self) -> tuple[Estimate, ...]:
        """The estimates of services."""
        names = {each.name for each in self.model.services}
        return tuple(each for each in self.estimates if each.name in names)

    @property
    def reached(self) -> bool:
        """Whether every value has the relative error that was asked for."""
        found = [each.reached for each in self.estimates]
        return all(found) and all(each.reached for each in self.curves)

    @property
    def events(self) -> int:
        """The firings that were simulated; 0 without a simulation."""
        return max(each.events for each in self.estimates)


@dataclass(frozen=True, slots=True)
class Means:
    """What the work may use: ``workers`` cores (None: all), a ``clock`` as `time.monotonic`.

    ``progress`` gets the firings that were simulated so far.
    """

    progress: Progress | None = None
    clock: Callable[[], float] | None = None
    workers: int | None = None


def answered(
    model: Model, plan: Plan, means: Means | None = None, *, split: bool = False
) -> Answer:
    """The answer to all that ``model`` is asked.

    ``split``: with what services are down for, where the model says what may be.
    Raises as `solve` does.
    """
    net = unfolded(model.net)
    services = model.services if split and model.causes else ()
    asked = {each.name: causes_of(each, model.causes) for each in services}
    used = sampling(plan, Means() if means is None else means)
    solved = solution(net, plan.method, plan.phases)
    if solved is not None:
        estimates = tuple(map(solved.estimate, model.measures))
        causes = {name: tuple(map(solved.estimate, each)) for name, each in asked.items()}
        return Answer(model, plan, estimates, causes, _curves(model, net, plan, used))
    estimates = simulated(net, model.measures, used)
    # Causes are rarer than what they add up to: they get as many events, and no more.
    spent = max(each.events for each in estimates)
    same = replace(used, most_events=spent, most_seconds=None)
    causes = {name: simulated(net, each, same) for name, each in asked.items()}
    return Answer(model, plan, estimates, causes, _curves(model, net, plan, used))


def _curves(model: Model, net: Net, plan: Plan, used: Sampling) -> tuple[Curve, ...]:
    measures = [each for each in model.measures if each.kind != MeasureKind.RATE]
    if not plan.at or not measures:
        return ()
    # A closed form is of the long run; what is exact at a moment is a chain.
    method = plan.method if plan.method != Method.CLOSED_FORM else None
    return transient(net, measures, plan.at, replace(used, rare=None), method)


def sampling(plan: Plan, means: Means) -> Sampling:
    """How ``plan`` has a net simulated, by these ``means``."""
    return Sampling(
        relative_error=plan.relative_error,
        seed=plan.seed,
        most_events=plan.budget.events,
        most_seconds=plan.budget.seconds,
        clock=means.clock,
        progress=means.progress,
        rare=plan.rare,
        workers=means.workers,
    )

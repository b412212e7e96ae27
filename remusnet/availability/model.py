"""A model: a net, what is asked of it, and the parameters that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from remusnet.availability.measures import Measure, Method
from remusnet.availability.models.parameters import Parameter
from remusnet.availability.module import Module
from remusnet.availability.phases import Phases

OTHER: Final = "other"
"""The cause of what no cause explains."""


@dataclass(frozen=True, slots=True)
class Service(Measure):
    """A measure of what users notice: of its probability, nines and downtime are told."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a simulation may take: so many ``events``, or ``seconds``; None: some minutes."""

    events: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How the measures are worked out; ``method`` None: the right one is chosen.

    ``rare``: an event that is seldom met, as an expression: a simulation splits on the way to it.
    ``at``: times from the start, in seconds, rising, at which values are asked for as well.
    ``phases``: make times that aren't exponential of stages, and solve the net that comes out.
    """

    relative_error: float = 0.01
    seed: int = 1
    budget: Budget = field(default_factory=Budget)
    method: Method | None = None
    rare: str | None = None
    at: tuple[float, ...] = ()
    phases: Phases | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """``measures``: the questions, services among them.

    ``causes``: what a service can be down for, by name, as expressions that hold then. Of several
    that hold at once, the first one counts.
    """

    name: str
    net: Module
    measures: tuple[Measure, ...]
    causes: Mapping[str, str] = field(default_factory=dict)

    @property
    def services(self) -> tuple[Service, ...]:
        """The measures that are services."""
        return tuple(each for each in self.measures if isinstance(each, Service))


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter with its value: seconds, a share, a number."""

    parameter: Parameter
    value: float

    @property
    def name(self) -> str:
        """The parameter's."""
        return self.parameter.name

    @property
    def shown(self) -> str:
        """The value as a user would type it."""
        return self.parameter.shown(self.value)


Maker = Callable[[Mapping[str, float]], Model]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What makes a model of parameters; ``given``: those that it has any use for.

    ``make`` takes values in place of the given ones, by name, and raises as building a net does.
    """

    name: str
    description: str
    given: Mapping[str, Given]
    make: Maker
    plan: Plan = field(default_factory=Plan)

    def made(self) -> Model:
        """The model with the parameters that are given."""
        return self.make({})


def causes_of(service: Measure, causes: Mapping[str, str]) -> tuple[Measure, ...]:
    """The share of time in which ``service`` is down for each cause; the rest is other.

    Of causes that hold at once the first counts, so that the shares add up to the downtime.
    """
    found, earlier = [], [f"not ({service.text})"]
    for name, text in causes.items():
        found.append(Measure(name, " and ".join((*earlier, f"({text})"))))
        earlier.append(f"not ({text})")
    found.append(Measure(OTHER, " and ".join(earlier)))
    return tuple(found)

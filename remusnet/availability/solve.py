"""The right way to a number: exact, closed form or simulation, by what the net is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from remusnet.availability.exact import (
    Solved,
    is_markov,
    renews,
    solved_markov,
    solved_renewal,
)
from remusnet.availability.measures import Estimate, Measure, Method
from remusnet.availability.module import Module
from remusnet.availability.phases import Phases, phased
from remusnet.availability.sampling import Sampling, simulated
from remusnet.availability.states import TooManyStates, explored
from remusnet.availability.unfolding import Net, unfolded
from remusnet.errors import InvalidInput

# A chain of more states is solved still; a net that is not Markov is not searched that far.
_MOST_RENEWAL_STATES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """``method``: None leaves the choice to `solve`; ``sampling``: how to simulate, if it must.

    ``phases``: make times that aren't exponential of stages, to solve what would be simulated. The
    method is exact then, of the net with stages; the detail says what stands for what.
    """

    sampling: Sampling = field(default_factory=Sampling)
    method: Method | None = None
    phases: Phases | None = None


def solve(
    model: Module | Net, measures: Sequence[Measure], question: Question | None = None
) -> tuple[Estimate, ...]:
    """The values of ``measures``, each with its interval and its method.

    Raises InvalidInput for a net or a measure that is wrong, and where the asked method does not
    fit the net; MissingDependency where the method needs scipy and it is not installed.
    """
    question = Question() if question is None else question
    net = unfolded(model) if isinstance(model, Module) else model
    if not measures:
        raise InvalidInput(f"net {net.name}: nothing is asked: name a measure")
    solved = solution(net, question.method, question.phases)
    if solved is None:
        return simulated(net, measures, question.sampling)
    return tuple(solved.estimate(each) for each in measures)


def solution(net: Net, method: Method | None = None, phases: Phases | None = None) -> Solved | None:
    """The solution of ``net``, of which any measure can be asked; None: it is to be simulated.

    ``method``: only that one will do. ``phases``: as of `Question`. Raises as `solve`.
    """
    if method == Method.SIMULATION:
        return None
    solved = _solved(net, phases)
    if method is not None and (solved is None or solved.method != method):
        raise InvalidInput(f"net {net.name}: there is no {method} solution of it")
    return solved


def _solved(net: Net, phases: Phases | None) -> Solved | None:
    """The net's solution, if it has one that is not simulated."""
    markov = is_markov(net.modes)
    if phases is not None and not markov:
        made = phased(net, phases)
        try:
            found = solved_markov(explored(made.net))
            return replace(found, detail=f"{found.detail}, {made.detail}")
        except TooManyStates:
            pass  # it may have a closed form still
    try:
        space = explored(net) if markov else explored(net, _MOST_RENEWAL_STATES)
    except TooManyStates:
        return None
    if markov:
        return solved_markov(space)
    return solved_renewal(space) if renews(space) else None

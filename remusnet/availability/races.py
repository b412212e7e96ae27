"""A race of independent clocks: how long until the first rings, and which one it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from remusnet.availability.distributions import Distribution, Exponential

# Nodes between two knots: an integrand that is smooth there is exact to rounding.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


class TiedRace(Exception):
    """Two clocks may ring at the very same time, and nothing says which is first."""


@dataclass(frozen=True, slots=True)
class Race:
    """``mean`` seconds until the first; ``wins``: each runner's probability to be it."""

    mean: float
    wins: tuple[float, ...]


def race(runners: Sequence[Distribution]) -> Race:
    """The race of ``runners``, all of which start now. Raises TiedRace."""
    if len(runners) == 1:
        return Race(runners[0].mean, (1.0,))
    if all(isinstance(each, Exponential) for each in runners):
        rates = [1 / each.mean for each in runners]
        total = sum(rates)
        return Race(1 / total, tuple(rate / total for rate in rates))
    times = [time for each in runners for time, _ in each.atoms()]
    if len(set(times)) < len(times):
        raise TiedRace
    # Once a runner is sure to have rung, the race is over.
    end = min(each.knots()[-1] for each in runners)
    knots = np.array(sorted({0.0, end, *(k for each in runners for k in each.knots() if k < end)}))
    half = np.diff(knots) / 2
    at = (knots[:-1] + half)[:, None] + half[:, None] * _NODES[None, :]
    running = np.array([each.survival(at.ravel()) for each in runners])
    all_running = running.prod(axis=0).reshape(at.shape)
    mean = float((all_running * _WEIGHTS * half[:, None]).sum())
    if len(set(runners)) == 1:
        return Race(mean, (1 / len(runners),) * len(runners))
    wins = np.array([_win(runners, i, knots) for i in range(len(runners))])
    return Race(mean, tuple(float(each) for each in wins / wins.sum()))


def _win(runners: Sequence[Distribution], first: int, knots: np.ndarray) -> float:
    """P(``first`` rings before all others): the sum over its own probability, cell by cell."""
    others = [each for i, each in enumerate(runners) if i != first]
    atoms = runners[first].atoms()
    if atoms:
        at = np.array([time for time, _ in atoms])
        survive = np.array([each.survival(at) for each in others]).prod(axis=0)
        return float((survive * np.array([share for _, share in atoms])).sum())
    # Stieltjes sum on a fine grid: the density itself is never needed.
    fine = np.unique(np.concatenate([np.linspace(a, b, 400) for a, b in pairwise(knots)]))
    own = runners[first].survival(fine)
    middle = (fine[:-1] + fine[1:]) / 2
    survive = np.array([each.survival(middle) for each in others]).prod(axis=0)
    return float(((own[:-1] - own[1:]) * survive).sum())

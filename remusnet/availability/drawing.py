"""Times drawn one by one: from one stream, in the order in which a run asks for them.

`remusnet.availability.kernel` draws the same times from the same stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from remusnet.availability.distributions import (
    Deterministic,
    Distribution,
    Empirical,
    Erlang,
    Exponential,
    Lognormal,
    Uniform,
    Weibull,
)

Seed = int | np.random.SeedSequence | np.random.Generator


def drawing(distribution: Distribution, rng: np.random.Generator) -> Callable[[], float]:
    """What draws a time of ``distribution``, in seconds."""
    exponential, normal, uniform = rng.standard_exponential, rng.standard_normal, rng.random
    match distribution:
        case Exponential(mean):
            return lambda: mean * exponential()
        case Lognormal(_, sigma):
            mu = distribution.mu
            return lambda: math.exp(mu + sigma * normal())
        case Weibull(scale, shape):
            return lambda: scale * math.pow(exponential(), 1 / shape)
        case Uniform(low, high):
            return lambda: low + (high - low) * uniform()
        case Deterministic(mean):
            return lambda: mean
        case Erlang(mean, shape):
            return lambda: mean / shape * _sum(exponential, shape)
        case Empirical(values):
            ordered = sorted(values)
            return lambda: ordered[int(uniform() * len(ordered))]
    return lambda: float(distribution.draw(rng, 1)[0])


def _sum(draw: Callable[[], float], count: int) -> float:
    """One by one from the left, as a compiled loop adds."""
    total = 0.0
    for _ in range(count):
        total += draw()
    return total

"""How long a timed transition takes: distributions of positive times, in seconds.

Each one knows its mean, its survival function P(T > t) and how to draw. Parameters are those that
people measure: a lognormal is given by its mean and the sigma of its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from remusnet.errors import InvalidInput

Times = NDArray[np.float64]
_LONGEST_S = 1e15


class Distribution(Protocol):
    """A positive time, in seconds."""

    @property
    def mean(self) -> float:
        """Its expectation, in seconds."""

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """``count`` independent times, in seconds."""

    def survival(self, times: Times) -> Times:
        """P(T > t) for each of ``times``."""

    def knots(self) -> tuple[float, ...]:
        """Times, rising, between which the survival function is smooth; the last is its end."""

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Times that have a probability of their own, with it; empty for a density."""


def _positive(what: str, value: float) -> None:
    if not 0 < value <= _LONGEST_S:
        raise InvalidInput(f"invalid {what}: {value!r}; expected more than 0 s, at most 1e15 s")


def _quantiles(inverse: Callable[[float], float]) -> tuple[float, ...]:
    """Times at both tails and between: where a quadrature should look closely."""
    tail = [10.0**-k for k in (15, 12, 9, 6, 4, 3, 2)]
    shares = [*tail, *(k / 20 for k in range(1, 20))]
    low = [inverse(share) for share in shares]
    high = [inverse(1 - share) for share in reversed(tail)]
    return tuple(sorted({each for each in low + high if math.isfinite(each)}))


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless, with ``mean`` seconds."""

    mean: float

    def __post_init__(self) -> None:
        _positive("mean", self.mean)

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """``count`` independent times, in seconds."""
        return rng.exponential(self.mean, count)

    def survival(self, times: Times) -> Times:
        """P(T > t)."""
        return np.exp(-np.maximum(times, 0) / self.mean)

    def knots(self) -> tuple[float, ...]:
        """Quantiles."""
        return _quantiles(lambda share: -self.mean * math.log1p(-share))

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Lognormal:
    """The exponential of a normal, with ``mean`` seconds and ``sigma`` of its logarithm."""

    mean: float
    sigma: float

    def __post_init__(self) -> None:
        _positive("mean", self.mean)
        if not 0 < self.sigma <= 5:
            raise InvalidInput(f"invalid sigma: {self.sigma!r}; expected more than 0, at most 5")

    @property
    def mu(self) -> float:
        """The mean of the logarithm of the time in seconds: ln(mean) - sigma^2 / 2."""
        return math.log(self.mean) - self.sigma**2 / 2

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """``count`` independent times, in seconds."""
        return rng.lognormal(self.mu, self.sigma, count)

    def survival(self, times: Times) -> Times:
        """P(T > t)."""
        root = self.sigma * math.sqrt(2)
        return np.array(
            [math.erfc((math.log(t) - self.mu) / root) / 2 if t > 0 else 1.0 for t in times]
        )

    def knots(self) -> tuple[float, ...]:
        """Points from 9 sigmas below to 9 above, by quarters of a sigma."""
        return tuple(math.exp(self.mu + self.sigma * k / 4) for k in range(-36, 37))

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Weibull:
    """``scale`` seconds; a ``shape`` below 1 is infant mortality, above 1 wear."""

    scale: float
    shape: float

    def __post_init__(self) -> None:
        _positive("scale", self.scale)
        if not 0.1 <= self.shape <= 100:
            raise InvalidInput(f"invalid shape: {self.shape!r}; expected 0.1 to 100")

    @property
    def mean(self) -> float:
        """scale x Gamma(1 + 1 / shape)."""
        return self.scale * math.gamma(1 + 1 / self.shape)

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """``count`` independent times, in seconds."""
        return self.scale * rng.weibull(self.shape, count)

    def survival(self, times: Times) -> Times:
        """P(T > t)."""
        return np.exp(-((np.maximum(times, 0) / self.scale) ** self.shape))

    def knots(self) -> tuple[float, ...]:
        """Quantiles."""
        return _quantiles(lambda share: self.scale * (-math.log1p(-share)) ** (1 / self.shape))

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any time from ``low`` to ``high`` seconds."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _positive("high end", self.high)
        if not 0 <= self.low < self.high:
            raise InvalidInput(
                f"invalid low end: {self.low!r}; expected 0 s to below {self.high!r}"
            )

    @property
    def mean(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """``count`` independent times, in seconds."""
        return rng.uniform(self.low, self.high, count)

    def survival(self, times: Times) -> Times:
        """P(T > t)."""
        return np.clip((self.high - times) / (self.high - self.low), 0.0, 1.0)

    def knots(self) -> tuple[float, ...]:
        """Both ends."""
        return (self.low, self.high)

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Deterministic:
    """Always ``mean`` seconds."""

    mean: float

    def __post_init__(self) -> None:
        _positive("time", self.mean)

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """``count`` times, all the same."""
        return np.full(count, self.mean)

    def survival(self, times: Times) -> Times:
        """P(T > t)."""
        return np.where(times < self.mean, 1.0, 0.0)

    def knots(self) -> tuple[float, ...]:
        """The time itself."""
        return (self.mean,)

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The time itself."""
        return ((self.mean, 1.0),)


@dataclass(frozen=True, slots=True)
class Erlang:
    """``shape`` exponential stages in a row, ``mean`` seconds together."""

    mean: float
    shape: int

    def __post_init__(self) -> None:
        _positive("mean", self.mean)
        if not 1 <= self.shape <= 100:
            raise InvalidInput(f"invalid shape: {self.shape!r}; expected a whole number, 1 to 100")

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """``count`` independent times, in seconds."""
        return rng.gamma(self.shape, self.mean / self.shape, count)

    def survival(self, times: Times) -> Times:
        """P(T > t): fewer than ``shape`` events of a Poisson process by then."""
        x = np.maximum(times, 0) * self.shape / self.mean
        term = np.exp(-x)
        total = term.copy()
        for k in range(1, self.shape):
            term = term * x / k
            total += term
        return total

    def knots(self) -> tuple[float, ...]:
        """Points by eighths of the mean, then further apart."""
        stage = self.mean / self.shape
        near = [self.mean * k / 8 for k in range(1, 25)]
        return tuple(sorted({*near, *(3 * self.mean + stage * k * 4 for k in range(1, 20))}))

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Empirical:
    """One of ``values`` (seconds, as measured), each as likely as the others."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise InvalidInput("an empirical distribution needs at least one value")
        for each in self.values:
            _positive("value", each)

    @property
    def mean(self) -> float:
        """Their mean."""
        return math.fsum(self.values) / len(self.values)

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """``count`` independent times, in seconds."""
        return rng.choice(np.array(self.values), count)

    def survival(self, times: Times) -> Times:
        """P(T > t)."""
        ordered = np.sort(np.array(self.values))
        return 1 - np.searchsorted(ordered, times, side="right") / len(ordered)

    def knots(self) -> tuple[float, ...]:
        """The values."""
        return tuple(sorted(set(self.values)))

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The values."""
        share = 1 / len(self.values)
        return tuple((each, self.values.count(each) * share) for each in self.knots())

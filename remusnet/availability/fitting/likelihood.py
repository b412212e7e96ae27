"""Distributions fitted to times of which some are censored, by maximum likelihood.

A time that ended counts with its density, a censored one with the chance to last longer (Lawless,
Statistical Models and Methods for Lifetime Data, 2003, 2.2). Intervals are of 95 %: the
exponential's from the chi-square distribution, the others' from the curvature of the likelihood,
on a logarithmic scale. Which one is best: Akaike's criterion, and the fewest parameters among those
within 2 of the lowest (Burnham and Anderson 2002, 2.6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from remusnet.availability.distributions import Distribution, Empirical
from remusnet.availability.fitting.families import (
    EXPONENTIAL,
    LOGNORMAL,
    WEIBULL,
    Family,
    Vector,
    erlang,
    scipy_part,
)
from remusnet.availability.fitting.history import Times
from remusnet.errors import InvalidInput

FEWEST: Final = 8
"""Fewer failures than these don't tell one distribution from another."""
_ALIKE = 2.0
_Z: Final = 1.959964
MOST_STAGES: Final = 100
_IMPOSSIBLE = 1e300
# A logarithm whose variance is larger is not known at all.
_VAGUE = 400.0
_MOST_VALUES = 200
# Kolmogorov's bound of 5 %, which is generous where the parameters were fitted to the same times.
_KOLMOGOROV = 1.36


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A distribution with what it was fitted to.

    ``parameters``: by the names that a model file has for them. ``distance``: the largest one
    between its distribution function and Kaplan and Meier's of the times; ``fits``: whether chance
    explains that.
    """

    name: str
    distribution: Distribution
    parameters: Mapping[str, Interval]
    log_likelihood: float
    aic: float
    distance: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """All that were tried, the best first, and the mean time by exposure, with its interval."""

    fits: tuple[Fitted, ...]
    mean: Interval

    @property
    def best(self) -> Fitted:
        """The one to take."""
        return self.fits[0]


def fitted(times: Times) -> Choice:
    """The distributions that fit ``times``.

    With fewer than `FEWEST` that ended, the exponential alone. Raises InvalidInput where none
    ended, and MissingDependency without scipy.
    """
    if not times.ended:
        raise InvalidInput("none has ended: there is nothing to fit")
    ended, censored = np.sort(np.array(times.ended)), np.array(times.censored)
    sample = _Sample(ended, censored)
    tried = [sample.fit(EXPONENTIAL)]
    if len(ended) >= FEWEST:
        tried += [sample.fit(LOGNORMAL), sample.fit(WEIBULL), sample.fit_erlang()]
    found = [each for each in tried if each is not None]
    lowest = min(each.aic for each in found)
    near = [each for each in found if each.aic <= lowest + _ALIKE]
    best = min(near, key=lambda each: (len(each.parameters), each.aic))
    rest = sorted((each for each in found if each is not best), key=lambda each: each.aic)
    if not best.fits and not len(censored) and len(ended) >= FEWEST:
        return Choice((sample.empirical(), best, *rest), sample.mean())
    return Choice((best, *rest), sample.mean())


@dataclass(frozen=True, slots=True)
class _Sample:
    ended: Vector
    censored: Vector

    def mean(self) -> Interval:
        """All time over the number that ended (exact where watching stops at a failure)."""
        chi2 = scipy_part("stats").chi2
        total, count = float(self.ended.sum() + self.censored.sum()), len(self.ended)
        extra = 2 if len(self.censored) else 0
        low = 2 * total / chi2.ppf(0.975, 2 * count + extra)
        return Interval(total / count, float(low), float(2 * total / chi2.ppf(0.025, 2 * count)))

    def fit(self, family: Family) -> Fitted | None:
        """The most likely parameters; None where there are none that a model takes."""

        def loss(logs: Vector) -> float:
            with np.errstate(all="ignore"):
                parameters = [float(each) for each in np.exp(np.clip(logs, -60, 60))]
                total = float(family.density(self.ended, parameters).sum())
                total += float(family.survival(self.censored, parameters).sum())
            return -total if math.isfinite(total) else _IMPOSSIBLE

        logs = np.log(np.array(family.start(self.mean().value, self.ended)))
        if family is EXPONENTIAL:
            intervals = [self.mean()]
        else:
            options = {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000}
            minimize = scipy_part("optimize").minimize
            logs = minimize(loss, logs, method="Nelder-Mead", options=options).x
            intervals = _intervals(loss, logs)
        try:
            distribution = family.made([float(each) for each in np.exp(logs)])
        except InvalidInput:
            return None
        likelihood = -loss(logs)
        parameters = dict(zip(family.names, intervals, strict=True))
        parameters |= {name: Interval(each, each, each) for name, each in family.fixed.items()}
        distance = self._distance(distribution)
        return Fitted(
            family.name,
            distribution,
            parameters,
            likelihood,
            2 * len(parameters) - 2 * likelihood,
            distance,
            distance <= _KOLMOGOROV / math.sqrt(len(self.ended)),
        )

    def fit_erlang(self) -> Fitted | None:
        """Erlang's with the likeliest number of stages, climbed to from the times' spread."""
        spread = float(self.ended.std() / self.ended.mean())
        stages = min(max(round(1 / max(spread, 0.1) ** 2), 1), MOST_STAGES)
        best = self.fit(erlang(stages))
        for step in (1, -1):
            at = stages + step
            while best is not None and 1 <= at <= MOST_STAGES:
                other = self.fit(erlang(at))
                if other is None or other.aic >= best.aic:
                    break
                best, at = other, at + step
        return best

    def empirical(self) -> Fitted:
        """The times themselves; of very many, evenly spread quantiles."""
        values = self.ended
        if len(values) > _MOST_VALUES:
            values = np.quantile(values, (np.arange(_MOST_VALUES) + 0.5) / _MOST_VALUES)
        distribution = Empirical(tuple(float(each) for each in values))
        return Fitted("empirical", distribution, {}, math.nan, math.inf, 0.0, fits=True)

    def _distance(self, distribution: Distribution) -> float:
        """How far its survival function is from Kaplan and Meier's, on both sides of each step."""
        steps, counts = np.unique(self.ended, return_counts=True)
        before = np.concatenate([[0], np.cumsum(counts)[:-1]])
        gone = before + np.searchsorted(np.sort(self.censored), steps, side="left")
        at_risk = len(self.ended) + len(self.censored) - gone
        after = np.cumprod(1 - counts / at_risk)
        until = np.concatenate([[1.0], after[:-1]])
        told = distribution.survival(steps)
        return float(max(np.abs(told - after).max(), np.abs(told - until).max()))


def _intervals(loss: Callable[[Vector], float], logs: Vector) -> list[Interval]:
    """Intervals by the curvature of ``loss`` at its minimum, in the parameters' logarithms."""
    size, step = len(logs), 1e-3
    curvature = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            a, b = np.zeros(size), np.zeros(size)
            a[i], b[j] = step, step
            rows = loss(logs + a + b) - loss(logs + a - b) - loss(logs - a + b) + loss(logs - a - b)
            curvature[i, j] = rows / (4 * step * step)
    try:
        variances = np.diag(np.linalg.inv(curvature))
    except np.linalg.LinAlgError:
        variances = np.full(size, math.inf)
    found = []
    for log, variance in zip(logs, variances, strict=True):
        width = _Z * math.sqrt(variance) if 0 < variance < _VAGUE else math.inf
        ends = (
            (0.0, math.inf) if math.isinf(width) else (math.exp(log - width), math.exp(log + width))
        )
        found.append(Interval(math.exp(log), *ends))
    return found

"""The families of distributions that are fitted: log-densities and log-survival functions."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from remusnet.availability.distributions import (
    Distribution,
    Erlang,
    Exponential,
    Lognormal,
    Weibull,
)
from remusnet.errors import MissingDependency

Vector = NDArray[np.float64]
Logarithm = Callable[[Vector, Sequence[float]], Vector]


@dataclass(frozen=True, slots=True)
class Family:
    """``names``: of the parameters that are fitted, all positive; ``fixed``: those that are given.

    ``density`` and ``survival`` give logarithms, of times in seconds and the parameters.
    ``start``: where to begin to look, from the mean time by exposure and the times that ended.
    ``made`` raises InvalidInput for parameters that a model does not take.
    """

    name: str
    names: tuple[str, ...]
    start: Callable[[float, Vector], Sequence[float]]
    density: Logarithm
    survival: Logarithm
    made: Callable[[Sequence[float]], Distribution]
    fixed: Mapping[str, float] = field(default_factory=dict)


def _normal(times: Vector, parameters: Sequence[float]) -> Vector:
    mean, sigma = parameters
    return np.asarray((np.log(times) - math.log(mean) + sigma * sigma / 2) / sigma)


def _lognormal_density(times: Vector, parameters: Sequence[float]) -> Vector:
    z = _normal(times, parameters)
    return np.asarray(-z * z / 2 - np.log(times) - math.log(parameters[1] * math.sqrt(2 * math.pi)))


def _weibull_density(times: Vector, parameters: Sequence[float]) -> Vector:
    scale, shape = parameters
    logs = np.log(times / scale)
    return np.asarray(math.log(shape / scale) + (shape - 1) * logs - np.exp(shape * logs))


def _spread(ended: Vector) -> float:
    """The standard deviation of the logarithms."""
    return max(float(np.log(ended).std()), 1e-3)


EXPONENTIAL: Final = Family(
    "exponential",
    ("mean",),
    start=lambda mean, _ended: [mean],
    density=lambda times, p: np.asarray(-times / p[0] - math.log(p[0])),
    survival=lambda times, p: np.asarray(-times / p[0]),
    made=lambda p: Exponential(p[0]),
)
LOGNORMAL: Final = Family(
    "lognormal",
    ("mean", "sigma"),
    start=lambda mean, ended: [mean, _spread(ended)],
    density=_lognormal_density,
    survival=lambda times, p: np.asarray(scipy_part("special").log_ndtr(-_normal(times, p))),
    made=lambda p: Lognormal(p[0], p[1]),
)
WEIBULL: Final = Family(
    "weibull",
    ("scale", "shape"),
    # The standard deviation of a Weibull's logarithm is pi / sqrt(6) / shape.
    start=lambda mean, ended: [mean, math.pi / math.sqrt(6) / _spread(ended)],
    density=_weibull_density,
    survival=lambda times, p: np.asarray(-((times / p[0]) ** p[1])),
    made=lambda p: Weibull(p[0], p[1]),
)


def erlang(stages: int) -> Family:
    """Erlang's with so many stages."""

    def density(times: Vector, parameters: Sequence[float]) -> Vector:
        stage = parameters[0] / stages
        rest = math.lgamma(stages) + stages * math.log(stage)
        return np.asarray((stages - 1) * np.log(times) - times / stage - rest)

    def survival(times: Vector, parameters: Sequence[float]) -> Vector:
        share = scipy_part("special").gammaincc(stages, times * stages / parameters[0])
        return np.asarray(np.log(share))

    return Family(
        "erlang",
        ("mean",),
        start=lambda mean, _ended: [mean],
        density=density,
        survival=survival,
        made=lambda p: Erlang(p[0], stages),
        fixed={"shape": stages},
    )


def scipy_part(name: str) -> Any:
    """``scipy.NAME``. Raises MissingDependency."""
    try:
        return importlib.import_module(f"scipy.{name}")
    except ImportError:
        raise MissingDependency(
            "fitting needs scipy: pip install 'remusnet[availability]' (or python3-scipy)"
        ) from None

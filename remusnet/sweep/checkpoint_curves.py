"""The curves that a guest's pauses and lags lie on, by least squares.

Five unknowns, with tau the time in which most of what a guest writes to is dirty:

    pause = p0 + P (1 - exp(-t / tau))        lag = s + L (1 - exp(-t / tau))

Where the sizes of what was dirty were measured, a third curve, W (1 - exp(-t / tau)), has a sixth.
A soft L1 loss, since single checkpoints are disturbed; each residual by the spread in its trace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from remusnet.errors import InvalidInput
from remusnet.scenario.epochs import Floats, Trace

if TYPE_CHECKING:
    from numpy.random import Generator

FEWEST: Final = 10
"""Checkpoints of a trace: fewer have no spread to speak of."""
NS: Final = 1e9
"""In a second."""

_APART = 1.1
_MOST_POINTS = 200
_STARTS = 9
_BLOCK = 10
_LEAST_SPREAD = 0.02
"""Of the median: the model is no closer than that to any guest, however steady its checkpoints."""
_LONGEST_TAU = 100.0
_CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves in seconds and bytes; ``size`` is W, NaN where no sizes were measured."""

    tau: float
    base_pause: float
    most_pause: float
    base_lag: float
    most_lag: float
    size: float

    def share(self, ran: Floats) -> Floats:
        """The share of the working set that is dirty after ``ran`` s."""
        found: Floats = -np.expm1(-ran / self.tau)
        return found

    def pause(self, ran: Floats) -> Floats:
        """The pause after an epoch of ``ran`` s."""
        return self.base_pause + self.most_pause * self.share(ran)

    def lag(self, ran: Floats) -> Floats:
        """See `pause`."""
        return self.base_lag + self.most_lag * self.share(ran)


@dataclass(frozen=True, slots=True)
class Points:
    """Checkpoints of a trace of which all is known: run time, pause and lag (s), and size."""

    ran: Floats
    seen: tuple[Floats, ...]
    spread: tuple[float, ...]


def points_of(traces: Sequence[Trace]) -> list[Points]:
    """Points, of each trace equally many; sizes only where all traces have them.

    Raises InvalidInput where the traces are too few or too short.
    """
    sized = all(np.isfinite(each.dirty).any() for each in traces)
    known = [_known(each, sized=sized) for each in traces]
    count = min(_MOST_POINTS, *(len(each[0]) for each in known))
    found = []
    for columns in known:
        block = len(columns[0]) // count
        ran, *seen = (
            np.median(each[: block * count].reshape(count, block), axis=1) for each in columns
        )
        found.append(Points(ran, tuple(seen), tuple(map(_spread, seen))))
    _require_enough(found)
    return found


def _known(trace: Trace, *, sized: bool) -> list[Floats]:
    """Run time, pause and lag (s), and size (bytes), where all of them are known."""
    columns = [trace.ran_ns / NS, trace.pause_ns / NS, trace.lag_ns / NS]
    if sized:
        columns.append(trace.dirty)
    known = np.isfinite(columns).all(axis=0) & (columns[0] > 0)
    if known.sum() < FEWEST:
        raise InvalidInput(
            f"{trace.name}: {int(known.sum())} checkpoints whose run time, pause and lag are "
            f"known; a fit needs {FEWEST} of each trace"
        )
    return [each[known] for each in columns]


def _spread(values: Floats) -> float:
    """As a standard deviation, but of the middle: disturbed checkpoints don't widen it."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return max(spread, _LEAST_SPREAD * middle, 1e-9)


def _require_enough(points: Sequence[Points]) -> None:
    """Raises InvalidInput that says what so few intervals can't tell."""
    times = sorted(float(np.median(each.ran)) for each in points)
    apart = 1 + sum(after > _APART * before for before, after in pairwise(times))
    needed = 2 if len(points[0].seen) == 3 else 3
    if apart >= needed:
        return
    if apart == 1:
        what = (
            "one interval gives one pause and one lag: what a checkpoint takes at least (p0, s) "
            "can't be told from what dirty memory adds, nor the write rate from the working set"
        )
    else:
        what = (
            "two intervals give straight lines: whether what is dirtied levels off can't be told, "
            "so neither the working set nor p0 and s"
        )
    raise InvalidInput(
        f"the traces are of {apart} interval{'s' * (apart > 1)} (10 % apart at least); {what}. "
        f"Measure at {needed} or more"
    )


def rough(points: Sequence[Points]) -> list[Curves]:
    """Curves of several taus, each with the best of all else: linear problems."""
    from scipy.optimize import nnls

    times = np.array([np.median(each.ran) for each in points])
    middles = np.array([[np.median(column) for column in each.seen] for each in points])
    found = []
    for tau in np.geomspace(times.min() / 5, times.max() * 20, _STARTS):
        share = -np.expm1(-times / tau)
        design = np.column_stack([np.ones(len(times)), share])
        (p0, pause), (s0, lag) = (nnls(design, each)[0] for each in middles.T[:2])
        size = middles.T[2] @ share / (share @ share) if middles.shape[1] > 2 else math.nan
        found.append(Curves(*map(float, (tau, p0, pause, s0, lag, size))))
    return found


def nearest(points: Sequence[Points], starts: Sequence[Curves]) -> Curves:
    """The least squares from each of ``starts``, and the best of those."""
    from scipy.optimize import least_squares

    ran = np.concatenate([each.ran for each in points])
    kinds = len(points[0].seen)
    seen = [np.concatenate([each.seen[at] for each in points]) for at in range(kinds)]
    spread = [
        np.repeat([each.spread[at] for each in points], len(points[0].ran)) for at in range(kinds)
    ]
    # Unknowns: log tau; base and most of pause and lag, and most of the size, by what is typical.
    typical = [max(float(np.median(each)), 1e-9) for each in seen]
    units = [typical[at] for at in (0, 0, 1, 1, 2)[: 2 * kinds - (kinds > 2)]]

    def residuals(x: Floats) -> Floats:
        share = -np.expm1(-ran / math.exp(x[0]))
        models = [x[1] + x[2] * share, x[3] + x[4] * share, x[-1] * share][:kinds]
        return np.concatenate(
            [
                (model * unit - each) / wide
                for model, unit, each, wide in zip(models, typical, seen, spread, strict=True)
            ]
        )

    def jacobian(x: Floats) -> Floats:
        tau = math.exp(x[0])
        share = -np.expm1(-ran / tau)
        bend = -np.exp(-ran / tau) * ran / tau
        blocks = np.zeros((kinds, len(ran), len(x)))
        for at, (unit, wide) in enumerate(zip(typical, spread, strict=True)):
            most = (2, 4, 5)[at]
            blocks[at, :, 0] = x[most] * bend * unit / wide
            blocks[at, :, most] = share * unit / wide
            if at < 2:
                blocks[at, :, most - 1] = unit / wide
        return blocks.reshape(-1, len(x))

    low, high = np.zeros(len(units) + 1), np.full(len(units) + 1, np.inf)
    low[0] = math.log(float(ran.min()) / 50)
    high[0] = math.log(float(ran.max()) * _LONGEST_TAU)
    tried = []
    for start in starts:
        before = (start.base_pause, start.most_pause, start.base_lag, start.most_lag, start.size)
        scaled = [each / unit for each, unit in zip(before, units, strict=False)]
        first = np.clip([math.log(start.tau), *scaled], low + 1e-9, high)
        tried.append(
            least_squares(
                residuals,
                first,
                jacobian,
                (low, high),
                ftol=_CLOSE,
                xtol=_CLOSE,
                loss="soft_l1",
                max_nfev=100,
            )
        )
    x = min(tried, key=lambda each: float(each.cost)).x
    linear = [float(each * unit) for each, unit in zip(x[1:], units, strict=True)]
    return Curves(math.exp(x[0]), *linear[:4], *(linear[4:] or [math.nan]))


def resample(points: Points, rng: Generator) -> Points:
    """As many checkpoints, drawn by blocks: those that follow each other are alike."""
    count = len(points.ran)
    block = min(_BLOCK, max(1, count // 4))
    firsts = rng.integers(0, count, -(-count // block))
    rows = (firsts[:, None] + np.arange(block)).ravel()[:count] % count
    return Points(points.ran[rows], tuple(each[rows] for each in points.seen), points.spread)

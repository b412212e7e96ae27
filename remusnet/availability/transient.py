"""How a measure goes from the start on: exactly where the net is Markov, else simulated.

Exact: by uniformisation, with matrices of which none has a negative entry, so that small
probabilities keep their digits (Jensen 1953; Stewart 1994, 8.2). Up to some hundred states the
step is doubled by squaring, however stiff the chain is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from remusnet.availability.drawing import Seed
from remusnet.availability.exact import is_markov, rates_between
from remusnet.availability.intervals import student
from remusnet.availability.measures import Measure, MeasureKind, Method
from remusnet.availability.module import Module
from remusnet.availability.playing import curves, is_fast
from remusnet.availability.sampling import REPLICAS, Sampling
from remusnet.availability.states import StateSpace, TooManyStates, explored
from remusnet.availability.stationary import matrix_of
from remusnet.availability.unfolding import Net, unfolded
from remusnet.errors import InvalidInput
from remusnet.parallel import Workers, mapped

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Values = NDArray[np.float64]

_DENSE: Final = 600
# Terms of the series from one time to the next; beyond, the chain is too stiff and is simulated.
_MOST_TERMS: Final = 3_000_000
_SMALL: Final = 1e-17
_PILOT: Final = 4_000
_MOST_RUNS: Final = 4_000_000
_SAFETY: Final = 1.1
_MOST_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Curve:
    """A measure's value at each of ``times`` (s), and the ends of its 95 % interval there.

    ``reached``: whether every interval is as short as was asked.
    """

    name: str
    kind: MeasureKind
    times: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    method: Method
    detail: str
    reached: bool = True


def transient(
    model: Module | Net,
    measures: Sequence[Measure],
    times: Sequence[float],
    sampling: Sampling | None = None,
    method: Method | None = None,
) -> tuple[Curve, ...]:
    """Each measure at ``times``, seconds from the start, rising.

    ``sampling``: its relative error is of half the interval over the value, where the value is
    the rarer side of a probability and the largest of its curve; its budget is in firings.
    Raises InvalidInput for a net or measure that is wrong, for rates (they have no value at a
    moment), and for times that do not rise; MissingDependency where scipy is needed.
    """
    sampling = Sampling() if sampling is None else sampling
    net = unfolded(model) if isinstance(model, Module) else model
    for measure in measures:
        if measure.kind == MeasureKind.RATE:
            raise InvalidInput(f"measure {measure.name}: a rate has no value at a moment")
    if not measures or not times:
        raise InvalidInput(f"net {net.name}: name a measure and a time")
    if list(times) != sorted(set(times)) or times[0] < 0 or not math.isfinite(times[-1]):
        raise InvalidInput("times: expected seconds from 0 on, each more than the one before")
    if method not in (None, Method.EXACT, Method.SIMULATION):
        raise InvalidInput(f"net {net.name}: there is no {method} curve of it")
    if method != Method.SIMULATION and is_markov(net.modes):
        try:
            return _exact(explored(net), measures, times)
        except TooManyStates:
            pass
    if method == Method.EXACT:
        raise InvalidInput(f"net {net.name}: there is no exact curve of it")
    return _simulated(net, measures, times, sampling)


def _exact(
    space: StateSpace, measures: Sequence[Measure], times: Sequence[float]
) -> tuple[Curve, ...]:
    rates = matrix_of(rates_between(space), len(space.states))
    start = np.zeros(len(space.states))
    for state, share in space.start.items():
        start[state] = share
    shares = _shares(rates, start, times)
    found = []
    for measure in measures:
        seen = space.net.expression(measure.text, f"measure {measure.name}").value
        values = np.array([float(seen(state)) for state in space.states])
        if measure.kind == MeasureKind.PROBABILITY:
            values = (values != 0).astype(float)
        points = _floats(shares @ values)
        found.append(
            Curve(
                name=measure.name,
                kind=measure.kind,
                times=tuple(times),
                values=points,
                low=points,
                high=points,
                method=Method.EXACT,
                detail=f"uniformisation of {len(space.states)} states",
            )
        )
    return tuple(found)


def _shares(rates: csr_matrix, start: Values, times: Sequence[float]) -> Values:
    """The chain's distribution at each time, one row each. Raises TooManyStates where it cannot."""
    out = np.asarray(rates.sum(axis=1)).ravel()
    fastest = float(out.max()) * 1.02 or 1.0
    steps = np.diff([0.0, *times])
    if len(start) <= _DENSE:
        jumps = rates.toarray() / fastest
        np.fill_diagonal(jumps, 1 - out / fastest)
        rows = _doubled(jumps, start, fastest, steps)
    elif fastest * times[-1] <= _MOST_TERMS:
        from scipy.sparse import diags

        rows = _series(
            (rates / fastest + diags(1 - out / fastest)).T.tocsr(), start, fastest, steps
        )
    else:
        raise TooManyStates
    return np.array(rows)


def _doubled(jumps: Values, start: Values, fastest: float, steps: Values) -> list[Values]:
    """Steps by a matrix for each length: a short one, squared until it is long enough."""
    rows, now = [], start
    known: dict[float, Values] = {}
    for step in steps.tolist():
        if step not in known:
            halvings = max(0, math.ceil(math.log2(max(1.0, fastest * step))))
            matrix = _poisson_sum(jumps, fastest * step / 2**halvings)
            for _ in range(halvings):
                matrix = matrix @ matrix
                matrix /= matrix.sum(axis=1, keepdims=True)
            known[step] = matrix
        now = now @ known[step]
        rows.append(now)
    return rows


def _poisson_sum(jumps: Values, mean: float) -> Values:
    """The mean of the matrix's powers over a Poisson number with a ``mean`` of 1 at most."""
    power = np.eye(len(jumps))
    weight = math.exp(-mean)
    total = weight * power
    for k in range(1, 40):
        weight *= mean / k
        if weight < _SMALL * 1e-3:
            break
        power = power @ jumps
        total += weight * power
    scaled: Values = total / total.sum(axis=1, keepdims=True)
    return scaled


def _series(jumps: csr_matrix, start: Values, fastest: float, steps: Values) -> list[Values]:
    """Term by term; once the chain does not change any more, it is where it stays."""
    rows, now = [], start
    for step in steps.tolist():
        mean = fastest * step
        most = math.ceil(mean + 10 * math.sqrt(mean) + 30)
        total = np.zeros_like(now)
        vector, spent = now, 0.0
        for k in range(most):
            weight = math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) if mean else 1.0
            total += weight * vector
            spent += weight
            after = jumps @ vector
            if np.abs(after - vector).sum() < _SMALL:
                break
            vector = after
            if not mean:
                break
        now = total + (1 - spent) * vector if spent < 1 else total
        now = now / now.sum()
        rows.append(now)
    return rows


@dataclass(frozen=True, slots=True)
class _Runs:
    """So many runs from the start, with a seed of their own."""

    net: Net
    measures: tuple[Measure, ...]
    times: tuple[float, ...]
    seed: Seed
    runs: int

    def sums(self) -> tuple[Values, Values, int]:
        """Sums of the values and of their squares, by time and measure; the firings."""
        return curves(self.net, self.measures, self.seed, self.times, self.runs)


def _simulated(
    net: Net, measures: Sequence[Measure], times: Sequence[float], sampling: Sampling
) -> tuple[Curve, ...]:
    """A pilot says how many runs it takes; the answer is from those alone.

    Where they are too few after all, others are played, and more of them.
    """
    seeds = np.random.SeedSequence(sampling.seed)
    kind = Workers.THREADS if is_fast(net, measures) else Workers.PROCESSES
    asked = (tuple(measures), tuple(times))

    def played(runs: int) -> tuple[Values, Values, int]:
        share = math.ceil(runs / REPLICAS)
        parts = [_Runs(net, *asked, seed, share) for seed in seeds.spawn(REPLICAS)]
        found = list(mapped(_Runs.sums, parts, workers=sampling.workers, kind=kind))
        sums = np.sum([each[0] for each in found], axis=0)
        squares = np.sum([each[1] for each in found], axis=0)
        events = sum(each[2] for each in found)
        if sampling.progress is not None:
            sampling.progress(events)
        return sums, squares, events

    runs = _PILOT
    sums, squares, events = played(runs)
    most = _MOST_RUNS
    if sampling.most_events is not None:
        most = min(most, int(sampling.most_events / max(1.0, events / runs)))
    reached = False
    for _ in range(_MOST_TRIES):
        lacking = _lacking(measures, sums, squares, runs, sampling.relative_error)
        runs = int(max(_PILOT // REPLICAS, min(most, runs * lacking * _SAFETY)))
        runs = REPLICAS * math.ceil(runs / REPLICAS)
        sums, squares, _ = played(runs)
        reached = _lacking(measures, sums, squares, runs, sampling.relative_error) <= 1
        if reached or runs >= most:
            break
    return tuple(
        _curve(measure, times, sums[:, n], squares[:, n], runs, reached=reached)
        for n, measure in enumerate(measures)
    )


def _spread(sums: Values, squares: Values, runs: int) -> tuple[Values, Values]:
    """The means, and half of each one's interval."""
    means = sums / runs
    variances = np.maximum(squares / runs - means**2, 0.0) * runs / (runs - 1)
    return means, student(runs - 1) * np.sqrt(variances / runs)


def _lacking(
    measures: Sequence[Measure], sums: Values, squares: Values, runs: int, error: float
) -> float:
    """How many times as many runs it takes for the asked error at the largest of each curve."""
    means, halves = _spread(sums, squares, runs)
    found = 0.0
    for n, measure in enumerate(measures):
        scales = np.abs(means[:, n])
        if measure.kind == MeasureKind.PROBABILITY:
            scales = np.minimum(scales, 1 - scales)
        at = int(np.argmax(scales))
        if not scales[at]:
            return math.inf
        found = max(found, (float(halves[at, n]) / (error * float(scales[at]))) ** 2)
    return found


def _curve(
    measure: Measure,
    times: Sequence[float],
    sums: Values,
    squares: Values,
    runs: int,
    *,
    reached: bool,
) -> Curve:
    means, halves = _spread(sums, squares, runs)
    low, high = means - halves, means + halves
    if measure.kind == MeasureKind.PROBABILITY:
        low, high = _wilson(means, runs)
    return Curve(
        name=measure.name,
        kind=measure.kind,
        times=tuple(times),
        values=_floats(means),
        low=_floats(low),
        high=_floats(high),
        method=Method.SIMULATION,
        detail=f"{runs} runs from the start",
        reached=reached,
    )


def _floats(values: Values) -> tuple[float, ...]:
    return tuple(float(each) for each in values)


def _wilson(shares: Values, runs: int) -> tuple[Values, Values]:
    """Wilson's interval of a share (1927): it has a width where nothing, or all, was seen."""
    z = student(runs - 1)
    middle = (shares + z**2 / (2 * runs)) / (1 + z**2 / runs)
    half = z / (1 + z**2 / runs) * np.sqrt(shares * (1 - shares) / runs + (z / (2 * runs)) ** 2)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)

"""A guest's parameters from what its checkpoints took at several intervals.

In an epoch in which the guest runs for t it dirties d = W (1 - exp(-t r / W)); a checkpoint takes
p0 + d / copy and then s + d / send (`remusnet.scenario.guest`). With tau = W / r these are curves

    pause = p0 + P (1 - exp(-t / tau))        lag = s + L (1 - exp(-t / tau))

of five unknowns: no time tells how large W is, only how it compares with what copies and sends it.
One interval gives two of their points, two intervals four: three at least are needed. Where sizes
were measured (``dirty``), they are a third curve, and W is known as well.

Least squares with a soft L1 loss, since single checkpoints are disturbed, each residual by the
spread within its trace. The 95 % intervals are a bootstrap's, over blocks of checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from remusnet.errors import InvalidInput
from remusnet.extras import lacking
from remusnet.scenario.epochs import Floats, Trace
from remusnet.scenario.guest import LARGEST_WORKING_SET, GuestModel
from remusnet.units import format_rate

if TYPE_CHECKING:
    from numpy.random import Generator

FEWEST: Final = 10
"""Checkpoints of a trace: fewer have no spread to speak of."""
DEFAULT_LINK: Final = 1_000_000_000
"""Bits a second: what W is scaled by where nobody has said how fast anything is."""

RESAMPLES: Final = 60
"""Of the bootstrap: its 95 % interval is from the second to the last but one."""
UNITS: Final = {
    "memory.working-set": "bytes",
    "memory.write-rate": "bit/s",
    "pause.base": "ns",
    "pause.through": "bit/s",
    "commit.base": "ns",
    "commit.through": "bit/s",
}
"""Of each number of the guest file."""

_APART = 1.1
_ROUNDS = 100
_MOST_POINTS = 200
_STARTS = 9
_BLOCK = 10
_NS = 1e9
_LEAST_SPREAD = 0.02
"""Of the median: the model is no closer than that to any guest, however steady its checkpoints."""
_KNOWN_RATIO = 2.0
_KNOWN_SHARE = 0.25
"""What tells a number: its interval's ends a factor of two apart, or a quarter of what is usual."""
_LONGEST_TAU = 100.0
_BENDS = 3.0
_GROWS = 0.05
_CLOSE = 1e-6
_LARGEST_RATE = 1 << 50
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of the guest file, ``key``: ``pause.base``. ``unit``: ns, bytes or bit/s.

    ``low``, ``high``: its 95 % interval; ``known``: whether that is so narrow that these traces can
    be said to tell it.
    """

    key: str
    unit: str
    value: float
    low: float
    high: float
    known: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A trace beside the fit, by medians: times in ns.

    ``expected_pause_ns``, ``expected_lag_ns``: what the fit says for the interval that was
    configured, and for the measured run times where that is not known.
    """

    name: str
    interval_ns: float | None
    checkpoints: int
    ran_ns: float
    pause_ns: float
    expected_pause_ns: float
    lag_ns: float
    expected_lag_ns: float

    @property
    def pause_error(self) -> float:
        """A share of what was seen: 0.1 where the fit is 10 % above."""
        return self.expected_pause_ns / self.pause_ns - 1 if self.pause_ns else math.nan

    @property
    def lag_error(self) -> float:
        """See `pause_error`."""
        return self.expected_lag_ns / self.lag_ns - 1 if self.lag_ns else math.nan


@dataclass(frozen=True, slots=True)
class Fit:
    """``late_ns``: how much later than its interval after a commit a suspend came, by the median.

    ``checked``: traces that the fit has not seen. ``notes``: what is assumed or can't be told.
    """

    guest: GuestModel
    parameters: tuple[Parameter, ...]
    fitted: tuple[Seen, ...]
    checked: tuple[Seen, ...]
    late_ns: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Curves:
    """In seconds and bytes; ``size`` is W, NaN where no sizes were measured."""

    tau: float
    base_pause: float
    most_pause: float
    base_lag: float
    most_lag: float
    size: float

    def share(self, ran: Floats) -> Floats:
        found: Floats = -np.expm1(-ran / self.tau)
        return found

    def pause(self, ran: Floats) -> Floats:
        return self.base_pause + self.most_pause * self.share(ran)

    def lag(self, ran: Floats) -> Floats:
        return self.base_lag + self.most_lag * self.share(ran)


@dataclass(frozen=True, slots=True)
class _Points:
    """Checkpoints of a trace of which all is known: run time, pause and lag (s), and size."""

    ran: Floats
    seen: tuple[Floats, ...]
    spread: tuple[float, ...]


def fit(
    traces: Sequence[Trace],
    *,
    checks: Sequence[Trace] = (),
    name: str = "guest",
    link: int | None = None,
    seed: int = 1,
    resamples: int = RESAMPLES,
) -> Fit:
    """The guest that ``traces`` are of. ``link``: how fast what is dirty is sent (bits a second).

    ``checks``: traces to compare with what the fit says, without fitting them. ``resamples``: of
    the bootstrap that gives the intervals, by ``seed``. Raises InvalidInput
    where the traces are too few or too short, MissingDependency without scipy.
    """
    try:
        import scipy.optimize  # noqa: F401 - is it there?
    except ImportError:
        raise lacking("a fit needs scipy", "availability") from None
    points = _points(traces)
    _require_enough(points)
    found = _best(points, _starts(points))
    rng = np.random.Generator(np.random.PCG64(seed))
    resampled = [
        _best([_resample(each, rng) for each in points], [found]) for _ in range(resamples)
    ]
    sized = not math.isnan(found.size)
    numbers = _numbers(found, link)
    parameters = _parameters(numbers, [_numbers(each, link) for each in resampled], points)
    late = _late(traces)
    return Fit(
        _guest(numbers, name),
        parameters,
        tuple(_compared(each, found, late) for each in traces),
        tuple(_compared(each, found, late) for each in checks),
        late * _NS,
        tuple(_notes(found, points, None if sized else link or DEFAULT_LINK, link is None)),
    )


def _points(traces: Sequence[Trace]) -> list[_Points]:
    """Of each trace equally many; sizes only where all traces have them."""
    sized = all(np.isfinite(each.dirty).any() for each in traces)
    known = [_known(each, sized=sized) for each in traces]
    count = min(_MOST_POINTS, *(len(each[0]) for each in known))
    found = []
    for columns in known:
        block = len(columns[0]) // count
        ran, *seen = (
            np.median(each[: block * count].reshape(count, block), axis=1) for each in columns
        )
        found.append(_Points(ran, tuple(seen), tuple(map(_spread, seen))))
    return found


def _known(trace: Trace, *, sized: bool) -> list[Floats]:
    """Run time, pause and lag (s), and size (bytes), where all of them are known."""
    columns = [trace.ran_ns / _NS, trace.pause_ns / _NS, trace.lag_ns / _NS]
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


def _require_enough(points: Sequence[_Points]) -> None:
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


def _starts(points: Sequence[_Points]) -> list[_Curves]:
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
        found.append(_Curves(*map(float, (tau, p0, pause, s0, lag, size))))
    return found


def _best(points: Sequence[_Points], starts: Sequence[_Curves]) -> _Curves:
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
    return _Curves(math.exp(x[0]), *linear[:4], *(linear[4:] or [math.nan]))


def _resample(points: _Points, rng: Generator) -> _Points:
    """As many checkpoints, drawn by blocks: those that follow each other are alike."""
    count = len(points.ran)
    block = min(_BLOCK, max(1, count // 4))
    firsts = rng.integers(0, count, -(-count // block))
    rows = (firsts[:, None] + np.arange(block)).ravel()[:count] % count
    return _Points(points.ran[rows], tuple(each[rows] for each in points.seen), points.spread)


def _numbers(found: _Curves, link: int | None) -> dict[str, float]:
    """The guest file's numbers, in bytes, ns and bits a second."""
    rate = float(link or DEFAULT_LINK)
    size = found.size
    if math.isnan(size):
        # By the link; by what copies, where nothing that is sent grows; else by nothing.
        size = (found.most_lag or found.most_pause) * rate / 8 or _PAGE
    return {
        "memory.working-set": size,
        "memory.write-rate": 8 * size / found.tau,
        "pause.base": found.base_pause * _NS,
        "pause.through": min(8 * size / max(found.most_pause, 1e-12), _LARGEST_RATE),
        "commit.base": found.base_lag * _NS,
        "commit.through": min(8 * size / max(found.most_lag, 1e-12), _LARGEST_RATE),
    }


def _parameters(
    numbers: dict[str, float], others: Sequence[dict[str, float]], points: Sequence[_Points]
) -> tuple[Parameter, ...]:
    usual = [float(np.median(np.concatenate([each.seen[at] for each in points]))) for at in (0, 1)]
    usual_ns = {"pause.base": usual[0] * _NS, "commit.base": usual[1] * _NS}
    found = []
    for key, value in numbers.items():
        low, high = np.percentile([each[key] for each in others], [2.5, 97.5])
        low, high = min(float(low), value), max(float(high), value)
        if key in usual_ns:
            known = high - low <= 2 * _KNOWN_SHARE * usual_ns[key]
        else:
            known = high <= _KNOWN_RATIO * low and value < _LARGEST_RATE
        found.append(Parameter(key, UNITS[key], value, low, high, known))
    return tuple(found)


def _guest(numbers: dict[str, float], name: str) -> GuestModel:
    whole = {key: max(1, round(value)) for key, value in numbers.items()}
    return GuestModel(
        name,
        working_set=min(whole["memory.working-set"], LARGEST_WORKING_SET),
        write_rate=whole["memory.write-rate"],
        pause_ns=round(numbers["pause.base"]),
        copy_rate=whole["pause.through"],
        commit_ns=round(numbers["commit.base"]),
        send_rate=whole["commit.through"],
    )


def _late(traces: Sequence[Trace]) -> float:
    """Seconds from when xl's timer was due, an interval after the commit, to the suspend."""
    found = []
    for each in traces:
        if each.interval_ns is not None:
            late = each.ran_ns[1:] - each.lag_ns[:-1] - each.interval_ns
            found.append(float(np.nanmedian(late)) / _NS)
    return max(0.0, float(np.median(found))) if found else 0.0


def _compared(trace: Trace, curves: _Curves, late: float) -> Seen:
    ran_ns = float(np.nanmedian(trace.ran_ns))
    ran = np.array(ran_ns / _NS)
    if trace.interval_ns is not None:
        # What the fit says where only the interval is known: the lag makes the run longer.
        for _ in range(_ROUNDS):
            ran = trace.interval_ns / _NS + late + curves.lag(ran)
    return Seen(
        trace.name,
        trace.interval_ns,
        len(trace),
        ran_ns,
        float(np.nanmedian(trace.pause_ns)),
        float(curves.pause(ran)) * _NS,
        float(np.nanmedian(trace.lag_ns)),
        float(curves.lag(ran)) * _NS,
    )


def _notes(
    found: _Curves, points: Sequence[_Points], link: int | None, assumed: bool
) -> Iterator[str]:
    times = [float(np.median(each.ran)) for each in points]
    ends = np.array([min(times), max(times)])
    if all(np.ptp(each) <= _GROWS * each[0] for each in (found.pause(ends), found.lag(ends))):
        yield (
            "checkpoints take as long at all of these intervals: either little is dirtied, or all "
            "of the working set is at the shortest already; measure shorter intervals"
        )
    elif found.tau > _BENDS * max(times):
        yield (
            "what is dirtied grows all the while: the working set is larger than these intervals "
            "show; up to the longest of them the fit holds"
        )
    elif found.tau < min(times) / _BENDS:
        yield (
            "all of the working set is dirty at the shortest interval already: what a checkpoint "
            "takes at least can't be told from what dirty memory adds; measure shorter intervals"
        )
    if link is not None:
        whence = "assumed, --link says otherwise" if assumed else "by --link"
        yield (
            f"no trace says how much was dirty: sizes and rates are scaled by a link of "
            f"{format_rate(link)} ({whence}); what checkpoints take does not depend on it"
        )

"""A guest's parameters from what its checkpoints took at several intervals.

In an epoch in which the guest runs for t it dirties d = W (1 - exp(-t r / W)); a checkpoint takes
p0 + d / copy and then s + d / send (`remusnet.scenario.guest`). With tau = W / r these are curves

    pause = p0 + P (1 - exp(-t / tau))        lag = s + L (1 - exp(-t / tau))

of five unknowns: no time tells how large W is, only how it compares with what copies and sends it.
One interval gives two of their points, two intervals four: three at least are needed. Where sizes
were measured (``dirty``), they are a third curve, and W is known as well.

The 95 % intervals are a bootstrap's, over blocks of checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from remusnet.extras import lacking
from remusnet.scenario.epochs import Trace
from remusnet.scenario.guest import LARGEST_WORKING_SET, GuestModel
from remusnet.sweep.checkpoint_curves import NS, Curves, Points, nearest, points_of, resample, rough
from remusnet.units import format_rate

DEFAULT_LINK: Final = 1_000_000_000
"""Bits a second: what W is scaled by where the user gives no rate."""

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

_ROUNDS = 100
_KNOWN_RATIO = 2.0
_KNOWN_SHARE = 0.25
"""What tells a number: its interval's ends a factor of two apart, or a quarter of what is usual."""
_BENDS = 3.0
_GROWS = 0.05
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
    points = points_of(traces)
    found = nearest(points, rough(points))
    rng = np.random.Generator(np.random.PCG64(seed))
    resampled = [
        nearest([resample(each, rng) for each in points], [found]) for _ in range(resamples)
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
        late * NS,
        tuple(_notes(found, points, None if sized else link or DEFAULT_LINK, link is None)),
    )


def _numbers(found: Curves, link: int | None) -> dict[str, float]:
    """The guest file's numbers, in bytes, ns and bits a second."""
    rate = float(link or DEFAULT_LINK)
    size = found.size
    if math.isnan(size):
        # By the link; by what copies, where nothing that is sent grows; else by nothing.
        size = (found.most_lag or found.most_pause) * rate / 8 or _PAGE
    return {
        "memory.working-set": size,
        "memory.write-rate": 8 * size / found.tau,
        "pause.base": found.base_pause * NS,
        "pause.through": min(8 * size / max(found.most_pause, 1e-12), _LARGEST_RATE),
        "commit.base": found.base_lag * NS,
        "commit.through": min(8 * size / max(found.most_lag, 1e-12), _LARGEST_RATE),
    }


def _parameters(
    numbers: dict[str, float], others: Sequence[dict[str, float]], points: Sequence[Points]
) -> tuple[Parameter, ...]:
    usual = [float(np.median(np.concatenate([each.seen[at] for each in points]))) for at in (0, 1)]
    usual_ns = {"pause.base": usual[0] * NS, "commit.base": usual[1] * NS}
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
            found.append(float(np.nanmedian(late)) / NS)
    return max(0.0, float(np.median(found))) if found else 0.0


def _compared(trace: Trace, curves: Curves, late: float) -> Seen:
    ran_ns = float(np.nanmedian(trace.ran_ns))
    ran = np.array(ran_ns / NS)
    if trace.interval_ns is not None:
        # What the fit says where only the interval is known: the lag makes the run longer.
        for _ in range(_ROUNDS):
            ran = trace.interval_ns / NS + late + curves.lag(ran)
    return Seen(
        trace.name,
        trace.interval_ns,
        len(trace),
        ran_ns,
        float(np.nanmedian(trace.pause_ns)),
        float(curves.pause(ran)) * NS,
        float(np.nanmedian(trace.lag_ns)),
        float(curves.lag(ran)) * NS,
    )


def _notes(
    found: Curves, points: Sequence[Points], link: int | None, assumed: bool
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

"""One definition of percentiles for everything that remusnet reports.

Linear interpolation between the two closest ranks (type 7 of Hyndman and Fan, numpy's default):
the median of an even count is the mean of the middle two. What has no values has no percentiles:
they are None, and null in JSON, never a 0 that looks measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remusnet.frames import Int64s

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, 95th and 99th percentile and largest of some values, in the values' unit."""

    p50: float
    p95: float
    p99: float
    max: float

    def to_json(self) -> dict[str, float]:
        """As JSON has it: rounded to 6 digits, which is 1 ns where the unit is ms."""
        return {
            "p50": rounded(self.p50),
            "p95": rounded(self.p95),
            "p99": rounded(self.p99),
            "max": rounded(self.max),
        }


def spread(
    values: npt.NDArray[np.float64] | Int64s, unit: int = 1, *, overwrite_input: bool = False
) -> Spread | None:
    """The spread of n values, in ``unit`` of them (NS_PER_MS makes ms of ns); None where n is 0.

    ``overwrite_input``: whether ``values`` may be put in another order; it saves a copy.
    """
    if len(values) == 0:
        return None
    ordered = values if overwrite_input else values.copy()
    last = len(values) - 1
    places = [last * share for share in (0.5, 0.95, 0.99)]
    ordered.partition(sorted({last, *(rank for place in places for rank in _ranks(place, last))}))
    p50, p95, p99 = (_between(ordered, place, unit) for place in places)
    return Spread(p50, p95, p99, float(ordered[last]) / unit)


def percentile(values: npt.NDArray[np.float64], share: float) -> float:
    """The percentile of n > 0 values below which ``share`` of them (0 to 1) lie."""
    last = len(values) - 1
    ordered = values.copy()
    ordered.partition(sorted(set(_ranks(last * share, last))))
    return _between(ordered, last * share, 1)


# As numpy.percentile does it, to the last bit, without the 100 us that it takes beside that, and
# without numpy.ma, whose import is 10 ms of a command.
def _ranks(place: float, last: int) -> tuple[int, int]:
    return int(place), min(int(place) + 1, last)


def _between(ordered: npt.NDArray[np.float64] | Int64s, place: float, unit: int) -> float:
    """The value at ``place``, between the two ranks beside it, which are in their order."""
    lower, upper = (float(ordered[rank]) / unit for rank in _ranks(place, len(ordered) - 1))
    share, step = place - int(place), upper - lower
    return lower + step * share if share < 0.5 else upper - step * (1 - share)


def milliseconds(nanoseconds: Int64s) -> npt.NDArray[np.float64]:
    """int64 ns as float64 ms. Take differences before, not after: a date in ms has lost its ns."""
    return nanoseconds / NS_PER_MS


def rounded(value: float) -> float:
    """``value`` for JSON: 6 digits after the point, so that noise of the last bit never shows."""
    return round(value, 6)

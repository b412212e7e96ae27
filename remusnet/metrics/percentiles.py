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
    # As numpy.percentile does it, to the last bit, without the 100 us that it takes beside that.
    at = [(len(values) - 1) * share for share in (0.5, 0.95, 0.99)]
    last = len(values) - 1
    ranks = sorted({last, *(min(int(place) + up, last) for place in at for up in (0, 1))})
    ordered = values if overwrite_input else values.copy()
    ordered.partition(ranks)
    found = []
    for place in at:
        below = int(place)
        lower, upper = (float(ordered[rank]) / unit for rank in (below, min(below + 1, last)))
        share, step = place - below, upper - lower
        found.append(lower + step * share if share < 0.5 else upper - step * (1 - share))
    p50, p95, p99 = found
    return Spread(p50, p95, p99, float(ordered[last]) / unit)


def milliseconds(nanoseconds: Int64s) -> npt.NDArray[np.float64]:
    """int64 ns as float64 ms. Take differences before, not after: a date in ms has lost its ns."""
    return nanoseconds / NS_PER_MS


def rounded(value: float) -> float:
    """For JSON: 6 digits after the point, so that noise of the last bit never shows."""
    return round(value, 6)

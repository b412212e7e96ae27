"""Bursts: what a released buffer does to packets that were sent evenly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.frames import Int64s


@dataclass(frozen=True, slots=True)
class Bursts:
    """Packets a burst: the median over bursts, and the largest."""

    median: float
    max: int


def burst_sizes(arrival_ns: Int64s, ptime_ns: float | None) -> Int64s:
    """Packets in each burst, in order: a run of packets with gaps below half of ``ptime_ns``.

    ``arrival_ns``: int64[n], ascending; of what was sent at once (a video frame's packets, the
    copies of a mirror port) the first. Half of the packetization time parts what was sent apart
    from what waited together: jitter below it makes no burst, and a queue drains far faster. An
    even stream has bursts of 1; so has one without a known packetization time (None).
    """
    if len(arrival_ns) == 0:
        return np.zeros(0, np.int64)
    limit = 0.0 if ptime_ns is None else ptime_ns / 2
    starts = np.flatnonzero(np.diff(arrival_ns) >= limit) + 1
    return np.diff(np.concatenate([[0], starts, [len(arrival_ns)]]))


def burst_summary(sizes: Int64s) -> Bursts:
    """Median and maximum of burst sizes; both 0 where there are none."""
    if len(sizes) == 0:
        return Bursts(0.0, 0)
    return Bursts(float(np.median(sizes)), int(sizes.max()))

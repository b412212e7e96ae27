"""A stream's clock: how fast it runs, and where it begins anew.

RFC 3550 (A.1) takes a sequence number that is far off, once a second packet confirms it, for a
sender that began anew, and treats the packet as the first of a stream. So is it with timestamps
here: one that jumps (a transfer, an announcement through a B2BUA, a phone that restarts) says
nothing of the network, and one such jump would be all that a jitter of hours tells.
"""

from __future__ import annotations

import numpy as np

from remusnet.frames import Bools, Int64s
from remusnet.metrics.jitter import Float64s, signed32
from remusnet.metrics.payload_types import COMMON_CLOCK_RATES, OFF_BY_AT_MOST, common_clock_rate
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.metrics.sequence import MAX_DROPOUT, MAX_MISORDER, steps16

_USUAL_PTIME_MS = 20.0
JUMP_MS = MAX_MISORDER * _USUAL_PTIME_MS
"""A.1's MAX_MISORDER in time, 2 s: so much a timestamp goes back, or runs ahead of all before."""
BEHIND_MS = MAX_DROPOUT * _USUAL_PTIME_MS
"""A.1's MAX_DROPOUT in time, 60 s: so much it stays behind, and it was held, not delayed."""
_FEWEST_PACKETS = 8
"""Fewer tell no clock rate: a late one among them moves any estimate."""


def clock_jumps(
    arrival_ns: Int64s, timestamp: Int64s, sequence: Int64s, clock_rate: Int64s
) -> tuple[Bools, int]:
    """With which packets the clock begins anew: bool[n]; how many of them are jumps of timestamps.

    All int64[n], packets in order of arrival. ``timestamp``: 32 bits; ``sequence``: 16 bits;
    ``clock_rate``: of each packet, in Hz. A change of the rate and a new numbering begin it anew
    too, and are no jump.

    A delay never makes a timestamp go back while sequence numbers go on, nor lets a packet come
    long before it is due. A delay does make packets come late, at once or in a burst: up to
    `BEHIND_MS` that is jitter, however much it is.
    """
    count = len(arrival_ns)
    fresh = np.zeros(count, np.bool_)
    if count < 2:
        return fresh, 0
    media_ms = signed32(np.diff(timestamp)) * (1000 / clock_rate[1:])
    late_ms = np.diff(arrival_ns) / NS_PER_MS - media_ms
    step = steps16(sequence)
    fresh[1:] = (step >= MAX_DROPOUT) | (step <= -MAX_MISORDER)
    fresh[1:] |= clock_rate[1:] != clock_rate[:-1]
    back = (media_ms < -JUMP_MS) & (step > 0)
    odd = ~fresh[1:] & (back | (late_ms < -JUMP_MS) | (late_ms > BEHIND_MS))
    candidates = np.flatnonzero(odd | fresh[1:]).tolist()
    if not odd.any():
        return fresh, 0

    # Transit, from where the clock began last; a packet ahead of its time is below all of them.
    jumps, least, transit, done = 0, 0.0, 0.0, 0
    for index in candidates:
        if index > done:
            walk = transit + np.cumsum(late_ms[done:index])
            least, transit = min(least, float(walk.min())), float(walk[-1])
        ahead = transit + late_ms[index] < least - JUMP_MS
        if fresh[index + 1]:
            jumped = True
        else:
            jumped = bool(back[index] or ahead or late_ms[index] > BEHIND_MS)
            jumps += jumped
            fresh[index + 1] = jumped
        if jumped:
            least = transit = 0.0
        else:
            transit += float(late_ms[index])
            least = min(least, transit)
        done = index + 1
    return fresh, jumps


def guessed_clock_rate(arrival_ns: Int64s, timestamp: Int64s) -> int | None:
    """The common clock rate at which timestamps advance; None where that can't be told.

    Both int64[n], in order of arrival. From packets two thirds of a stretch apart, the median of
    how fast timestamps advanced: neither a burst nor a pause moves that far. A stretch ends where
    timestamps run faster than any common clock, or go back. Where packets came later and sooner, by
    that rate, than it and its neighbours differ by in all that time, it isn't told.
    """
    slopes, weights = [], []
    stretches = _stretches(arrival_ns, timestamp)
    for stretch in stretches:
        apart = 2 * len(stretch) // 3
        ticks = np.cumsum(signed32(np.diff(timestamp[stretch], prepend=timestamp[stretch[0]])))
        passed_ns = arrival_ns[stretch][apart:] - arrival_ns[stretch][:-apart]
        advanced = (ticks[apart:] - ticks[:-apart])[passed_ns > 0]
        slopes.append(advanced * 1e9 / passed_ns[passed_ns > 0])
        weights.append(np.full(len(slopes[-1]), len(stretch) / max(1, len(slopes[-1]))))
    if not slopes or not sum(map(len, slopes)):
        return None
    found = _middle(np.concatenate(slopes), np.concatenate(weights))
    rate = common_clock_rate(found[1])
    # Where a quarter says otherwise, chance said the rest.
    if rate is None or any(common_clock_rate(each) != rate for each in found):
        return None
    spread_s = passed_s = 0.0
    for stretch in stretches:
        ticks = np.cumsum(signed32(np.diff(timestamp[stretch], prepend=timestamp[stretch[0]])))
        own_s = (arrival_ns[stretch] - arrival_ns[stretch[0]]) / 1e9
        lowest, highest = np.percentile(own_s - ticks / rate, (5, 95))
        spread_s, passed_s = max(spread_s, float(highest - lowest)), passed_s + float(own_s[-1])
    return rate if spread_s <= OFF_BY_AT_MOST * passed_s else None


def _stretches(arrival_ns: Int64s, timestamp: Int64s) -> list[Int64s]:
    """Rows of each stretch without a jump that is one at any clock rate."""
    step = signed32(np.diff(timestamp))
    fastest = COMMON_CLOCK_RATES[-1] / 1000
    room_ms = np.maximum(np.diff(arrival_ns) / NS_PER_MS, 0) + JUMP_MS
    jumps = (step > fastest * room_ms) | (step < -fastest * JUMP_MS)
    parts = np.split(np.arange(len(timestamp)), np.flatnonzero(jumps) + 1)
    return [part for part in parts if len(part) >= _FEWEST_PACKETS]


def _middle(values: Float64s, weights: Float64s) -> list[float]:
    """The quartiles of weighted values."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    places = np.searchsorted(share, (0.25, 0.5, 0.75)).clip(0, len(values) - 1)
    return [float(value) for value in values[order][places]]

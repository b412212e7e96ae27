"""Traces of checkpoints of a guest whose parameters are known."""

from __future__ import annotations

import math

import numpy as np

from remusnet.scenario.epochs import Trace
from remusnet.scenario.guest import GuestModel


def trace(
    guest: GuestModel,
    interval_ns: int,
    count: int,
    seed: int,
    *,
    noise: float = 0.05,
    outliers: float = 0.0,
    sizes: bool = False,
) -> Trace:
    """``count`` checkpoints under xl's schedule, each after ``interval_ns`` and the lag before it.

    ``noise``: of what is dirtied in an epoch, a standard deviation as a share of it; ``outliers``:
    the share of pauses and lags that are disturbed, and then three times as long.
    """
    rng = np.random.Generator(np.random.PCG64([seed, interval_ns]))
    ran, pause, lag, dirty = np.empty((4, count))
    before = 0.0
    for at in range(count):
        ran[at] = interval_ns + before
        grown = -math.expm1(-guest.write_rate / 8 / guest.working_set * ran[at] / 1e9)
        dirty[at] = guest.working_set * grown * max(0.0, 1 + noise * rng.standard_normal())
        pause[at] = guest.pause_ns + dirty[at] * 8e9 / guest.copy_rate
        lag[at] = guest.commit_ns + dirty[at] * 8e9 / guest.send_rate
        before = lag[at]
    hit = rng.random((2, count)) < outliers
    period = np.full(count, math.nan)
    period[1:] = ran[1:] + pause[:-1]
    at_ns = np.concatenate([[0.0], np.cumsum(period[1:])])
    # What disturbs a measurement does not change what the guest did.
    ran_too_long = np.where(hit[0], 3.0, 1.0)
    unknown = np.full(count, math.nan)
    return Trace(
        f"epochs-{interval_ns // 1_000_000}ms.csv",
        float(interval_ns),
        at_ns,
        period,
        pause * ran_too_long,
        lag * np.where(hit[1], 3.0, 1.0),
        unknown,
        dirty if sizes else unknown,
    )

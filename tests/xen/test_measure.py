"""Checkpoints of a real Xen, measured at three intervals, tell what they take at a fourth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from remusnet.scenario import epochs
from remusnet.sweep.fit import fit
from remusnet.sweep.fit_words import text
from tests.xen.lab.job import Done

FITTED, FOURTH = (500, 1000, 2000), 1400
"""Milliseconds. Shorter ones leave an emulated guest no time."""
CLOSE = 0.15


@pytest.mark.xen
@pytest.mark.slow
def test_three_intervals_tell_pause_and_lag_of_a_fourth(in_dom0: Callable[..., Done]) -> None:
    every = (*FITTED, FOURTH)
    done = in_dom0("measure", INTERVALS=" ".join(map(str, every)))
    assert done.status == 0, done.said[-20:]
    traces = {}
    for interval in every:
        file = done.out / f"epochs-{interval}ms.csv"
        traces[interval] = epochs.read(file.read_text("utf-8"), file.name)
    found = fit([traces[each] for each in FITTED], checks=[traces[FOURTH]])
    print("\n".join(["", *done.said[-40:], text(found)]))
    for interval, trace in traces.items():
        assert trace.interval_ns == interval * 1e6
        assert np.isfinite(trace.pause_ns).mean() > 0.5
        assert np.isfinite(trace.dirty).mean() > 0.5
    (seen,) = found.checked
    assert abs(seen.pause_error) < CLOSE
    # Under emulation the guest sends nothing until the commit: lags are 0 then, and so is what is
    # expected; a share of 0 is none.
    expected = seen.expected_pause_ns + seen.expected_lag_ns
    assert abs(expected / (seen.pause_ns + seen.lag_ns) - 1) < CLOSE
    assert abs(seen.expected_lag_ns - seen.lag_ns) < CLOSE * max(seen.lag_ns, seen.pause_ns)

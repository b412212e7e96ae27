"""Checkpoints of a real Xen, measured at three intervals, tell of a fourth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from remusnet.scenario import epochs
from remusnet.scenario.guest import GuestModel
from remusnet.sweep.fit import fit
from remusnet.sweep.fit_words import text
from tests.xen.lab.job import Done

FITTED, FOURTH = (500, 1000, 2000), 1400
"""Milliseconds. Shorter ones leave an emulated guest no time."""
ROUNDS = 6
"""The emulated Dom0 shares its processor with whoever measures: pauses of two rounds of one
interval have differed by 82 %. Six of them take 22 minutes."""
CLOSE = 0.15


@pytest.mark.xen
@pytest.mark.slow
def test_three_intervals_tell_what_a_fourth_dirties_and_how_long_it_takes(
    in_dom0: Callable[..., Done],
) -> None:
    every = (*FITTED, FOURTH)
    done = in_dom0("measure", INTERVALS=" ".join(map(str, every)), ROUNDS=str(ROUNDS))
    assert done.status == 0, done.said[-20:]
    traces = {interval: _rounds(done.out, interval) for interval in every}
    fitted = [trace for interval in FITTED for trace in traces[interval]]
    found = fit(fitted, checks=traces[FOURTH])
    print("\n".join(["", *done.said[-40:], text(found)]))
    for interval, rounds in traces.items():
        for trace in rounds:
            assert trace.interval_ns == interval * 1e6
            assert np.isfinite(trace.pause_ns).mean() > 0.5
            assert np.isfinite(trace.dirty).mean() > 0.5
    seen = traces[FOURTH]
    expected = found.checked[0]
    dirty = _median([each.dirty for each in seen])
    print(f"dirty {dirty:.0f} B, expected {_dirtied(found.guest, expected.ran_ns):.0f} B")
    assert abs(_dirtied(found.guest, expected.ran_ns) / dirty - 1) < CLOSE
    pause_ns = _median([each.pause_ns for each in seen])
    print(f"pause {pause_ns / 1e6:.1f} ms, expected {expected.expected_pause_ns / 1e6:.1f} ms")
    assert abs(expected.expected_pause_ns / pause_ns - 1) < CLOSE
    # The guest sends nothing until the commit there: lags are 0, and so is what is expected.
    lag_ns = _median([each.lag_ns for each in seen])
    assert abs(expected.expected_lag_ns - lag_ns) < CLOSE * max(lag_ns, pause_ns)


def _dirtied(guest: GuestModel, ran_ns: float) -> float:
    """Bytes, in so long a run: docs/explanation/checkpoint-interval.md."""
    growth = guest.write_rate / 8 * ran_ns / 1e9 / guest.working_set
    return guest.working_set * -math.expm1(-growth)


def _median(values: Sequence[epochs.Floats]) -> float:
    return float(np.nanmedian(np.concatenate(values)))


def _rounds(out: Path, interval: int) -> list[epochs.Trace]:
    files = [out / f"epochs-{interval}ms-{number}.csv" for number in range(1, ROUNDS + 1)]
    return [epochs.read(file.read_text("utf-8"), file.name) for file in files]

from __future__ import annotations

import numpy as np
import pytest

from remusnet.emulator.machine.epochs import Checkpoints, checkpoints_between
from remusnet.errors import InvalidInput
from remusnet.schedule import Schedule, ScheduleKind
from tests.unit.emulator.recorded import checkpoints

XL, XEND = ScheduleKind.XL, ScheduleKind.XEND


def steps(found: Checkpoints) -> list[tuple[int, int, int]]:
    columns = found.suspend_ns, found.resume_ns, found.commit_ns
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_xl_starts_its_timer_after_the_commit() -> None:
    found = checkpoints_between(Schedule(100, 20, 5, XL), 1000, 1300)
    assert steps(found) == [(1100, 1120, 1125), (1225, 1245, 1250), (1350, 1370, 1375)]


def test_xend_keeps_the_interval_from_suspend_to_suspend() -> None:
    found = checkpoints_between(Schedule(100, 20, 5, XEND), 1000, 1250)
    assert steps(found) == [(1100, 1120, 1125), (1200, 1220, 1225), (1300, 1320, 1325)]


@pytest.mark.parametrize(
    ("last_ns", "count"), [(1000, 1), (1099, 1), (1100, 2), (1224, 2), (1225, 3)]
)
def test_checkpoints_go_on_until_the_last_epoch_is_closed(last_ns: int, count: int) -> None:
    """A frame at the moment of a suspend is in the next epoch, which needs one checkpoint more."""
    assert len(checkpoints_between(Schedule(100, 20, 5), 1000, last_ns)) == count


def test_times_keep_their_nanoseconds_over_years() -> None:
    """Floats would not: a time since 1970 in ns needs 61 bits."""
    first = 1_700_000_000_000_000_001
    found = checkpoints_between(Schedule(200_000_000, 50_000_000, 5_000_001), first, first + 10**12)
    assert set(np.diff(found.commit_ns).tolist()) == {255_000_001}
    assert found.suspend_ns[0] == first + 200_000_000


def test_a_span_of_years_is_refused_instead_of_filling_the_memory() -> None:
    with pytest.raises(InvalidInput, match="spans 4294967295 s, which is 21474836476 checkpoints"):
        checkpoints_between(Schedule(200_000_000, 0, 0), 0, 4_294_967_295 * 10**9)


def test_times_past_64_bits_are_refused() -> None:
    end = 2**63 - 1
    with pytest.raises(InvalidInput, match="past what 64 bits"):
        checkpoints_between(Schedule(200_000_000, 0, 0), end - 10, end)


def test_a_checkpoint_before_the_last_commit_is_refused() -> None:
    with pytest.raises(ValueError, match="before the one before it has committed"):
        checkpoints((10, 20, 30), (29, 40, 50))
    with pytest.raises(ValueError, match="never runs"):
        checkpoints((10, 20, 20), (20, 40, 50))
    with pytest.raises(ValueError, match="different lengths"):
        Checkpoints(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(2, np.int64))

from __future__ import annotations

import numpy as np

from remusnet.metrics.output_commit import OutputCommit, output_commit


def counted(*frames: tuple[int, int, bool, bool]) -> OutputCommit:
    """Frames as (sent, left, hold, dropped); suspends at 10, 20 and 30, each committed 5 later."""
    columns = np.array(frames, np.int64).reshape(-1, 4)
    return output_commit(
        columns[:, 0],
        columns[:, 1],
        columns[:, 2].astype(np.bool_),
        columns[:, 3].astype(np.bool_),
        np.array([10, 20, 30], np.int64),
        np.array([15, 25, 35], np.int64),
    )


def violations(sent: int, left: int) -> int:
    return counted((sent, left, True, False)).violations


def test_leaving_at_the_commit_is_in_time_and_a_nanosecond_before_is_not() -> None:
    assert violations(9, 15) == 0
    assert violations(9, 14) == 1


def test_the_commit_of_an_earlier_epoch_is_not_enough() -> None:
    assert violations(10, 15) == 1, "sent at the suspend: the saved state does not have it"
    assert violations(10, 25) == 0
    assert violations(29, 25) == 1


def test_what_no_checkpoint_closed_may_not_leave() -> None:
    assert violations(30, 10**6) == 1


def test_frames_that_bypass_or_were_dropped_violate_nothing() -> None:
    found = counted((1, 1, False, False), (2, 2, True, True), (3, 15, True, False))
    assert found == OutputCommit(held=2, bypassed=1, dropped=1, violations=0)


def test_no_frames_count_nothing() -> None:
    assert counted() == OutputCommit(0, 0, 0, 0)

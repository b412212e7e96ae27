from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from remusnet.errors import CheckFailed, InvalidInput
from remusnet.host.xl_log import XlLog
from remusnet.scenario.observed import Observed, Order, epochs

MS = 1_000_000
DRIVER, OTHER = 77, 78
PERIOD, PAUSE, LAG = 100, 20, 10


def observed(
    count: int = 12,
    *,
    held: bool = True,
    spacing: int = 2,
    begins_with_release: bool = False,
    lost_at: int = 0,
    others: bool = False,
) -> Observed:
    """Checkpoints every 100 ms that stand for 20 ms and commit 10 ms later; times in ms."""
    orders = []
    for number in range(count):
        at = number * PERIOD
        lost = bool(lost_at) and number == lost_at
        if number or not begins_with_release:
            orders.append(Order(at * MS, number, 500, DRIVER, lost=lost))
        orders.append(
            Order((at + PAUSE + LAG) * MS, number, 0, DRIVER, dirty_pages=number if held else None)
        )
        if others:
            orders.append(Order((at + 60) * MS, number, 0, OTHER))
    if not held:
        orders = [Order(each.at_ns, 0, 0, each.sender, lost=each.lost) for each in orders]
    frames = [
        at * MS
        for at in range(-PERIOD, count * PERIOD, spacing)
        if at % PERIOD > PAUSE or at % PERIOD == 0
    ]
    times = np.array([each - 500_000 for each in frames], np.int64)
    return Observed(tuple(orders), np.column_stack([times, times]))


@pytest.mark.parametrize("begins_with_release", [False, True])
@pytest.mark.parametrize("held", [False, True])
def test_what_leaves_or_the_guests_silence_tells_which_order_begins_a_checkpoint(
    held: bool, begins_with_release: bool
) -> None:
    seen = epochs(observed(held=held, begins_with_release=begins_with_release), "guest")
    assert len(seen) == 12 - begins_with_release
    assert seen.period_ns[1:] == pytest.approx(PERIOD * MS)
    # The first frame behind the pause comes 2 ms later at most.
    assert seen.pause_ns == pytest.approx(PAUSE * MS, abs=2 * MS)
    assert seen.pause_ns + seen.lag_ns == pytest.approx((PAUSE + LAG) * MS)


@pytest.mark.parametrize("begins_with_release", [False, True])
def test_a_guest_that_sends_nothing_before_its_release_stood_until_then(
    begins_with_release: bool,
) -> None:
    """As on an emulated Xen: slow, and a release has let all go before its event is made."""
    orders: list[Order] = []
    frames: list[int] = []
    for number in range(12):
        at = number * PERIOD
        if number or not begins_with_release:
            orders.append(Order(at * MS, number, 500, DRIVER))
        orders.append(Order((at + 40) * MS, number + 1, 0, DRIVER, dirty_pages=7))
        frames += range(at + 45, at + PERIOD, 2)
    times = np.array(frames, np.int64) * MS
    seen = epochs(Observed(tuple(orders), np.column_stack([times, times])), "guest")
    assert len(seen) == 12 - begins_with_release
    known = slice(0 if begins_with_release else 1, None)  # no frame tells when the first began
    assert seen.pause_ns[known] == pytest.approx(40 * MS, abs=2 * MS)
    assert seen.lag_ns[known].tolist() == [0.0] * 11
    assert seen.dirty.tolist() == [7 * 4096.0] * len(seen)
    assert seen.backlog.tolist() == [500.0] * len(seen)


def test_orders_of_others_are_none_of_the_drivers() -> None:
    assert len(epochs(observed(others=True), "guest")) == 12


def test_where_orders_were_lost_the_checkpoint_behind_has_no_period() -> None:
    seen = epochs(observed(lost_at=5), "guest")
    unknown = np.isnan(seen.period_ns)
    assert unknown.tolist() == [at in (0, 5) for at in range(12)]


def test_what_was_logged_as_dirty_is_the_checkpoints_in_bytes() -> None:
    seen = epochs(observed(), "guest")
    assert seen.dirty.tolist() == [number * 4096.0 for number in range(12)]
    assert seen.backlog.tolist() == [500.0] * 12


def test_a_guest_that_seldom_sends_shows_no_pauses() -> None:
    seen = epochs(observed(spacing=50), "guest")
    assert np.isnan(seen.pause_ns).all()
    assert np.isnan(seen.lag_ns).all()
    assert seen.period_ns[1:] == pytest.approx(PERIOD * MS)


def test_silence_that_goes_on_after_the_commit_is_no_pause() -> None:
    before = observed()
    times = before.bursts[:, 0]
    # Nothing between 300 and 380 ms, though the checkpoint at 300 has committed at 330.
    kept = before.bursts[(times < 299 * MS) | (times > 380 * MS)]
    seen = epochs(Observed(before.orders, kept), "guest")
    assert math.isnan(seen.pause_ns[3])
    assert np.isfinite(np.delete(seen.pause_ns, 3)).all()


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Observed((), np.zeros((0, 2), np.int64)), "0 orders were heard: nothing drives the plug"),
        (
            Observed(
                tuple(Order(at * MS, 0, 0, DRIVER) for at in range(9)), np.zeros((0, 2), np.int64)
            ),
            "nobody can tell which orders begin a checkpoint",
        ),
    ],
)
def test_what_cannot_be_told_is_said(seen: Observed, words: str) -> None:
    with pytest.raises(CheckFailed, match=words):
        epochs(seen, "guest")


def test_xls_log_is_read_from_its_end_on_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "xl.log"
    path.write_text("xc: progress: Checkpointed save: 9/9  100%\n", encoding="utf-8")
    with XlLog(path) as log, path.open("a", encoding="utf-8") as written:
        assert log.dirty_pages() is None
        written.write("xc: progress: Checkpointed save: 0/4321    0%\nxc: prog")
        written.flush()
        assert log.dirty_pages() == 4321
        written.write("ress: Checkpointed save: 12/34 \n")
        written.flush()
        assert log.dirty_pages() == 34
        assert log.dirty_pages() is None
    with pytest.raises(InvalidInput, match="No such file"):
        XlLog(tmp_path / "none")

"""Plugs are told their limits again, at once or at a pace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from remusnet.kernel.repair.limits import Limits
from remusnet.kernel.run_dir import change_lock
from remusnet.kernel.state.receipt import Phase, Receipt, Receipts, receipts_of
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.plan import build_plan
from remusnet.policy import PRESETS

MS = 1_000_000
BUFFER = "ifb-1.0"


class Heard:
    """A kernel that notes what it is told."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def do(self, request: bytes, _what: str) -> None:
        self.requests.append(request)


@pytest.fixture
def receipt(tmp_path: Path) -> Receipt:
    """Of a protection that stands, in the run directory."""
    plan = build_plan(
        ["vif1.0"], PRESETS["tcp-only"], rate=10**9, interval_ns=10**8, limit=1_000_000
    )
    (made,) = receipts_of(plan, rate=10**9, interval_ns=10**8, shared={})
    made = replace(made, index=7, handle=0x8001 << 16)
    Receipts(tmp_path / "run").write([made], Phase.APPLIED)
    return made


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def limits(heard: Heard, tmp_path: Path) -> Limits:
    return Limits(cast(Netlink, heard), tmp_path / "run")


def test_somebody_elses_order_is_answered_at_once_and_a_drivers_ten_times_a_second(
    limits: Limits, heard: Heard, receipt: Receipt
) -> None:
    assert limits.due_ns() is None
    for at in range(1000, 2000, 10):
        limits.suspect([receipt.buffer], at * MS, usual=True)
        if (due := limits.due_ns()) is not None and due <= at * MS:
            limits.tell(at * MS)
    assert len(heard.requests) == 10
    limits.suspect([receipt.buffer], 1995 * MS, usual=True)
    limits.suspect([receipt.buffer], 1996 * MS, usual=False)
    assert limits.due_ns() == 1996 * MS


def test_the_last_order_of_a_driver_is_answered_too(
    limits: Limits, heard: Heard, receipt: Receipt
) -> None:
    limits.suspect([receipt.buffer], 1000 * MS, usual=True)
    limits.tell(1000 * MS)
    limits.suspect([receipt.buffer], 1001 * MS, usual=True)
    assert limits.due_ns() == 1100 * MS
    limits.tell(1100 * MS)
    assert (len(heard.requests), limits.due_ns()) == (2, None)


def test_while_somebody_applies_nothing_is_told_and_the_new_limit_after(
    limits: Limits, heard: Heard, receipt: Receipt, tmp_path: Path
) -> None:
    limits.suspect([receipt.buffer], 0, usual=False)
    with change_lock(tmp_path / "run"):
        limits.tell(1)
        assert heard.requests == []
        Receipts(tmp_path / "run").write([replace(receipt, limit=70_000)], Phase.APPLIED)
    due = limits.due_ns()
    assert due is not None
    limits.tell(due)
    (request,) = heard.requests
    assert (70_000).to_bytes(4, "little") in request


def test_what_has_no_receipt_is_told_nothing(limits: Limits, heard: Heard) -> None:
    limits.suspect(["ifb-9.0"], 0, usual=False)
    limits.tell(1)
    limits.suspect(["ifb-8.0"], 0, usual=False)
    limits.forget(())
    assert (heard.requests, limits.due_ns()) == ([], None)

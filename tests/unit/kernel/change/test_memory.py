"""What small frames can cost, against the memory of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from remusnet.errors import Conflict
from remusnet.kernel.change.apply import check_memory, total_memory
from remusnet.kernel.doctor import memory_look
from remusnet.kernel.state.receipt import Phase, Receipts, receipts_of
from remusnet.plan.plan import Plan, build_plan
from remusnet.policy.presets import HOLD_ALL
from remusnet.results.checks import CheckState

MB = 10**6


def plan(*vifs: str, limit: int = 8 * MB) -> Plan:
    """Each of the plugs can cost 100 MB."""
    return build_plan(vifs, HOLD_ALL, rate=10**9, interval_ns=10**8, limit=limit)


def test_up_to_a_quarter_of_the_memory_nothing_is_said(tmp_path: Path) -> None:
    assert check_memory([plan("vif1.0")], tmp_path, total=400 * MB) == ()


def test_above_a_quarter_it_is_said_with_what_still_shorter_frames_cost(tmp_path: Path) -> None:
    (said,) = check_memory([plan("vif1.0")], tmp_path, total=399 * MB)
    assert said == (
        "small frames can cost 100.0 MB, 26 % of this host's 399.0 MB of memory "
        "(frames too short for Ethernet: 440.0 MB)"
    )


def test_above_half_it_is_refused_unless_forced(tmp_path: Path) -> None:
    assert check_memory([plan("vif1.0")], tmp_path, total=200 * MB)
    with pytest.raises(Conflict, match=r"51 % .*, more than half: --memory .* --force goes on"):
        check_memory([plan("vif1.0")], tmp_path, total=199 * MB)
    assert check_memory([plan("vif1.0")], tmp_path, total=199 * MB, force=True)


def test_every_plug_of_the_host_counts_and_the_one_that_is_replaced_does_not(
    tmp_path: Path,
) -> None:
    there = plan("vif1.0", "vif2.0")
    receipts = receipts_of(there, rate=10**9, interval_ns=10**8, shared={})
    Receipts(tmp_path).write(receipts, Phase.APPLIED)
    with pytest.raises(Conflict, match=r"with what is protected already, can cost 300\.0 MB"):
        check_memory([plan("vif3.0")], tmp_path, total=500 * MB)
    assert check_memory([plan("vif2.0")], tmp_path, total=500 * MB)


def test_a_kernel_that_does_not_tell_its_memory_refuses_nothing(tmp_path: Path) -> None:
    for text in (None, "", "MemTotal:\n", "MemTotal: lots kB\n"):
        path = tmp_path / "meminfo"
        if text is not None:
            path.write_text(text, encoding="ascii")
        assert total_memory(path) is None
    path.write_text("MemTotal:     1024 kB\n", encoding="ascii")
    assert total_memory(path) == 1 << 20


def test_doctor_wants_a_budget_above_a_quarter_of_the_memory() -> None:
    fits = memory_look("memory", [8 * MB], "mend", 400 * MB)
    assert (fits.state, fits.mend) == (CheckState.OK, "")
    tight = memory_look("memory", [8 * MB, 8 * MB], "mend", 400 * MB)
    assert (tight.state, tight.mend, tight.needed) == (CheckState.MISSING, "mend", False)
    assert "more than half" not in tight.found
    assert "more than half" in memory_look("memory", [8 * MB] * 3, "mend", 400 * MB).found

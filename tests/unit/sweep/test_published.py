"""The shape of the curves beside what others have published."""

from __future__ import annotations

from pathlib import Path

import pytest

from remusnet.api.sweeps import Sweep, metrics, sweep
from remusnet.policy import PRESETS
from remusnet.scenario.guest import GuestModel

MS = 1_000_000
PERIODS = (25, 50, 100)
TEXT = """
name = "{name}"
duration = "6s"
[checkpoint]
interval = "200ms"
schedule = "{schedule}"
[[tcp]]
count = 4
exchanges = 80
think = "10ms"
"""
COMPILE = GuestModel(
    "a compile on a host of 2008",
    working_set=512 << 20,
    write_rate=1_000_000_000,
    pause_ns=10 * MS,
    copy_rate=5_000_000_000,
    commit_ns=2 * MS,
    send_rate=1 << 50,
)
"""Assumed: 10 ms to suspend and resume, 125 MB/s dirtied, 625 MB/s copied while it stands."""
FAST = GuestModel("fast", 64 << 20, 400_000_000, 2 * MS, 8 << 30, 2 * MS, 10 << 30)


def swept(
    folder: Path, guest: GuestModel, schedule: str, policy: str, *asked: str
) -> dict[str, dict[float, float]]:
    path = folder / f"{policy}.toml"
    path.write_text(TEXT.format(name=policy, schedule=schedule), encoding="utf-8")
    wanted = Sweep(
        str(path),
        tuple(each * MS for each in PERIODS),
        (PRESETS[policy],),
        asked=metrics(asked),
        guest=guest,
    )
    found: dict[str, dict[float, float]] = {}
    for row in sweep(wanted, workers=1).rows:
        assert row.value is not None
        found.setdefault(row.metric, {})[row.interval_ns / MS] = row.value
    return found


def test_a_compile_slows_by_half_at_20_checkpoints_a_second_and_more_at_more(
    tmp_path: Path,
) -> None:
    """Remus (NSDI 2008): about half at 20 a second. Its schedule was xend's: the period is T."""
    lost = swept(tmp_path, COMPILE, "xend", "tcp-only", "overhead")["overhead"]
    slower = {each: value / (100 - value) for each, value in lost.items()}
    assert slower[50] == pytest.approx(0.5, abs=0.1)
    # Twice as many checkpoints cost more, but not twice as much: less is dirty in each.
    assert 1.2 < slower[25] / slower[50] < 2.2
    assert 1.2 < slower[50] / slower[100] < 2.2


def test_an_answer_that_is_held_takes_up_to_a_period_where_it_took_less_than_a_millisecond(
    tmp_path: Path,
) -> None:
    """VMware FT: ping from under 1 ms to about 100 ms, and less of it at shorter intervals.

    What is sent as an epoch begins waits for all of it and for the commit, the last for the commit.
    """
    asked = ("tcp.hold.max", "tcp.hold.median")
    held = swept(tmp_path, FAST, "xl", "hold-all", *asked)
    # xl's period at 100 ms is 110 to 125 ms with this guest.
    assert 80 < held["tcp.hold.max"][100] < 140
    # Who answers what a commit has let go sends as an epoch begins: most wait for nearly all of it.
    assert 20 < held["tcp.hold.median"][100] <= held["tcp.hold.max"][100]
    assert held["tcp.hold.max"][25] < held["tcp.hold.max"][50] < held["tcp.hold.max"][100]

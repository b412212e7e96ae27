"""`tune` on simulated scenarios, beside a grid so fine that nothing is missed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from remusnet.api.sweeps import Sweep, Tuning, metrics, sweep, tune
from remusnet.policy import PRESETS
from remusnet.scenario.guest import GuestModel
from remusnet.sweep.grid import logarithmic
from remusnet.sweep.optimum import Optimum
from tests.lib.long import count

MS = 1_000_000
LOW, HIGH = 30 * MS, 600 * MS
FINE = 80
CLOSE = 0.02
"""By which `tune` may be worse than the grid: p99 of some hundred segments moves in steps, so that
beside a valley that was found there may be a chance one. Better it may be by any amount."""
TEXT = """
name = "random"
duration = "5s"
seed = {seed}
[[tcp]]
count = 6
exchanges = 60
think = "20ms"
"""


@dataclass(frozen=True)
class Case:
    """What to have the least of, and what is required."""

    guest: GuestModel
    seed: int
    minimise: str
    requirement: str


def a_case(chance: random.Random) -> Case:
    tau_ms = chance.uniform(50, 800)
    size = chance.randint(8 << 20, 256 << 20)
    guest = GuestModel(
        "random",
        working_set=size,
        write_rate=round(8 * size / tau_ms * 1000),
        pause_ns=round(chance.uniform(1, 6) * MS),
        copy_rate=round(8 * size / chance.uniform(0.003, 0.04)),
        commit_ns=round(chance.uniform(1, 6) * MS),
        send_rate=round(8 * size / chance.uniform(0.005, 0.06)),
    )
    minimise, requirement = chance.choice(
        [
            ("overhead", f"tcp.hold.p99 < {chance.randint(150, 500)}ms"),
            ("tcp.hold.p99", f"overhead < {chance.randint(4, 15)}%"),
            ("tcp.hold.median", f"overhead < {chance.randint(4, 15)}%"),
        ]
    )
    return Case(guest, chance.randrange(1000), minimise, requirement)


def fine_best(base: Sweep, case: Case) -> float | None:
    """The least that a fine grid has where the requirement holds; None where it never does."""
    metric, _, limit = case.requirement.partition(" < ")
    most = float(limit.rstrip("ms%"))
    asked = metrics([case.minimise, metric])
    grid = Sweep(
        base.word,
        logarithmic(LOW, HIGH, FINE),
        base.policies,
        asked=asked,
        guest=case.guest,
    )
    cells: dict[int, dict[str, float | None]] = {}
    for row in sweep(grid, workers=1).rows:
        cells.setdefault(row.interval_ns, {})[row.metric] = row.value
    there = [
        value
        for each in cells.values()
        if (value := each[case.minimise]) is not None
        and (limited := each[metric]) is not None
        and limited < most
    ]
    return min(there, default=None)


@pytest.mark.slow
def test_tuning_agrees_with_a_fine_grid_in_random_cases(tmp_path: Path) -> None:
    chance = random.Random(2014)
    for number in range(count(sample=2, long=20)):
        case = a_case(chance)
        path = tmp_path / f"{number}.toml"
        path.write_text(TEXT.format(seed=case.seed), encoding="utf-8")
        base = Sweep(
            str(path), logarithmic(LOW, HIGH, 12), (PRESETS["tcp-only"],), guest=case.guest
        )
        found = tune(Tuning(base, (case.requirement,), metrics([case.minimise])[0]), workers=1)
        best = fine_best(base, case)
        print(number, case.minimise, case.requirement, best, getattr(found, "best", found))
        if best is None:
            assert not isinstance(found, Optimum) or found.best.feasible
            continue
        assert isinstance(found, Optimum), case
        assert found.best.value is not None
        assert found.best.value <= best * (1 + CLOSE), case


@pytest.mark.slow
def test_an_interval_with_a_closed_form_is_found_within_1_percent(tmp_path: Path) -> None:
    """A guest whose pause and lag are always the same: overhead is p / (T + p + s).

    The requirement overhead < x binds at T = p / x - p - s; the shortest such interval waits least.
    """
    guest = GuestModel("steady", 1 << 20, 1, 10 * MS, 1 << 50, 5 * MS, 1 << 50)
    path = tmp_path / "steady.toml"
    path.write_text(TEXT.format(seed=1).replace('"5s"', '"40s"'), encoding="utf-8")
    base = Sweep(str(path), logarithmic(100 * MS, HIGH, 6), (PRESETS["tcp-only"],), guest=guest)
    found = tune(Tuning(base, ("overhead < 5%",), metrics(["tcp.hold.median"])[0]), workers=1)
    assert isinstance(found, Optimum)
    assert found.binding == ("overhead < 5%",)
    # 40 s are 200 periods of 200 ms: where the last one ends moves overhead by 0.5 % at most.
    assert found.best.interval_ns / MS == pytest.approx(10 / 0.05 - 10 - 5, rel=0.01)

"""What the emulator's time grows with: packets, calls, epochs. Each is to make a straight line.

One of the three grows, tenfold from its least to its most, and what can stay as it is does.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import PRESETS
from remusnet.report.drawing import BLUE, ORANGE, figure, style, to_svg
from remusnet.scenario.library import shipped
from remusnet.scenario.quantity import NS_PER_S, Constant
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import overridden
from scripts.benchmarks.ratio import Ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POLICIES = [PRESETS["tcp-only"]]
_POINTS = 10
_TENFOLD = 10
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_GOAL = 0.67
"""A tenfold run may take 1.5 times as long as ten runs of one tenth."""


@dataclass(frozen=True, slots=True)
class Growth:
    """``least`` to ten times as many of ``what``; ``setting``: what is run, for the figure."""

    what: str
    each: str
    setting: str
    least: int
    scenario: Callable[[int], Scenario]

    def run(self, count: int) -> Callable[[], None]:
        """A run of ``count``, ready to be timed."""
        scenario = self.scenario(count)

        def run() -> None:
            run_scenario(scenario, _POLICIES)

        return run


@dataclass(frozen=True, slots=True)
class Line:
    """Points and the line that fits them best: ``seconds`` = fixed + slope x ``counts``."""

    growth: Growth
    counts: tuple[int, ...]
    seconds: tuple[float, ...]
    slope: float
    fixed: float

    @property
    def text(self) -> str:
        """For a person: the slope, and how far the points are off."""
        off = max(
            abs(seen / (self.fixed + self.slope * count) - 1)
            for count, seen in zip(self.counts, self.seconds, strict=True)
        )
        unit, of_a_second = ("ns", 1e9) if self.slope < 1e-6 else ("\N{MICRO SIGN}s", 1e6)
        slope = f"{self.slope * of_a_second:.3g} {unit} {self.growth.each}"
        return f"{slope}; no point is more than {off:.0%} off the line"


def _of_packets(count: int) -> Scenario:
    """20 calls both ways, 50 packets a second each; the epochs grow with the time."""
    return _fig11(calls=20, duration_ns=count // (20 * 2 * 50) * NS_PER_S)


def _of_calls(count: int) -> Scenario:
    return _fig11(calls=count, duration_ns=NS_PER_S)


def _of_epochs(count: int) -> Scenario:
    """Few packets: their time stays, and would hide what epochs take."""
    scenario = _fig11(calls=10, duration_ns=1000 * NS_PER_S)
    remus = scenario.checkpointing
    if remus is None:
        raise ValueError("a scenario with checkpoints")
    period_ns = scenario.duration_ns // count
    busy_ns = period_ns // 4
    step = Constant(busy_ns)
    faster = replace(remus, interval_ns=period_ns - 2 * busy_ns, pause=step, commit_delay=step)
    (calls,) = scenario.calls
    sparse = replace(calls, ptime_ns=200_000_000)
    return replace(scenario, checkpointing=faster, calls=(sparse,))


def _fig11(*, calls: int, duration_ns: int) -> Scenario:
    # Held to no figure: that takes its own time, once a run.
    scenario = replace(shipped("fig11"), figure=None)
    return overridden(scenario, calls=calls, duration_ns=duration_ns, seed=None)


GROWTHS = (
    Growth(
        "packets", "a packet", "20 calls, of 1,000 s to 10,000 s, a period of 300 ms",
        2_000_000, _of_packets,
    ),
    Growth("calls", "a call of two streams", "of 1 s, 100 packets each", 500, _of_calls),
    Growth(
        "epochs", "an epoch of 20 streams",
        "10 calls of 1,000 s, a packet each 200 ms; periods of 20 ms to 2 ms",
        50_000, _of_epochs,
    ),
)  # fmt: skip


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """Ten times as much in one run, against ten runs: where the cost is linear they are equal."""
    _keep_freed_memory()
    yield [
        Ratio(
            f"{_TENFOLD * growth.least:,} {growth.what} at once",
            "a tenth, ten times",
            _GOAL,
            growth.run(_TENFOLD * growth.least),
            _repeated(growth.run(growth.least)),
        )
        for growth in GROWTHS
    ]


def _keep_freed_memory() -> None:
    """Let malloc keep what is freed, as far as it is no larger than glibc can be told.

    By itself it moves its thresholds by what was freed before: then a run takes 5,000 page faults
    (12 ms) more or less because of another row. Where there is no glibc, nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)


def _repeated(run: Callable[[], None]) -> Callable[[], None]:
    def all_of_them() -> None:
        for _ in range(_TENFOLD):
            run()

    return all_of_them


def measured(growth: Growth, rounds: int) -> Line:
    """The best of ``rounds`` for each point; the points take turns, so that noise hits all."""
    counts = tuple(growth.least * step for step in range(1, _POINTS + 1))
    runs = [growth.run(count) for count in counts]
    runs[0]()  # what is made once, for all runs, belongs to none
    times = np.array([[_busy(run) for run in runs] for _ in range(rounds)]).min(axis=0)
    # Least squares of shares: a busy machine slows a long run by more than a short one.
    slope, fixed_s = np.polyfit(counts, times, 1, w=1 / times).tolist()
    return Line(growth, counts, tuple(times.tolist()), slope, fixed_s)


def _busy(run: Callable[[], None]) -> float:
    """Seconds of processor time: what else the machine does isn't in it."""
    start = time.process_time()
    run()
    return time.process_time() - start


def draw(path: Path, rounds: int) -> list[Line]:
    """Measure, and write ``path``, an SVG: a row for each growth, points and line.

    Raises MissingDependency without matplotlib.
    """
    with style():
        lines = [measured(growth, rounds) for growth in GROWTHS]
        made, rows = figure(len(lines), 2.0)
        for axes, line in zip(rows, lines, strict=True):
            _row(axes, line)
        path.write_text(to_svg(made), encoding="utf-8", newline="\n")
    return lines


def _row(axes: Axes, line: Line) -> None:
    most = line.counts[-1]
    axes.plot([0, most], [line.fixed, line.fixed + line.slope * most], color=ORANGE)
    axes.plot(line.counts, line.seconds, color=BLUE, marker="o", linestyle="", markersize=5)
    axes.set_xlim(0, 1.03 * most)
    axes.set_xticks([most * fifth // 5 for fifth in range(6)])
    axes.set_ylim(0, 1.15 * max(line.seconds))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel(f"{line.growth.what} ({line.growth.setting})")
    axes.set_ylabel("CPU time (s)")
    axes.set_title(line.text)

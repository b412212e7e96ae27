"""A sweep on two cores against one: by the clock, and by what the processors did for it."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.benchmarks.ratio import Ratio

POINTS = 1000
GOAL = 1.8
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
CALL = """
name = "call"
duration = "1min"
[checkpoint]
pause = "10ms"
[[calls]]
count = 10
drift-ppm = 40
[[tcp]]
count = 1
exchanges = 20
think = "1s"
"""


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """1,000 points of ten calls of a minute."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "call.toml"
        scenario.write_text(CALL, encoding="utf-8")
        what = f"{POINTS:,} points of ten calls of a minute"
        yield [
            Ratio(f"{what}, two cores", "one core", GOAL, _swept(scenario, 2), _swept(scenario, 1)),
            # On a busy machine: as long as both cores take, were nobody else there.
            Ratio(
                "the same, by processor time",
                "one core",
                GOAL,
                lambda: _swept(scenario, 2)() / 2,
                _swept(scenario, 1),
                unit="CPU s",
            ),
        ]


def _swept(scenario: Path, jobs: int) -> Callable[[], float]:
    """Sweeps as a user does; gives the seconds of processor time, the workers' too."""
    command = [sys.executable, "-m", "remusnet", "sweep", str(scenario), "--policy", "tcp-only"]
    command += ["--interval", "50ms..1s", "--points", str(POINTS), "--jobs", str(jobs)]

    def run() -> float:
        # Workers are not the sweep's children: what it leaves comes to this process, to be waited
        # for and counted.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [*command, "--csv", str(scenario.with_suffix(f".{jobs}.csv"))],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with suppress(ChildProcessError):
            while True:
                os.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return run

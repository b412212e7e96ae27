"""A replay beside the emulator: what of the clock's own steps counts, and what frames take."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, cast

import numpy as np

from remusnet.emulator.machine.vif import Plug
from remusnet.lab import script
from remusnet.lab.compare import STEP_NS, compare, in_steps
from remusnet.lab.runs import Job, Result, Run
from remusnet.lab.uml import Uml
from remusnet.policy import PRESETS
from remusnet.results.agreement import Agreement
from remusnet.scenario.scenario_file import load
from tests.lib.long import count


def test_a_read_of_the_clock_more_or_less_makes_no_difference_and_early_stays_early() -> None:
    late_ns = np.array([0, 256, 512, 1_999, 2_000, 2_001, 100_001, -256], np.int64)
    assert in_steps(late_ns).tolist() == [0, *4 * [STEP_NS], 4_000, 102_000, -256]


@dataclass
class _Kernel:
    """A lab whose kernel holds every frame, and does each step at its time.

    ``lose``: the number of a frame that it forgets.
    """

    directory: Path
    lose: int = -1
    account: None = None
    kernel: ClassVar = SimpleNamespace(virtual=True, modules=Path("/nowhere"))

    @contextmanager
    def start(self, job: Job) -> Iterator[Run]:
        steps = job.files[script.STEPS]
        assert not isinstance(steps, str | bytes)
        with (self.directory / script.STEPS).open("wb") as file:
            file.writelines(steps)
        plug = Plug[tuple[int, int]](script.Terms.read(str(job.files[script.TERMS])).limit)
        with (
            (self.directory / script.STEPS).open("rb") as file,
            (self.directory / script.SEEN).open("wb") as seen,
            (self.directory / script.DONE).open("wb") as done,
        ):
            for step in script.read_steps(file):
                done.write(script.TIME.pack(step.time_ns))
                if step.frame:
                    number = script.number_of(step.frame)
                    assert number is not None
                    plug.enqueue((number, zlib.crc32(step.frame)), len(step.frame))
                elif step.buffer:
                    plug.buffer()
                else:
                    plug.release_one()
                for number, crc in plug.drain():
                    for where in (script.Seen.BUFFER, script.Seen.CLIENT):
                        if number != self.lose:
                            seen.write(script.SIGHTING.pack(where, number, step.time_ns, crc))
            done.write(script.TIME.pack(step.time_ns + 1))
        yield cast(Run, self)

    def wait(self, _seconds: float, watch: Callable[[], None]) -> Result:
        watch()
        return Result(0, "", "", "")


def _compared(directory: Path, *, duration_s: int, lose: int = -1) -> Agreement:
    scenario = load(
        f'name = "calls"\nduration = "{duration_s}s"\n[checkpoint]\nperiod = "200ms"\n'
        "[[calls]]\ncount = 10\n",
        "calls.toml",
    )
    lab = cast(Uml, _Kernel(directory, lose))
    hold_all = PRESETS["hold-all"]
    return compare(scenario, hold_all, lab, classifier="u32", tell=lambda _: None)


def test_a_kernel_that_does_each_step_agrees_and_one_that_forgets_a_frame_does_not(
    tmp_path: Path,
) -> None:
    found = _compared(tmp_path, duration_s=2)
    assert (len(found), found.agrees) == (1_000, True)
    assert set(found.length.tolist()) == {214}
    assert [each.frame for each in _compared(tmp_path, duration_s=2, lose=321).differences()] == [
        321
    ]


def test_a_long_replay_keeps_numbers_of_its_frames_and_not_the_frames(tmp_path: Path) -> None:
    """A frame of 214 bytes and all that is known of it on both sides are columns of numbers."""
    short_s, long_s = 4, count(sample=20, long=200)
    peaks = []
    for duration_s in (short_s, long_s):
        tracemalloc.start()
        _compared(tmp_path, duration_s=duration_s)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    a_frame = (peaks[1] - peaks[0]) / (500 * (long_s - short_s))
    print(f"{a_frame:.0f} bytes a frame")
    assert a_frame < 200

"""When a run's checkpoints come, and what the primary's failure makes of them.

A recording's follow a steady `Schedule` over the time that its traffic spans; a scenario's are
planned by `remusnet.emulator.run.scenario_run.timeline`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Int64s
from remusnet.results.scene import FailureMarks
from remusnet.schedule import MOST_CHECKPOINTS, Schedule


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoints:
    """n checkpoints in order: int64[n] each, in ns. Checkpoint k closes epoch k.

    They need not be evenly spaced: whoever lets the pause depend on the guest's load makes them
    otherwise. But a commit must not come after the next suspend.

    Raises ValueError where it does, or where the steps of one checkpoint are out of order.
    """

    suspend_ns: Int64s
    resume_ns: Int64s
    commit_ns: Int64s

    def __post_init__(self) -> None:
        if not len(self.suspend_ns) == len(self.resume_ns) == len(self.commit_ns):
            raise ValueError("columns of different lengths")
        steps = np.stack([self.suspend_ns, self.resume_ns, self.commit_ns], axis=1).reshape(-1)
        if (np.diff(steps) < 0).any():
            raise ValueError("a checkpoint starts before the one before it has committed")
        # Else a frame that waits for the resume would fall into the next pause.
        if (self.resume_ns[:-1] >= self.suspend_ns[1:]).any():
            raise ValueError("the guest never runs between two checkpoints")

    def __len__(self) -> int:
        return len(self.suspend_ns)

    def first(self, count: int) -> Checkpoints:
        """The first ``count`` of them, or all."""
        return Checkpoints(self.suspend_ns[:count], self.resume_ns[:count], self.commit_ns[:count])


def checkpoints_between(schedule: Schedule, first_ns: int, last_ns: int) -> Checkpoints:
    """The checkpoints of a guest whose traffic is seen from ``first_ns`` to ``last_ns``.

    The first one suspends one interval after ``first_ns``. The last one closes the epoch in which
    ``last_ns`` lies, so that nothing stays held.

    Raises InvalidInput where these are more than `MOST_CHECKPOINTS`, or past what int64 holds.
    """
    suspend_ns = first_ns + schedule.interval_ns
    begun = max(0, (last_ns - suspend_ns) // schedule.period_ns + 1)
    count = begun + 1
    if count > MOST_CHECKPOINTS:
        raise InvalidInput(
            f"the traffic spans {(last_ns - first_ns) / 1e9:.0f} s, "
            f"which is {count} checkpoints; remusnet replays {MOST_CHECKPOINTS} at most"
        )
    if suspend_ns + (count + 1) * schedule.period_ns > np.iinfo(np.int64).max:
        raise InvalidInput("the traffic's times are past what 64 bits of nanoseconds hold")
    return steady(suspend_ns, count, schedule.period_ns, schedule.pause_ns, schedule.busy_ns)


def steady(first_ns: int, count: int, period_ns: int, pause_ns: int, busy_ns: int) -> Checkpoints:
    """``count`` checkpoints, the first at ``first_ns``, one each ``period_ns``.

    Each pauses the guest for ``pause_ns``, and has committed ``busy_ns`` after it began.
    """
    suspend_ns = first_ns + np.arange(count, dtype=np.int64) * period_ns
    return Checkpoints(suspend_ns, suspend_ns + pause_ns, suspend_ns + busy_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """``checkpoints``: as planned, past the end of the scenario; none without Remus.

    ``marks``: None where nothing fails. What is planned for later than the failure doesn't happen.
    """

    checkpoints: Checkpoints
    marks: FailureMarks | None
    protected: bool

    def happened(self, end_ns: int) -> Checkpoints:
        """The checkpoints that committed: all until the last epoch closed, or the failure."""
        planned = self.checkpoints
        if self.marks is None:
            count = int(np.searchsorted(planned.suspend_ns, end_ns, side="left")) + 1
        else:
            count = int(np.searchsorted(planned.commit_ns, self.marks.failed_ns, side="right"))
        return planned.first(count)


def gap_hint(time_ns: Int64s, numbers: Int64s | None, capture: str) -> str:
    """Which frame ends the longest gap, and the command that cuts the file there; "" without one.

    ``time_ns``: int64[n]. ``numbers``: int64[n], how Wireshark counts the frames; None for 1 to n.
    ``capture``: the file's name.
    """
    if len(time_ns) < 2:
        return ""
    by_time = np.argsort(time_ns, kind="stable")
    gaps = np.diff(time_ns[by_time])
    at = int(np.argmax(gaps)) + 1
    number = numbers if numbers is not None else np.arange(1, len(time_ns) + 1)
    after, before = int(by_time[at]), number[by_time[:at]]
    found = f"frame {number[after]} comes {gaps[at - 1] / 1e9:.0f} s after the one before"
    if int(before.max()) > int(number[by_time[at:]].min()):
        return f"{found}, and the file is out of order: reordercap {quoted(capture)} ordered.pcap"
    keep = f"editcap -r {quoted(capture)} part.pcap 1-{before.max()}"
    return f"{found}: cut the file there, with {keep} (without -r: what follows)"

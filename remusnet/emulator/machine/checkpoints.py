"""A capture's checkpoints: the schedule's rhythm laid over the time that its traffic spans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.errors import InvalidInput
from remusnet.frames import Int64s
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
    suspends = suspend_ns + np.arange(count, dtype=np.int64) * schedule.period_ns
    resumes = suspends + schedule.pause_ns
    return Checkpoints(suspends, resumes, resumes + schedule.commit_delay_ns)

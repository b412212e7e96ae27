"""When Remus suspends the guest, resumes it, and hears that the checkpoint is safe.

One checkpoint, and what the buffer is told at each step:

    suspend   BUFFER: what was sent before belongs to the epoch that ends here; the guest stands
    resume    pause later: the guest runs again, in the next epoch
    commit    commit delay later: the backup has it all; RELEASE_ONE

The next suspend comes, by ``xl``, one interval after the commit: that is when libxl sets its timer
(tools/libs/light/libxl_remus.c, remus_devices_commit_cb). By ``xend`` it comes one interval after
the suspend before, or at the commit if that is later: Remus as first published kept a fixed rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from remusnet.errors import InvalidInput
from remusnet.frames import Int64s
from remusnet.units import format_duration

LONGEST_NS = 3_600_000_000_000
"""An hour. Longer epochs are typing errors, and would lead past what 64 bits hold."""

MOST_CHECKPOINTS = 1_000_000
"""55 hours at 200 ms. More, and a capture has a damaged time rather than that much traffic."""


class ScheduleKind(StrEnum):
    """What the timer between two checkpoints starts at."""

    XL = "xl"
    """The commit: the period is interval + pause + commit delay."""
    XEND = "xend"
    """The suspend: the period is the interval, or pause + commit delay where that is longer."""


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


@dataclass(frozen=True, slots=True)
class Schedule:
    """Checkpoints in a steady rhythm; all times in ns.

    Raises InvalidInput: an interval of 0, a negative pause or commit delay, anything longer than
    an hour, or times that leave the guest no moment to run.
    """

    interval_ns: int
    pause_ns: int
    commit_delay_ns: int
    kind: ScheduleKind = ScheduleKind.XL

    def __post_init__(self) -> None:
        for name, value, least in (
            ("interval", self.interval_ns, 1),
            ("pause", self.pause_ns, 0),
            ("commit delay", self.commit_delay_ns, 0),
        ):
            if value < least:
                expected = "more than 0" if least else "0 or more"
                raise InvalidInput(f"invalid {name}: {value} ns; expected {expected}")
            if value > LONGEST_NS:
                raise InvalidInput(
                    f"invalid {name}: {format_duration(value)}; expected 1 h at most"
                )
        if self.pause_ns >= self.period_ns:
            raise InvalidInput(
                "the guest would never run: "
                f"it pauses for {format_duration(self.pause_ns)} in every "
                f"{format_duration(self.period_ns)}"
            )

    @property
    def period_ns(self) -> int:
        """From one commit to the next."""
        busy = self.pause_ns + self.commit_delay_ns
        if self.kind is ScheduleKind.XL:
            return self.interval_ns + busy
        return max(self.interval_ns, busy)

    def checkpoints(self, first_ns: int, last_ns: int) -> Checkpoints:
        """The checkpoints of a guest whose traffic is seen from ``first_ns`` to ``last_ns``.

        The first one suspends one interval after ``first_ns``. The last one closes the epoch in
        which ``last_ns`` lies, so that nothing stays held.

        Raises InvalidInput where these are more than `MOST_CHECKPOINTS`, or past what int64 holds.
        """
        suspend_ns = first_ns + self.interval_ns
        begun = max(0, (last_ns - suspend_ns) // self.period_ns + 1)
        count = begun + 1
        if count > MOST_CHECKPOINTS:
            raise InvalidInput(
                f"the traffic spans {(last_ns - first_ns) / 1e9:.0f} s, "
                f"which is {count} checkpoints; remusnet replays {MOST_CHECKPOINTS} at most"
            )
        if suspend_ns + (count + 1) * self.period_ns > np.iinfo(np.int64).max:
            raise InvalidInput("the traffic's times are past what 64 bits of nanoseconds hold")
        suspends = suspend_ns + np.arange(count, dtype=np.int64) * self.period_ns
        resumes = suspends + self.pause_ns
        return Checkpoints(suspends, resumes, resumes + self.commit_delay_ns)

"""When Remus suspends the guest, resumes it, and hears that the checkpoint is safe.

One checkpoint, and what the checkpointer tells the buffer at each step:

    suspend   BUFFER: what was sent before belongs to the epoch that ends here; the guest stands
    resume    pause later: the guest runs again, in the next epoch
    commit    commit delay later: the backup has it all; RELEASE_ONE

The next suspend comes, by ``xl``, one interval after the commit: that is when libxl sets its timer
(tools/libs/light/libxl_remus.c, remus_devices_commit_cb). By ``xend`` it comes one interval after
the suspend before, or at the commit if that is later: Remus as first published kept a fixed rate.

The replay (`remusnet.emulator`) and the driver of a real plug (`remusnet.kernel.checkpoint`) both
go by this. It needs no numpy, which a small Dom0 takes seconds to import.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remusnet.errors import InvalidInput
from remusnet.units import format_duration

LONGEST_NS = 3_600_000_000_000
"""An hour. Longer epochs are typing errors, and would lead past what 64 bits hold."""
MOST_CHECKPOINTS = 1_000_000
"""Of one run: 55 hours at 200 ms. More, and a capture has a damaged time, not so much traffic."""


class ScheduleKind(StrEnum):
    """What the timer between two checkpoints starts at."""

    XL = "xl"
    """The commit: the period is interval + pause + commit delay."""
    XEND = "xend"
    """The suspend: the period is the interval, or pause + commit delay where that is longer."""

    def period_ns(self, interval_ns: int, busy_ns: int) -> int:
        """The time between two suspends, if a commit comes ``busy_ns`` after the first."""
        if self is ScheduleKind.XL:
            return interval_ns + busy_ns
        return max(interval_ns, busy_ns)

    def interval_ns(self, period_ns: int, busy_ns: int) -> int:
        """The interval that makes the period what it is to be, where ``busy_ns`` leaves room."""
        return period_ns - busy_ns if self is ScheduleKind.XL else period_ns


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

    @classmethod
    def of_period(
        cls,
        period_ns: int,
        pause_ns: int,
        commit_delay_ns: int,
        kind: ScheduleKind = ScheduleKind.XL,
    ) -> Schedule:
        """The schedule with a commit every ``period_ns``: its interval is what is left of that.

        Raises InvalidInput as for a schedule, and for a period without room for an interval.
        """
        busy_ns = pause_ns + commit_delay_ns
        # By xl the commit needs an interval after it.
        if period_ns < busy_ns + (kind is ScheduleKind.XL):
            raise InvalidInput(
                f"invalid period: {format_duration(period_ns)}; pause and commit delay "
                f"take {format_duration(busy_ns)} of it"
            )
        interval_ns = kind.interval_ns(period_ns, busy_ns)
        return cls(interval_ns, pause_ns, commit_delay_ns, kind)

    @property
    def busy_ns(self) -> int:
        """The time from a suspend to its commit."""
        return self.pause_ns + self.commit_delay_ns

    @property
    def period_ns(self) -> int:
        """The time from one commit to the next."""
        return self.kind.period_ns(self.interval_ns, self.busy_ns)

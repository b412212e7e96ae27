"""When a scenario's checkpoints come, and what the primary's failure makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.emulator.machine.checkpoints import Checkpoints
from remusnet.emulator.traffic.rtp import generator
from remusnet.frames import Int64s
from remusnet.results.scene import FailureMarks
from remusnet.scenario.quantity import Growing, Quantity
from remusnet.scenario.scenario import Checkpointing, FailureKind, Scenario, constant
from remusnet.schedule import ScheduleKind

_FAR = 10
"""Standard deviations that chance doesn't reach."""
_LEAST_RUN_NS = 1
"""A guest runs between two checkpoints, if only for this long: xend may find no time for more."""


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


def timeline(scenario: Scenario) -> Timeline:
    """The timeline of ``scenario``, which depends on nothing but it and its seed."""
    remus = scenario.checkpointing
    if remus is None:
        none = np.zeros(0, np.int64)
        return Timeline(Checkpoints(none, none, none), None, protected=False)
    # Jitter may carry a packet past the end; its epoch has to be closed as well.
    host, network = scenario.host, scenario.network
    late_ns = network.delay_ns + _FAR * (host.jitter_ns + network.jitter_ns)
    end_ns = scenario.duration_ns + late_ns
    planned = _planned(remus, end_ns, generator(scenario.seed, "checkpoints"))
    return Timeline(planned, _marks(scenario, planned), protected=True)


def _marks(scenario: Scenario, planned: Checkpoints) -> FailureMarks | None:
    failure = scenario.failure
    if failure is None:
        return None
    committed = int(np.searchsorted(planned.commit_ns, failure.at_ns, side="right"))
    # The state that the first checkpoint of all transfers is there before the traffic begins.
    state_ns = int(planned.suspend_ns[committed - 1]) if committed else 0
    split = failure.kind is FailureKind.SPLIT_BRAIN
    return FailureMarks(
        failed_ns=failure.at_ns,
        state_ns=state_ns if failure.rollback else failure.at_ns,
        resume_ns=failure.resume_ns,
        path_ns=failure.path_ns,
        stale_until_ns=failure.at_ns + failure.stale_ns if split else None,
    )


def _planned(remus: Checkpointing, end_ns: int, rng: np.random.Generator) -> Checkpoints:
    """Checkpoints until one has closed the epoch in which ``end_ns`` lies."""
    first_ns = remus.interval_ns if remus.first_ns is None else remus.first_ns
    steps = [remus.pause, remus.transfer, remus.commit_delay]
    fixed = [constant(step) for step in steps]
    if None in fixed:
        return _varying(remus, first_ns, end_ns, rng)
    pause, transfer, delay = (each or 0 for each in fixed)
    busy_ns = pause + transfer + delay
    xl = remus.kind is ScheduleKind.XL
    period_ns = remus.interval_ns + busy_ns if xl else max(remus.interval_ns, busy_ns)
    count = max(0, -(-(end_ns - first_ns) // period_ns)) + 1
    suspend_ns = first_ns + np.arange(count, dtype=np.int64) * period_ns
    resume_ns = suspend_ns + pause
    return Checkpoints(suspend_ns, resume_ns, resume_ns + transfer + delay)


def _varying(
    remus: Checkpointing, first_ns: int, end_ns: int, rng: np.random.Generator
) -> Checkpoints:
    """One checkpoint after the other: what the guest dirtied depends on how long it ran.

    Chance is drawn many at a time: a scenario has far fewer epochs than packets, but not few.
    """
    xl = remus.kind is ScheduleKind.XL
    steps = (remus.pause, remus.transfer, remus.commit_delay)
    drawn = [_Drawn(step, rng) for step in steps]
    suspends: list[int] = []
    resumes: list[int] = []
    commits: list[int] = []
    suspend_ns, resume_ns = first_ns, 0
    while True:
        ran_ns = suspend_ns - resume_ns
        pause, transfer, delay = (each.next(ran_ns) for each in drawn)
        resume_ns = suspend_ns + pause
        commit_ns = resume_ns + transfer + delay
        suspends.append(suspend_ns)
        resumes.append(resume_ns)
        commits.append(commit_ns)
        if suspend_ns >= end_ns:
            break
        timer_ns = commit_ns if xl else suspend_ns
        suspend_ns = max(timer_ns + remus.interval_ns, commit_ns, resume_ns + _LEAST_RUN_NS)
    return Checkpoints(*(np.array(each, np.int64) for each in (suspends, resumes, commits)))


class _Drawn:
    """The values of one quantity, epoch by epoch."""

    _MANY = 1024

    def __init__(self, quantity: Quantity, rng: np.random.Generator) -> None:
        self.quantity = quantity
        self.rng = rng
        self.left: list[int] = []

    def next(self, ran_ns: int) -> int:
        """The next value, for a guest that ran for ``ran_ns``."""
        quantity = self.quantity
        if isinstance(quantity, Growing):
            return int(quantity.draw(self.rng, np.array([ran_ns], np.int64))[0])
        if not self.left:
            unused: Int64s = np.zeros(self._MANY, np.int64)
            self.left = quantity.draw(self.rng, unused).tolist()[::-1]
        return self.left.pop()

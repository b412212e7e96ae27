"""Epochs: the checkpoints that close them, and when the frames that they send leave.

A frame leaves the guest's host after the guest's pause, and once its epoch has committed.

What a guest would have sent in a pause it sends at the resume. What bypasses leaves then; what is
held leaves at the commit of the epoch that sent it. `remusnet.emulator.machine.vif.Vif` does so an
event at a time, and is the definition. `depart` is the same for many frames: epochs are stretches
of them, so each epoch is looked up once and not once a frame. That holds as long as the plug has
room for all, which `most_held` and `most_rtp_held` tell beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from remusnet.emulator.machine.vif import Committed, Delivered, Sent, Suspended, Vif, VifEvent
from remusnet.errors import InvalidInput
from remusnet.frames import Bools, Int64s
from remusnet.results.scene import FailureMarks
from remusnet.schedule import MOST_CHECKPOINTS, Schedule

if TYPE_CHECKING:
    from remusnet.emulator.traffic.rtp import Source

_LONG_AGO = np.iinfo(np.int64).min
NO_EPOCH = -1
"""The epoch of frames that the guest did not send."""
_SLACK = 2
"""Packets: one at either end of a span."""
_FAR = 10
"""Standard deviations of jitter that bring no packet into a span from farther away."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoints:
    """n checkpoints in order: int64[n] each, in ns. Checkpoint k closes epoch k.

    They need not be evenly spaced: a caller whose pauses depend on the guest's load makes them
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


def depart(due_ns: Int64s, checkpoints: Checkpoints, hold: Bools | bool) -> tuple[Int64s, Int64s]:
    """When frames that are due at ``due_ns`` (int64[n], ascending) are sent, and when they leave.

    ``hold``: bool[n], or one for all. Without checkpoints there is nothing to wait for.

    Raises IndexError where the last checkpoint comes before the last frame.
    """
    if len(due_ns) == 0 or len(checkpoints) == 0:
        return due_ns, due_ns
    first, counts = _stretches(due_ns, checkpoints)
    last = first + len(counts) - 1
    if last >= len(checkpoints):
        raise IndexError("packets after the last checkpoint")
    before = checkpoints.resume_ns[first - 1] if first else _LONG_AGO
    resumes = np.concatenate([[before], checkpoints.resume_ns[first:last]])
    sent_ns = np.maximum(due_ns, np.repeat(resumes, counts))
    if hold is False:
        return sent_ns, sent_ns
    commits = np.repeat(checkpoints.commit_ns[first : last + 1], counts)
    return sent_ns, commits if hold is True else np.where(hold, commits, sent_ns)


def epochs(due_ns: Int64s, checkpoints: Checkpoints) -> Int64s:
    """The epoch that sends each frame: int64[n]. ``due_ns`` ascends, and may lie in pauses."""
    if len(due_ns) == 0 or len(checkpoints) == 0:
        return np.zeros(len(due_ns), np.int64)
    first, counts = _stretches(due_ns, checkpoints)
    return np.repeat(np.arange(first, first + len(counts)), counts)


def _stretches(due_ns: Int64s, checkpoints: Checkpoints) -> tuple[int, Int64s]:
    """The first frame's epoch, and how many frames there are in it and in each up to the last's.

    A frame at the moment of a suspend belongs to the next epoch.
    """
    suspend_ns = checkpoints.suspend_ns
    first, last = np.searchsorted(suspend_ns, due_ns[[0, -1]], side="right").tolist()
    cuts = np.searchsorted(due_ns, suspend_ns[first:last], side="left")
    return first, np.diff(np.concatenate([[0], cuts, [len(due_ns)]]))


def depart_within(
    due_ns: Int64s, length: Int64s, hold: Bools, checkpoints: Checkpoints, limit: int
) -> tuple[Int64s, Int64s, Bools]:
    """As `depart`, through a plug of ``limit`` bytes: bool[n] says which frames it drops instead.

    Where the limit can't be reached (a plug holds two epochs at most), no frame is looked at alone.
    """
    sent_ns, left_ns = depart(due_ns, checkpoints, hold)
    if most_held(epochs(due_ns, checkpoints)[hold], length[hold]) > limit:
        return sent_ns, *step_by_step(sent_ns, length, hold, checkpoints, limit)
    return sent_ns, left_ns, np.zeros(len(sent_ns), np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Deliveries:
    """What became of n frames, in the order in which they were given.

    ``time_ns``: int64[n], when each left; of a dropped frame, when it met the full plug.
    ``dropped``: bool[n]. ``epoch``: int64[n], the guest's epoch that sent it, else `NO_EPOCH`.
    ``order``: int64[m], the frames that left, in the order of leaving.
    """

    time_ns: Int64s
    dropped: Bools
    epoch: Int64s
    order: Int64s


@dataclass(slots=True)
class Tally:
    """The counts of a run: packets."""

    packets: int = 0
    held: int = 0
    bypassed: int = 0
    dropped: int = 0
    violations: int = 0
    unprotected: int = 0

    def add(self, other: Tally) -> None:
        """``other`` on top."""
        self.packets += other.packets
        self.held += other.held
        self.bypassed += other.bypassed
        self.dropped += other.dropped
        self.violations += other.violations
        self.unprotected += other.unprotected


def replay(
    time_ns: Int64s,
    length: Int64s,
    guest: Bools,
    hold: Bools,
    checkpoints: Checkpoints,
    limit: int,
) -> Deliveries:
    """Put n frames through the buffer; all arrays are of length n, times need not ascend.

    ``guest``: which frames the guest sent; ``hold``: the verdicts (looked at for those only).
    Others keep their times. A frame whose time falls into a pause leaves the guest at the resume.
    Frames that leave at the same time do so in the order in which they were sent.
    """
    by_time = np.argsort(time_ns, kind="stable")
    rows = by_time[guest[by_time]]
    leaves_ns = time_ns.copy()
    dropped = np.zeros(len(time_ns), np.bool_)
    _, leaves_ns[rows], dropped[rows] = depart_within(
        time_ns[rows], length[rows], hold[rows], checkpoints, limit
    )
    epoch = np.full(len(time_ns), NO_EPOCH, np.int64)
    epoch[rows] = epochs(time_ns[rows], checkpoints)

    rank = np.empty(len(time_ns), np.int64)
    rank[by_time] = np.arange(len(time_ns))
    order = np.lexsort((rank, leaves_ns))
    return Deliveries(leaves_ns, dropped, epoch, order[~dropped[order]])


def step_by_step(
    sent_ns: Int64s, length: Int64s, hold: Bools, checkpoints: Checkpoints, limit: int
) -> tuple[Int64s, Bools]:
    """When each frame leaves (int64[n]), and which are dropped instead (bool[n]).

    Every frame goes through the model of the plug. ``sent_ns``, as `depart` gives it, ascends and
    is outside of all pauses.
    """
    vif = Vif(limit)
    left_ns = sent_ns.copy()
    dropped = np.ones(len(sent_ns), np.bool_)
    for event in _events(sent_ns, length, hold, checkpoints):
        for output in vif.handle(event):
            if isinstance(output, Delivered):
                left_ns[output.frame] = output.time_ns
                dropped[output.frame] = False
    return left_ns, dropped


def _events(
    sent_ns: Int64s, length: Int64s, hold: Bools, checkpoints: Checkpoints
) -> Iterator[VifEvent]:
    """Frames and checkpoints in order of time; at equal times checkpoints first."""
    steps = _steps(checkpoints)
    step = next(steps, None)
    frames = zip(sent_ns.tolist(), length.tolist(), hold.tolist(), strict=True)
    for frame, (time_ns, size, held) in enumerate(frames):
        while step is not None and step.time_ns <= time_ns:
            yield step
            step = next(steps, None)
        yield Sent(time_ns, frame, size, held)
    if step is not None:
        yield step
    yield from steps


def _steps(checkpoints: Checkpoints) -> Iterator[Suspended | Committed]:
    """Suspend, commit, suspend, commit...: in this order even where all are at the same time."""
    suspends, commits = checkpoints.suspend_ns.tolist(), checkpoints.commit_ns.tolist()
    for suspend_ns, commit_ns in zip(suspends, commits, strict=True):
        yield Suspended(suspend_ns)
        yield Committed(commit_ns)


def most_held(epoch: Int64s, length: Int64s) -> int:
    """No fewer bytes than ever lie in the plug of frames of ``length``: two neighbouring epochs'.

    ``epoch``: int64[n], ascending, which sent each frame that is held.
    """
    if len(epoch) == 0:
        return 0
    held = np.bincount(epoch, weights=length, minlength=int(epoch[-1]) + 2)
    return int((held[1:] + held[:-1]).max())


@dataclass(frozen=True, slots=True)
class MostHeld:
    """Held at one moment, at most: bytes in the plug, and frames, each with a slot of the ring."""

    bytes: int
    frames: int


def most_rtp_held(
    sources: Sequence[Source], holds: Sequence[bool], timeline: Timeline, jitter_ns: int
) -> MostHeld:
    """What the streams that ``holds`` says need together of plug and ring, or more.

    ``jitter_ns``: standard deviation of the times of sending, at most.

    At a commit the plug has what was sent since the suspend before the one that commits.
    """
    planned = timeline.checkpoints
    if not timeline.protected or len(planned) == 0:
        return MostHeld(0, 0)
    since_ns = np.concatenate([[0], planned.suspend_ns[:-1]])
    span_ns = int((planned.commit_ns - since_ns).max()) + 2 * _FAR * jitter_ns
    size = count = 0
    for source, hold in zip(sources, holds, strict=True):
        if hold and source.from_guest:
            frames = min(source.packets, span_ns // source.interval_ns + _SLACK)
            count += frames
            size += frames * source.frame_bytes
    return MostHeld(size, count)

"""Recorded frames through a vif under Remus.

Open loop: the frames are those of the recording. Nobody reacts to the delay, so a TCP sender keeps
its pace, and nothing is sent again because an answer came late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Bools
from remusnet.emulator.machine.buffer import Buffer, Committed, Delivered, Event, Sent, Suspended
from remusnet.emulator.machine.checkpoints import Checkpoints
from remusnet.frames import Int64s

NEVER = -1
"""The epoch of frames that the guest did not send."""


@dataclass(frozen=True, slots=True, eq=False)
class Deliveries:
    """What became of n frames, in the order in which they were given.

    ``time_ns``: int64[n], when each left; of a dropped frame, when it met the full plug.
    ``dropped``: bool[n]. ``epoch``: int64[n], the guest's epoch that sent it, else `NEVER`.
    ``order``: int64[m], the frames that left, in the order of leaving.
    """

    time_ns: Int64s
    dropped: Bools
    epoch: Int64s
    order: Int64s


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
    sent_ns = after_pauses(time_ns[rows], checkpoints)

    leaves_ns = time_ns.copy()
    dropped = np.zeros(len(time_ns), np.bool_)
    leaves_ns[rows], dropped[rows] = through_buffer(
        sent_ns, length[rows], hold[rows], checkpoints, limit
    )
    epoch = np.full(len(time_ns), NEVER, np.int64)
    epoch[rows] = epochs(sent_ns, checkpoints)

    rank = np.empty(len(time_ns), np.int64)
    rank[by_time] = np.arange(len(time_ns))
    order = np.lexsort((rank, leaves_ns))
    return Deliveries(leaves_ns, dropped, epoch, order[~dropped[order]])


def epochs(time_ns: Int64s, checkpoints: Checkpoints) -> Int64s:
    """The epoch in which each of the times lies: how many suspends there were until then."""
    return np.searchsorted(checkpoints.suspend_ns, time_ns, side="right")


def after_pauses(time_ns: Int64s, checkpoints: Checkpoints) -> Int64s:
    """When a guest sends what it would have sent at ``time_ns``: in a pause, at the resume."""
    if len(checkpoints) == 0:
        return time_ns
    last = epochs(time_ns, checkpoints) - 1
    # Before the first suspend there is nothing to wait for: every time is after int64's smallest.
    resume_ns = np.where(last < 0, np.iinfo(np.int64).min, checkpoints.resume_ns[last])
    return np.maximum(time_ns, resume_ns)


def through_buffer(
    sent_ns: Int64s, length: Int64s, hold: Bools, checkpoints: Checkpoints, limit: int
) -> tuple[Int64s, Bools]:
    """When each frame leaves (int64[n]), and whether it is dropped instead (bool[n]).

    ``sent_ns`` ascends, is outside of all pauses, and the last checkpoint comes after it. The
    result is that of `step_by_step`. Where the limit can't be reached (a plug holds two epochs at
    most), what an epoch held simply leaves at its commit, and no frame is looked at alone.
    """
    epoch = epochs(sent_ns, checkpoints)
    if _most_in_plug(epoch[hold], length[hold]) > limit:
        return step_by_step(sent_ns, length, hold, checkpoints, limit)
    leaves_ns = sent_ns.copy()
    leaves_ns[hold] = checkpoints.commit_ns[epoch[hold]]
    return leaves_ns, np.zeros(len(sent_ns), np.bool_)


def _most_in_plug(epoch: Int64s, length: Int64s) -> int:
    """No less than what the plug ever has to hold: the bytes of two neighbouring epochs."""
    if len(epoch) == 0:
        return 0
    held = np.bincount(epoch, weights=length, minlength=int(epoch[-1]) + 2)
    return int((held[1:] + held[:-1]).max())


def step_by_step(
    sent_ns: Int64s, length: Int64s, hold: Bools, checkpoints: Checkpoints, limit: int
) -> tuple[Int64s, Bools]:
    """As `through_buffer`, every frame through the model of the plug."""
    buffer = Buffer(limit)
    leaves_ns = sent_ns.copy()
    dropped = np.ones(len(sent_ns), np.bool_)
    for event in _events(sent_ns, length, hold, checkpoints):
        for output in buffer.handle(event):
            if isinstance(output, Delivered):
                leaves_ns[output.frame] = output.time_ns
                dropped[output.frame] = False
    return leaves_ns, dropped


def _events(
    sent_ns: Int64s, length: Int64s, hold: Bools, checkpoints: Checkpoints
) -> Iterator[Event]:
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

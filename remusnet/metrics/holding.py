"""What holding did to the frames of a guest: how long TCP waited, and whether output commit held.

Counted from the outside: from when frames were sent, when they left, and when checkpoints began and
committed. How they were buffered is none of its business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Bools, Int64s
from remusnet.metrics.flows import connection_keys, flow_of
from remusnet.metrics.percentiles import milliseconds, rounded, spread
from remusnet.policy.policy import TCP


@dataclass(frozen=True, slots=True)
class OutputCommit:
    """Frames of a guest. ``held + bypassed`` are all that it sent; ``dropped`` is within held.

    ``unprotected``, within bypassed: those sent while nothing was held, whatever the policy: by a
    backup after a failover, or by a guest without checkpoints.
    ``violations``: held frames that left before the commit of the epoch that sent them.
    """

    held: int
    bypassed: int
    dropped: int
    violations: int
    unprotected: int = 0

    def to_json(self) -> dict[str, int]:
        """``{"held", "bypassed", "dropped", "violations", "unprotected"}``."""
        return {
            "held": self.held,
            "bypassed": self.bypassed,
            "dropped": self.dropped,
            "violations": self.violations,
            "unprotected": self.unprotected,
        }


def left_early(sent_ns: Int64s, left_ns: Int64s, suspend_ns: Int64s, commit_ns: Int64s) -> int:
    """The violations among held frames that left, where ``sent_ns`` (int64[n]) ascends.

    As `output_commit` counts them; each checkpoint is looked up once, and not each frame.
    """
    if len(sent_ns) == 0 or len(commit_ns) == 0:
        return 0
    first, last = np.searchsorted(suspend_ns, sent_ns[[0, -1]], side="right").tolist()
    cuts = np.searchsorted(sent_ns, suspend_ns[first:last], side="left")
    counts = np.diff(np.concatenate([[0], cuts, [len(sent_ns)]]))
    needed_ns = np.repeat(commit_ns[first : last + 1], counts)
    return int(np.count_nonzero(left_ns < needed_ns))


def output_commit(
    sent_ns: Int64s,
    left_ns: Int64s,
    hold: Bools,
    dropped: Bools,
    suspend_ns: Int64s,
    commit_ns: Int64s,
) -> OutputCommit:
    """Counts over the frames of one guest: n frames, m checkpoints; all times int64 in ns.

    ``sent_ns``, ``left_ns``, ``hold``, ``dropped``: of length n; ``left_ns`` of dropped frames is
    not looked at. ``suspend_ns``, ``commit_ns``: of length m, ascending.

    A frame is in the state that a checkpoint saves if it was sent before that checkpoint's suspend.
    So of the frame's time of sending, count the suspends that had passed: that many checkpoints
    don't have it, and one more has to commit.
    """
    left = hold & ~dropped
    needed = np.searchsorted(suspend_ns, sent_ns[left], side="right") + 1
    committed = np.searchsorted(commit_ns, left_ns[left], side="right")
    held = int(hold.sum())
    return OutputCommit(
        held=held,
        bypassed=len(hold) - held,
        dropped=int(dropped.sum()),
        violations=int((committed < needed).sum()),
    )


@dataclass(frozen=True, slots=True)
class HoldTimes:
    """Hold times of ``frames`` frames in ms; None where none was held."""

    frames: int
    median: float | None
    p99: float | None
    max: float | None

    def to_json(self) -> dict[str, float | None]:
        """``{"median", "p99", "max"}``, in ms; null where none was held."""
        values = {"median": self.median, "p99": self.p99, "max": self.max}
        return {name: None if ms is None else rounded(ms) for name, ms in values.items()}


@dataclass(frozen=True, slots=True)
class TcpConnection:
    """One connection, both directions. ``flow``: the direction of its first frame."""

    flow: str
    frames: int
    hold: HoldTimes


NONE_HELD = HoldTimes(0, None, None, None)


def hold_percentiles(sent_ns: Int64s, delivered_ns: Int64s) -> HoldTimes:
    """How long frames waited that were sent at ``sent_ns`` and delivered at ``delivered_ns``.

    Both int64[n]; leave out what was never delivered. Raises ValueError where the lengths differ,
    or a frame is delivered before it was sent.
    """
    if sent_ns.shape != delivered_ns.shape:
        raise ValueError(f"{sent_ns.shape} times of sending, {delivered_ns.shape} of delivery")
    held_ns = delivered_ns - sent_ns
    if (held_ns < 0).any():
        raise ValueError(f"frame {int(np.argmin(held_ns))} is delivered before it was sent")
    held = spread(milliseconds(held_ns))
    if held is None:
        return NONE_HELD
    return HoldTimes(len(held_ns), held.p50, held.p99, held.max)


def tcp_connections(
    columns: Columns, held: Int64s, sent_ns: Int64s, delivered_ns: Int64s
) -> list[TcpConnection]:
    """Every TCP connection of the capture, in order of first frames, with its held frames' times.

    ``held``: int64[k], which frames were held and delivered; ``sent_ns``, ``delivered_ns``:
    int64[k], when. Frames that aren't TCP, and later fragments, which hide their ports, are left
    out. A connection is a pair of endpoints: one that reuses the ports of an older one is the same.
    """
    # A TCP frame that was cut before its ports is in no connection.
    tcp = (columns.protocol == TCP) & (columns.sport >= 0)
    of, first = connection_keys(columns)
    frames = np.bincount(of[tcp], minlength=len(first))
    owner = of[held]
    order = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[order], np.arange(len(first) + 1))
    found = []
    for number in np.flatnonzero(frames).tolist():
        rows = order[start[number] : start[number + 1]]
        hold = hold_percentiles(sent_ns[rows], delivered_ns[rows])
        found.append(TcpConnection(flow_of(columns, first[number]), int(frames[number]), hold))
    return found

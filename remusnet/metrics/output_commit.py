"""Output commit, counted from the outside: from when frames were sent, when they left, and when
checkpoints began and committed. How they were buffered is none of its business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.frames import Bools, Int64s


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

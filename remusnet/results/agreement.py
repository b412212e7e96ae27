"""What a real kernel did with a guest's frames, beside what the emulator says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from remusnet.frames import Bools, Int64s
from remusnet.metrics.percentiles import NS_PER_MS, rounded
from remusnet.results.stream import NEVER

REAL_NS, VIRTUAL_NS = 2_000_000, 100_000
"""How far releases may be apart: medians in real time, where other work of the machine delays every
process, and beyond what the replay was late; in virtual time, where only the kernel's own steps
take time, each of them."""
NO_EPOCH = -1


@dataclass(frozen=True, slots=True, eq=False)
class Passing:
    """n frames through a vif. ``held``, ``dropped``: bool[n]; of a dropped one, held says nothing.

    ``epoch``: int64[n], the checkpoint whose commit released it, else `NO_EPOCH`. ``left_ns``:
    int64[n], when it left, or `NEVER`.
    """

    held: Bools
    dropped: Bools
    epoch: Int64s
    left_ns: Int64s

    @property
    def left(self) -> Bools:
        """bool[n]: which frames left."""
        found: Bools = self.left_ns != NEVER
        return found

    def verdict(self, frame: int) -> str:
        """What became of ``frame``, in a word."""
        if self.dropped[frame]:
            return "dropped"
        if self.left_ns[frame] == NEVER:
            return "kept" if self.held[frame] else "lost"
        return "held" if self.held[frame] else "passed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One frame that the two don't agree on, and why, as far as that is known.

    ``busy``: only its time differs, and by what the replay was late.
    """

    frame: int
    sent_ns: int
    what: str
    emulator: str
    kernel: str
    why: str
    busy: bool = False

    def to_json(self) -> dict[str, object]:
        """One element of ``differences``."""
        return {
            "frame": self.frame,
            "sent_ns": self.sent_ns,
            "what": self.what,
            "emulator": self.emulator,
            "kernel": self.kernel,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """How much later the kernel released frames than the emulator: ns, over ``frames``."""

    frames: int
    least: int
    median: int
    p95: int
    most: int

    @classmethod
    def of(cls, later_ns: Int64s) -> Spread | None:
        """The summary of int64[n]; None of none."""
        if len(later_ns) == 0:
            return None
        least, median, p95, most = np.percentile(later_ns, [0, 50, 95, 100]).round().astype(int)
        return cls(len(later_ns), int(least), int(median), int(p95), int(most))

    def to_json(self) -> dict[str, object]:
        """The summary in ms."""
        return {
            "frames": self.frames,
            **{
                name: rounded(getattr(self, name) / NS_PER_MS)
                for name in ("least", "median", "p95", "most")
            },
        }


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """n frames under one policy. ``kernel``: its version; ``virtual``: whether its time is.

    ``sent_ns``, ``length``: int64[n]. ``replay_late_ns``: int64[n], how late the replay was where
    it let the frame go: when it sent a passing one, or told the plug to release a held one.
    ``changed``: bool[n], whose bytes came out as others. ``purged``: frames that were still held
    at the end. ``checkpoints``: how many committed.
    """

    scenario: str
    policy: str
    kernel: str
    virtual: bool
    limit: int
    checkpoints: int
    sent_ns: Int64s
    length: Int64s
    emulated: Passing
    seen: Passing
    replay_late_ns: Int64s
    changed: Bools

    def __len__(self) -> int:
        return len(self.sent_ns)

    @property
    def tolerance_ns(self) -> int:
        """See `REAL_NS`."""
        return VIRTUAL_NS if self.virtual else REAL_NS

    @property
    def later_ns(self) -> Int64s:
        """int64[n]: how much later each frame left in the kernel; 0 where either says never."""
        both = self.emulated.left & self.seen.left
        return np.where(both, self.seen.left_ns - self.emulated.left_ns, 0)

    def spread(self, held: bool) -> Spread | None:
        """Over the frames that left in both, those that were held or the others."""
        rows = self.emulated.left & self.seen.left & (self.emulated.held == held)
        return Spread.of(self.later_ns[rows])

    def late_replay(self) -> Spread | None:
        """The replay's own share of that."""
        return Spread.of(self.replay_late_ns[self.emulated.left & self.seen.left])

    @property
    def decided_alike(self) -> Bools:
        """bool[n]: verdict, epoch and drop are the same, and the bytes are."""
        ours, theirs = self.emulated, self.seen
        gone = ours.dropped & theirs.dropped
        alike = (ours.held == theirs.held) & (ours.dropped == theirs.dropped)
        alike &= (ours.epoch == theirs.epoch) & (ours.left == theirs.left)
        found: Bools = (gone | alike) & ~self.changed
        return found

    @property
    def in_time(self) -> Bools:
        """bool[n]: released within the tolerance of each other, or never in both."""
        found: Bools = np.abs(self.later_ns) <= self.tolerance_ns
        return found

    @property
    def agrees(self) -> bool:
        """Whether all is alike; of times in real time, the medians only (see `REAL_NS`)."""
        if not self.decided_alike.all():
            return False
        if self.virtual:
            return bool(self.in_time.all())
        both = self.emulated.left & self.seen.left
        beyond = self.later_ns - self.replay_late_ns
        found = [Spread.of(beyond[both & (self.emulated.held == held)]) for held in (False, True)]
        return all(each is None or abs(each.median) <= self.tolerance_ns for each in found)

    def differences(self) -> Iterator[Difference]:
        """Frame by frame, in the order of sending."""
        for frame in np.flatnonzero(~self.decided_alike | ~self.in_time).tolist():
            yield self._difference(frame)

    def _difference(self, frame: int) -> Difference:
        ours, theirs = self.emulated, self.seen
        sent_ns = int(self.sent_ns[frame])
        ours_said, theirs_said = words = ours.verdict(frame), theirs.verdict(frame)
        if ours_said != theirs_said:
            why = _WHY.get(words, _BUG)
            return Difference(frame, sent_ns, "verdict", ours_said, theirs_said, why)
        if self.changed[frame]:
            return Difference(frame, sent_ns, "bytes", "as sent", "others", _BUG)
        epoch, theirs_epoch = int(ours.epoch[frame]), int(theirs.epoch[frame])
        if epoch != theirs_epoch:
            early = theirs_epoch < epoch
            why = _EARLY if early else "the plug released too few before"
            return Difference(frame, sent_ns, "epoch", str(epoch), str(theirs_epoch), why)
        later_ns, late_ns = int(self.later_ns[frame]), int(self.replay_late_ns[frame])
        ours_at, theirs_at = (
            f"{int(each.left_ns[frame]) / NS_PER_MS:.3f} ms" for each in (ours, theirs)
        )
        step = "told the plug" if ours.held[frame] else "sent it"
        busy = abs(later_ns - late_ns) <= self.tolerance_ns
        cause = "this machine was busy" if busy else "unexplained"
        why = f"{cause}: the replay {step} {late_ns / NS_PER_MS:.3f} ms late"
        return Difference(frame, sent_ns, "time", ours_at, theirs_at, why, busy)

    def to_json(self) -> dict[str, object]:
        """One element of ``runs`` in ``lab run --json``."""
        spreads = {
            "passed": self.spread(held=False),
            "held": self.spread(held=True),
            "replay": self.late_replay(),
        }
        return {
            "policy": self.policy,
            "limit_bytes": self.limit,
            "checkpoints": self.checkpoints,
            "agrees": self.agrees,
            "tolerance_ms": self.tolerance_ns / NS_PER_MS,
            "later_ms": {name: each and each.to_json() for name, each in spreads.items()},
            "differences": [each.to_json() for each in self.differences()],
            "frames": [self._row(frame) for frame in range(len(self))],
        }

    def _row(self, frame: int) -> dict[str, object]:
        def side(passing: Passing) -> dict[str, object]:
            left_ns, epoch = int(passing.left_ns[frame]), int(passing.epoch[frame])
            return {
                "verdict": passing.verdict(frame),
                "epoch": None if epoch == NO_EPOCH else epoch,
                "left_ns": None if left_ns == NEVER else left_ns,
            }

        return {
            "sent_ns": int(self.sent_ns[frame]),
            "length": int(self.length[frame]),
            "emulator": side(self.emulated),
            "kernel": side(self.seen),
        }


_EARLY = "it left before its epoch had committed: the output-commit rule is broken"
_BUG = "a bug in remusnet, or in the bed"
_CLASSIFIED = "the rules and the emulator's classifier don't agree on this frame"
_FULL = "the plug was full in one and not in the other"
_WHY = {
    ("held", "passed"): _CLASSIFIED,
    ("passed", "held"): _CLASSIFIED,
    ("kept", "passed"): _CLASSIFIED,
    ("held", "dropped"): _FULL,
    ("dropped", "held"): _FULL,
    ("kept", "dropped"): _FULL,
    ("dropped", "kept"): _FULL,
}

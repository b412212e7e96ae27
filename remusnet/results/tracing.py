"""What became of each frame of a vif: values to report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from remusnet.plan.rows import Json
from remusnet.policy.verdict import Verdict


class Fate(StrEnum):
    """What became of a frame."""

    BYPASSED = "bypassed"
    RELEASED = "released"
    DROPPED = "dropped"
    """Later ones have left the buffer device, and it has not: the plug was full or was purged."""
    WAITING = "waiting"
    """It was held when the trace ended."""
    UNKNOWN = "unknown"
    """It has not left, and what tells the other two apart was not to be seen."""


@dataclass(frozen=True, slots=True)
class TracedFrame:
    """Frame ``number`` (from 1) came at ``time_ns`` (Unix epoch), ``length`` bytes long.

    ``flow``: as ``udp 10.0.0.1:5004 > 10.0.0.2:6000``; ``rule``, ``reason``: of the reference
    classifier; ``held_ns``: from the vif to the buffer device's way out, None where it never left;
    ``data``: its bytes.
    """

    number: int
    time_ns: int
    length: int
    flow: str
    verdict: Verdict
    rule: str
    reason: str
    fate: Fate
    held_ns: int | None
    data: bytes

    def to_json(self) -> Json:
        """All but its bytes."""
        return {
            "frame": self.number,
            "time_ns": self.time_ns,
            "length": self.length,
            "flow": self.flow,
            "verdict": self.verdict.value,
            "rule": self.rule,
            "reason": self.reason,
            "fate": self.fate.value,
            "held_ns": self.held_ns,
        }


@dataclass(frozen=True, slots=True)
class RuleCount:
    """Frames on which one rule has decided, and what became of them, by `Fate`."""

    verdict: Verdict
    rule: str
    frames: int
    bytes: int
    fates: Mapping[Fate, int]


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace of ``vif`` under ``policy`` that took ``duration_ns``, in sums.

    ``held_ns``: shortest, median and longest time that a frame was held; None without any.
    ``listed``: the first so many frames were told one by one. ``beyond``: frames that the policy
    lets pass and the classifier held all the same; they count as released. ``before``: frames that
    left the buffer device and had come before the trace, or from another vif. ``unseen``: frames
    that came too fast to be read; the sums are of the others. ``problem``: why the trace ended
    early; empty where it did not.
    """

    vif: str
    buffer: str
    policy: str
    duration_ns: int
    rules: tuple[RuleCount, ...]
    held_ns: tuple[int, int, int] | None
    listed: int
    beyond: int
    before: int
    unseen: int
    problem: str

    @property
    def frames(self) -> int:
        """All that were seen."""
        return sum(each.frames for each in self.rules)

    def count(self, fate: Fate) -> int:
        """How many frames this became of."""
        return sum(each.fates[fate] for each in self.rules)

    def to_json(self) -> Json:
        """The sums; times in nanoseconds."""
        held = None
        if self.held_ns is not None:
            held = dict(zip(("shortest", "median", "longest"), self.held_ns, strict=True))
        return {
            "vif": self.vif,
            "buffer": self.buffer,
            "policy": self.policy,
            "duration_ns": self.duration_ns,
            "frames": self.frames,
            "listed": self.listed,
            "fates": {each.value: self.count(each) for each in Fate},
            "rules": [
                {
                    "verdict": each.verdict.value,
                    "rule": each.rule,
                    "frames": each.frames,
                    "bytes": each.bytes,
                    "fates": {fate.value: each.fates[fate] for fate in Fate},
                }
                for each in self.rules
            ],
            "held_ns": held,
            "held_beyond_the_policy": self.beyond,
            "left_from_before": self.before,
            "unseen": self.unseen,
            "problem": self.problem or None,
        }

"""What a watcher has seen and done: values to report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from remusnet.plan.rows import Json


class Occasion(StrEnum):
    """What a `Happening` is about."""

    WATCHING = "watching"
    """It has looked at everything, and listens."""
    REPAIRED = "repaired"
    PROTECTED = "protected"
    """A vif has appeared, and is protected."""
    GONE = "gone"
    """A vif of a protection is not there any more."""
    ALARM = "alarm"
    """It can't be mended now: a person has to do something."""
    CALM = "calm"
    """What an alarm was about is over."""
    DRIVER = "driver"
    """A process drives a plug, or does so no more."""
    LOST = "lost"
    """The kernel's events came faster than they were read: everything was looked at anew."""
    TRIAL = "trial"
    """A watcher took back a change on trial whose guard was killed."""
    RELOADED = "reloaded"


ALARMS = frozenset({Occasion.ALARM})


@dataclass(frozen=True, slots=True)
class Happening:
    """``text``: a sentence for a person. ``buffer``, ``vifs``: of which protection, empty for none.

    ``took_ns``: from the notification to the end of the repair. ``open_ns``: how long frames that
    should be held could leave, or vifs stood without protection, of that; 0 where they were dropped
    meanwhile or held all the same; None where that is unknown, or it goes on. ``differences``: what
    was wrong, one line each.
    """

    occasion: Occasion
    text: str
    buffer: str = ""
    vifs: tuple[str, ...] = ()
    took_ns: int | None = None
    open_ns: int | None = None
    differences: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """All of it; times in nanoseconds."""
        return {
            "occasion": self.occasion.value,
            "text": self.text,
            "buffer": self.buffer or None,
            "vifs": list(self.vifs),
            "took_ns": self.took_ns,
            "open_ns": self.open_ns,
            "differences": list(self.differences),
        }


@dataclass(slots=True)
class WatchCounts:
    """What a watcher has told so far, for monitors: how often each occasion, and for how long
    protections stood open together.
    """

    happened: Counter[Occasion] = field(default_factory=Counter)
    open_ns: int = 0

    def note(self, happening: Happening) -> None:
        """One more."""
        self.happened[happening.occasion] += 1
        self.open_ns += happening.open_ns or 0

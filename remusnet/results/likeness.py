"""How connections over a real kernel's TCP went, beside the emulator's: distributions, not frames.

What reacts is never the same twice: a segment that is a little later may meet another epoch. So
medians and 95th percentiles are compared, how many came to their end, and how often was sent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from remusnet.metrics.percentiles import percentile, rounded

TOLERANCE, COPIES_TOLERANCE = 0.15, 0.20
"""Of the kernel's: a median, a p95, a count; and segments sent again."""
VIRTUAL_MS, REAL_MS = 1.0, 50.0
"""So far apart times may be whatever their ratio: Linux counts round trips in ms, and its clock
ticks each 4 ms; in real time the kernel's steps wait for a busy machine's other work."""
FEW_COPIES = 0.2
"""For each connection: as many more or fewer are no disagreement, as no ratio is made of few."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side's connections of a group, in their order. ``connections``: how many began.

    ``answers_ms``: each answer's time; ``completions_ms``: of the connections that came to their
    end, from the SYN to the last byte; ``copies``: segments sent again, both ways.
    """

    connections: int
    answers_ms: tuple[float, ...]
    completions_ms: tuple[float, ...]
    copies: int

    def to_json(self) -> dict[str, object]:
        """As `Pair.to_json` has it."""
        return {
            "connections": self.connections,
            "answers_ms": [rounded(each) for each in self.answers_ms],
            "completions_ms": [rounded(each) for each in self.completions_ms],
            "copies": self.copies,
        }


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of both sides; None where there is nothing to measure.

    ``within``: whether they agree; None where that isn't judged.
    """

    name: str
    emulator: float | None
    kernel: float | None
    within: bool | None

    @property
    def ratio(self) -> float | None:
        """The emulator's by the kernel's."""
        if self.emulator is None or not self.kernel:
            return None
        return self.emulator / self.kernel

    def to_json(self) -> dict[str, object]:
        """One element of ``measures``."""
        values = {"emulator": self.emulator, "kernel": self.kernel, "ratio": self.ratio}
        return {
            "name": self.name,
            **{key: None if each is None else rounded(each) for key, each in values.items()},
            "within": self.within,
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """A group of connections on both sides. ``group``: from 1; ``kind``: as in scenario files.

    ``virtual``: whether the kernel's time was.
    """

    group: int
    kind: str
    virtual: bool
    emulator: Side
    kernel: Side

    @property
    def tolerance_ms(self) -> float:
        """See `VIRTUAL_MS`."""
        return VIRTUAL_MS if self.virtual else REAL_MS

    def measures(self) -> Iterator[Measure]:
        """The pairs to compare, in the order in which reports show them."""
        ours, theirs = self.emulator, self.kernel
        for name, one, other in (
            ("answer", ours.answers_ms, theirs.answers_ms),
            ("connection", ours.completions_ms, theirs.completions_ms),
        ):
            for word, share in (("median", 0.5), ("p95", 0.95)):
                yield self._time(f"{name}, {word} (ms)", _at(one, share), _at(other, share))
        for name, count, other_count in (
            ("answers", len(ours.answers_ms), len(theirs.answers_ms)),
            ("connections done", len(ours.completions_ms), len(theirs.completions_ms)),
        ):
            alike = abs(count - other_count) <= TOLERANCE * other_count
            yield Measure(name, count, other_count, alike)
        yield Measure("segments sent again", ours.copies, theirs.copies, self._copies_alike())

    def _time(self, name: str, ours: float | None, theirs: float | None) -> Measure:
        if ours is None or theirs is None:
            return Measure(name, ours, theirs, (ours is None) == (theirs is None))
        apart = abs(ours - theirs)
        return Measure(
            name, ours, theirs, apart <= max(TOLERANCE * theirs, self.tolerance_ms)
        )  # fmt: skip

    def _copies_alike(self) -> bool | None:
        """A busy machine in real time is late, and TCP sends again what is only late."""
        if not self.virtual:
            return None
        ours, theirs = self.emulator.copies, self.kernel.copies
        few = FEW_COPIES * self.kernel.connections
        return abs(ours - theirs) <= max(COPIES_TOLERANCE * theirs, few)

    @property
    def agrees(self) -> bool:
        """Whether all that is judged is within its tolerance."""
        return all(each.within is not False for each in self.measures())

    def to_json(self) -> dict[str, object]:
        """One element of ``groups``."""
        return {
            "group": self.group,
            "kind": self.kind,
            "agrees": self.agrees,
            "measures": [each.to_json() for each in self.measures()],
            "emulator": self.emulator.to_json(),
            "kernel": self.kernel.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Likeness:
    """All groups under one policy. ``kernel``: its version; ``late_ms``: how late each step of a
    checkpoint was there. ``left_out``: what of the scenario neither side had.
    """

    scenario: str
    policy: str
    kernel: str
    virtual: bool
    checkpoints: int
    late_ms: tuple[float, ...]
    left_out: tuple[str, ...]
    groups: tuple[Pair, ...]

    @property
    def agrees(self) -> bool:
        """Whether each group does."""
        return all(each.agrees for each in self.groups)

    def late(self, share: float) -> float:
        """The percentile of ``late_ms``; 0 without a checkpoint."""
        return _at(self.late_ms, share) or 0.0

    def to_json(self) -> dict[str, object]:
        """``tcp`` of one element of ``runs`` in ``lab run --json``."""
        return {
            "agrees": self.agrees,
            "tolerance": {
                "share": TOLERANCE,
                "ms": VIRTUAL_MS if self.virtual else REAL_MS,
                "copies_share": COPIES_TOLERANCE if self.virtual else None,
            },
            "checkpoints": self.checkpoints,
            "late_ms": {"median": rounded(self.late(0.5)), "p95": rounded(self.late(0.95))},
            "left_out": list(self.left_out),
            "groups": [each.to_json() for each in self.groups],
        }


def _at(values: tuple[float, ...], share: float) -> float | None:
    return percentile(np.array(values), share) if values else None

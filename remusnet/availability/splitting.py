"""Rare events by RESTART: a run that comes a step nearer is tried again and again from there.

Villén-Altamirano (1991). A trial that enters a level of `importance` is run so many times, each of
which counts for its share only, and all but one end where they leave the level. The mean stays
what it is; it is met more often. Whatever the distributions: a trial begins with the markings and
ages of the one that it is of, and draws what its clocks still have to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from remusnet.availability import kernel, layout
from remusnet.availability.arrays import linked, tables
from remusnet.availability.compiled import Compiled
from remusnet.availability.drawing import Seed
from remusnet.availability.expressions import Expression
from remusnet.availability.importance import Importance
from remusnet.availability.measures import Measure
from remusnet.availability.simulation import Chunk
from remusnet.availability.stackcode import NotCompilable
from remusnet.availability.unfolding import Net
from remusnet.errors import InvalidInput

_STAGE: Final = 50_000
_SEEN: Final = 30
_MOST_TRIALS: Final = 1_000_000
_AT_THE_TOP: Final = 8
"""How often the event itself is tried: what it takes to get there costs far more."""


class Splitting(Compiled):
    """A run that multiplies at the levels of ``nearness``, ``trials`` at each (from level 1 on).

    Raises as `Simulation` does, and InvalidInput for a net that only the slow way plays.
    """

    def __init__(
        self,
        net: Net,
        measures: Sequence[Measure],
        seed: Seed,
        nearness: Importance,
        trials: Sequence[int],
    ) -> None:
        try:
            made = tables(net, measures, nearness.level)
        except NotCompilable:
            raise InvalidInput(
                f"net {net.name}: rare events cannot be split: an expression computes with texts"
            ) from None
        super().__init__(made, seed)
        at = np.array([1, *trials], np.int64)
        self._nearness = nearness
        self._arrays["trials"] = at
        self._arrays["weights"] = 1.0 / np.cumprod(at)
        self._arrays["crossings"] = np.zeros(len(at), np.int64)
        self._frames()
        start = tuple(self._arrays["marking"].tolist())
        self._run["top"] = len(trials)
        self._run["level"] = max(0, min(len(trials), int(nearness.level.value(start))))
        self._run["weight"] = self._arrays["weights"][self._run["level"]]

    @property
    def crossings(self) -> tuple[int, ...]:
        """How often each level, from level 1 on, was entered from below."""
        return tuple(self._arrays["crossings"][1:].tolist())

    def cycles(self, count: int, most_events: int, group: int = 1) -> list[Chunk]:
        """None: a run that multiplies is cut into batches."""
        del count, most_events, group
        return []

    def _advance(self, horizon: float, most: int, *, renewing: bool = False) -> None:
        while True:
            kernel.split(self._run, self._rng, horizon, most)
            if not self._grown():
                return

    def _expression(self, at: int) -> Expression | None:
        return self._nearness.level if at == len(self.net.modes) else super()._expression(at)

    def _frames(self) -> None:
        """Room for the states that trials are started from, one for each level."""
        arrays, depth = self._arrays, len(self._arrays["trials"])
        arrays["frames"] = np.zeros(depth, layout.FRAME)
        for name in ("marking", "times", "clocks", "spans", "timers"):
            kept = arrays[name]
            arrays[f"kept_{name}"] = np.zeros(depth * len(kept), kept.dtype)
        self._run = linked(arrays)

    def _grow(self) -> None:
        depth, frames = len(self._arrays["trials"]), self._arrays["frames"]
        old = {name: self._arrays[f"kept_{name}"] for name in ("times", "clocks", "spans")}
        size = len(self._arrays["times"])
        super()._grow()
        timers, marking = self._arrays["kept_timers"], self._arrays["kept_marking"]
        self._frames()
        self._arrays |= {"frames": frames, "kept_timers": timers, "kept_marking": marking}
        for name, kept in old.items():
            rows = self._arrays[f"kept_{name}"].reshape(depth, 2 * size)
            rows[:, :size] = kept.reshape(depth, size)
        # A frame's own free list ends where the clocks did: it gets the new ones as well.
        spare = self._arrays["kept_times"].reshape(depth, 2 * size)
        spare[:, size:] = np.inf
        spans = self._arrays["kept_spans"].reshape(depth, 2 * size)
        spans["next"][:, size:] = self._arrays["spans"]["next"][size:]
        for row, frame in zip(spans, frames, strict=True):
            row["next"][-1] = frame["free"]
            frame["free"] = size
        self._run = linked(self._arrays)


def trials_for(net: Net, nearness: Importance, seed: Seed, most_events: int) -> tuple[int, ...]:
    """How often to try at each level: about as often as it takes to reach the next one.

    Found level by level in runs of their own, so that they do not depend on what the answer shows.
    """
    root = np.random.default_rng(seed)
    trials, stage, spent = [1] * nearness.top, _STAGE, 0
    for level in range(nearness.top - 1):
        while spent < most_events:
            run = Splitting(net, [], root.spawn(1)[0], nearness, trials)
            run.firings(stage)
            spent += run.events
            here, beyond = run.crossings[level : level + 2]
            if beyond >= _SEEN:
                trials[level] = max(1, min(_MOST_TRIALS, here * trials[level] // beyond))
                break
            if here < _SEEN:
                stage *= 4
            else:
                trials[level] = min(_MOST_TRIALS, trials[level] * 8)
    trials[-1] = _AT_THE_TOP
    return tuple(trials)

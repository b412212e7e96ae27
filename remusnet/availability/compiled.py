"""The fast way to play a net: `Simulation`'s steps and numbers, by a kernel that numba compiles.

Which nets it plays: all whose expressions compute with numbers, and whose times have one of the
distributions that ship. `player` chooses; without numba every net goes the slow way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from remusnet.availability import kernel, layout
from remusnet.availability.arrays import Tables, linked, rank
from remusnet.availability.drawing import Seed
from remusnet.availability.expressions import Expression
from remusnet.availability.memo import MOST_CLOCKS, Memo
from remusnet.availability.simulation import Chunk, dead
from remusnet.availability.states import endless, unbounded
from remusnet.errors import InvalidInput

_NEVER = np.iinfo(np.int64).max
_MOST_CLOCKS = 50_000_000


class Compiled:
    """A run of the net of ``tables`` from its initial marking. Raises as `Simulation` does.

    ``memo``: what another run of these tables has learnt.
    """

    def __init__(self, tables: Tables, seed: Seed, memo: Memo | None = None) -> None:
        self.net = tables.net
        self._tables = tables
        self._rng = np.random.default_rng(seed)
        self._arrays = tables.arrays()
        self._run = linked(self._arrays)
        kernel.begin(self._run, self._rng)
        while self._grown():
            kernel.advance(self._run, self._rng, np.inf, 0, False)
        self._arrays["renewal"][:] = self._arrays["marking"]
        self._run["differing"], self._run["anew"] = 0, True
        self._seen()
        self._chunk(0.0)
        self._memo: Memo | None = None
        if not tables.kinds["infinite"].any() and len(self._arrays["timers"]) <= MOST_CLOCKS:
            self._memo = memo or Memo(tables.net, tables.asked, tables.expressions)
            self._arrays |= self._memo.arrays
            self._run = linked(self._arrays)

    def anew(self, seed: Seed) -> Compiled:
        """Another run of the same net, which knows what this one has learnt."""
        memo = None if self._memo is None else self._memo.copied()
        return Compiled(self._tables, seed, memo)

    @property
    def events(self) -> int:
        """The firings of timed transitions so far."""
        return int(self._run["events"])

    def batches(self, count: int, length: float) -> list[Chunk]:
        """Run ``count`` times ``length`` seconds."""
        chunks = []
        self._run["anew"] = False
        for _ in range(count):
            self._advance(float(self._run["now"]) + length, _NEVER)
            chunks.append(self._chunk(length))
        return chunks

    def firings(self, count: int) -> Chunk:
        """Run ``count`` firings of timed transitions."""
        self._run["anew"] = False
        start = float(self._run["now"])
        self._advance(np.inf, self.events + count)
        return self._chunk(float(self._run["now"]) - start)

    def cycles(self, count: int, most_events: int, group: int = 1) -> list[Chunk]:
        """Run ``count`` times ``group`` cycles, or fewer where that takes ``most_events``.

        A renewal is the return to the first tangible marking with every clock new.
        """
        goal = self.events + most_events
        if not self._run["anew"]:  # a cycle that was left half way
            self._advance(np.inf, goal, renewing=True)
        self._chunk(0.0)
        self._run["begun"], self._run["renewals"] = self._run["now"], 0
        measures = len(self._tables.measures)
        lengths = np.zeros(count)
        integrals = np.zeros((count, measures))
        changes = np.zeros((count, measures), np.int64)
        done = 0
        self._choose_memory()
        while True:
            run = self._run
            done = kernel.cycles(run, self._rng, done, group, goal, lengths, integrals, changes)
            if not self._grown():
                break
        columns = (lengths.tolist(), integrals.tolist(), changes.tolist())
        return [
            Chunk(length, tuple(integral), tuple(changed))
            for length, integral, changed in zip(*(each[:done] for each in columns), strict=True)
        ]

    def curves(
        self, times: Sequence[float], runs: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums over ``runs`` new runs of each measure's value at ``times``, and of its square.

        Both by time and measure. A net that dies stays as it is.
        """
        self._memo = None
        self._run["memory"], self._run["state"] = layout.NEVER, -1
        at, place = np.array(times, np.float64), np.array([0, -1])
        sums, squares = np.zeros((2, len(times), len(self._tables.measures)))
        initial = np.array(self.net.initial, np.int64)
        while True:
            kernel.curves(self._run, self._rng, initial, at, place, runs, sums, squares)
            if not self._grown():
                return sums, squares

    def _advance(self, horizon: float, most: int, *, renewing: bool = False) -> None:
        self._choose_memory()
        while True:
            kernel.advance(self._run, self._rng, horizon, most, renewing)
            if not self._grown():
                return

    def _seen(self) -> None:
        """Look at all measures that are expressions."""
        self._run["status"] = layout.GOOD
        for number, expression in enumerate(self._tables.expressions):
            if expression is not None:
                kernel.see(self._run, number)
                self._grown()

    def _chunk(self, length: float) -> Chunk:
        """What the measures have gathered since the last chunk; begins the next."""
        measures = len(self._tables.measures)
        integrals, changes = np.zeros(measures), np.zeros(measures, np.int64)
        kernel.taken(self._run, integrals, changes)
        return Chunk(length, tuple(integrals.tolist()), tuple(changes.tolist()))

    def _grown(self) -> bool:
        """Whether the kernel stopped for more clocks, and now has them. Raises what else it was."""
        status, net = int(self._run["status"]), self.net
        if status == layout.GOOD:
            return False
        if status == layout.UNKNOWN:
            self._learn()
            return True
        if self._run["state"] >= 0:
            kernel.recall(self._run)
        marking = tuple(self._arrays["marking"].tolist())
        if status == layout.GROW and len(self._arrays["times"]) < _MOST_CLOCKS:
            self._grow()
            return True
        if status == layout.DEAD:
            raise dead(net, marking)
        if status == layout.ENDLESS:
            at = int(self._run["recent_count"])
            recent = [int(self._arrays["recent"][k % layout.RECENT]) for k in range(at - 20, at)]
            raise endless(net, recent, marking)
        if status == layout.FAILED:
            raise self._failed(marking)
        raise unbounded(net, marking)

    def _learn(self) -> None:
        """Tell the kernel what it asked for: which marking this is, or what a firing leads to."""
        memo, run = self._memo, self._run
        assert memo is not None
        if run["state"] < 0:
            run["state"] = memo.number(tuple(self._arrays["marking"].tolist()))
        else:
            memo.learn(int(run["state"]), int(run["at"]))
        self._arrays |= memo.arrays
        self._run = linked(self._arrays)
        self._choose_memory()

    def _choose_memory(self) -> None:
        """Learn as long as that pays; then what is known is known."""
        if self._memo is not None:
            if self._run["usual"] < 0:
                renewal = tuple(self._arrays["renewal"].tolist())
                self._run["usual"] = self._memo.number(renewal)
                self._arrays |= self._memo.arrays
                self._run = linked(self._arrays)
            pays = self._memo.pays(self.events)
            self._run["memory"] = layout.LEARNING if pays else layout.LEARNT

    def _failed(self, marking: tuple[int, ...]) -> InvalidInput:
        """What the expression says that the kernel could not compute."""
        expression = self._expression(int(self._run["at"]))
        assert expression is not None
        try:
            expression.value(marking)
        except InvalidInput as error:
            return error
        raise AssertionError("the kernel stopped at an expression that has a value")

    def _expression(self, at: int) -> Expression | None:
        """The measure's, below 0, or the mode's guard."""
        return self._tables.expressions[-1 - at] if at < 0 else self.net.modes[at].guard

    def _grow(self) -> None:
        """Twice as many clocks."""
        old = self._arrays
        size = len(old["times"])
        for name in ("times", "clocks", "spans"):
            self._arrays[name] = np.concatenate([old[name], np.zeros_like(old[name])])
        self._arrays["times"][size:] = np.inf
        after = self._arrays["spans"]["next"]
        after[size:] = np.arange(size + 1, 2 * size + 1)
        after[-1] = -1
        if 2 * size > layout.SCANNED:
            rank(self._arrays)
        self._run = linked(self._arrays)
        self._run["free"] = size
        kernel.arrange(self._run)

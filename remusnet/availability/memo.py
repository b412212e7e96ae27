"""What a firing leads to, remembered: for nets that come back to few markings.

All that the kernel would find out step by step (which immediate modes fire, which clocks start and
stop, what measures come to) follows from the marking before and the clock that rings, but for the
choices by weight. So it is found out once, here, and kept as a tree of those choices.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from remusnet.availability import layout
from remusnet.availability.expressions import Expression
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.net import Memory
from remusnet.availability.simulation import neighbours
from remusnet.availability.states import Tangible, fired
from remusnet.availability.unfolding import Net
from remusnet.errors import InvalidInput

MOST_CLOCKS: Final = 256
_MOST_MARKINGS: Final = 4096
_MOST_LEARNT: Final = 50_000
# To learn what a firing leads to takes as long as some hundred of them.
_AT_FIRST: Final = 200
_WORTH: Final = 100
_LONGEST_WAY: Final = 100
_MOST_NODES: Final = 10_000


class _TooMuch(Exception):
    """A firing has too many outcomes to remember, or one that fails."""


class Memo:
    """Nodes of the trees, as `layout.ARRAYS` has them, and the markings that they lead to."""

    def __init__(
        self, net: Net, measures: Sequence[Measure], expressions: Sequence[Expression | None]
    ) -> None:
        self._net, self._expressions = net, expressions
        self._truths = [each.kind == MeasureKind.PROBABILITY for each in measures]
        modes = net.modes
        self._timed = [i for i, each in enumerate(modes) if each.distribution is not None]
        self._timer = {i: k for k, i in enumerate(self._timed)}
        self._timed_after, self._immediate_after = neighbours(net)
        self._counting: list[list[int]] = [[] for _ in modes]
        for number, measure in enumerate(measures):
            if measure.kind == MeasureKind.RATE:
                for i in net.modes_of(measure.text):
                    self._counting[i].append(number)
        self._numbers: dict[Tangible, int] = {}
        self._markings: list[Tangible] = []
        self._learnt = 0
        self._nodes: list[int] = []
        self._shares: list[float] = []
        self.arrays: dict[str, NDArray[Any]] = {
            "edges": np.full(64 * len(self._timed), layout.UNLEARNT, np.int64),
            "nodes": np.zeros(1024, np.int64),
            "shares": np.zeros(64),
            "known": np.zeros(64 * len(net.slots), np.int64),
            "seen": np.zeros(64 * len(measures)),
        }

    def copied(self) -> Memo:
        """All that is known, to go on from elsewhere."""
        other = copy.copy(self)
        other._numbers, other._markings = dict(self._numbers), list(self._markings)
        other._nodes, other._shares = list(self._nodes), list(self._shares)
        other.arrays = {name: array.copy() for name, array in self.arrays.items()}
        return other

    def pays(self, events: int) -> bool:
        """Whether to learn on, after so many firings: not where each one leads to something new."""
        few = len(self._markings) < _MOST_MARKINGS
        return few and self._learnt < min(_MOST_LEARNT, _AT_FIRST + events // _WORTH)

    def marking(self, number: int) -> Tangible:
        """The marking of that number."""
        return self._markings[number]

    def number(self, marking: Tangible) -> int:
        """The number of a marking. Raises InvalidInput where a measure fails there."""
        found = self._numbers.get(marking)
        if found is not None:
            return found
        values = [
            0.0
            if each is None
            else float(bool(each.value(marking)) if truth else each.value(marking))
            for each, truth in zip(self._expressions, self._truths, strict=True)
        ]
        found = self._numbers[marking] = len(self._markings)
        self._markings.append(marking)
        self._put("edges", found * len(self._timed), [layout.UNLEARNT] * len(self._timed))
        self._put("known", found * len(marking), marking)
        self._put("seen", found * len(values), values)
        return found

    def learn(self, number: int, timer: int) -> None:
        """What follows when the clock of that ``timer`` rings in marking ``number``."""
        self._learnt += 1
        i, before = self._timed[timer], self._markings[number]
        nodes, shares = len(self._nodes), len(self._shares)
        try:
            root = self._node(before, i, fired(self._net.modes[i], before), [i], set(), nodes)
        except (_TooMuch, InvalidInput):  # the kernel finds out, and says what is wrong
            del self._nodes[nodes:], self._shares[shares:]
            root = layout.TOO_MUCH
        self._put("nodes", nodes, self._nodes[nodes:])
        self._put("shares", shares, self._shares[shares:])
        self.arrays["edges"][number * len(self._timed) + timer] = root

    def _node(
        self,
        before: Tangible,
        i: int,
        marking: Tangible,
        way: list[int],
        enabled: set[int],
        first: int,
    ) -> int:
        """The node of ``marking``, on the ``way`` of modes that have fired since ``before``."""
        modes = self._net.modes
        enabled = set(enabled)
        while True:
            if len(way) > _LONGEST_WAY or len(self._nodes) - first > _MOST_NODES:
                raise _TooMuch
            for each in self._immediate_after[way[-1]]:
                (enabled.add if modes[each].degree(marking) else enabled.discard)(each)
            if not enabled:
                return self._leaf(before, i, marking, way)
            top = max(modes[each].priority for each in enabled)
            options = sorted(each for each in enabled if modes[each].priority == top)
            if len(options) > 1:
                break
            marking = fired(modes[options[0]], marking)
            way = [*way, options[0]]
        total = 0.0
        for each in options:
            total += modes[each].weight
        share = len(self._shares)
        self._shares += [total, *(modes[each].weight for each in options)]
        children = [
            self._node(before, i, fired(modes[each], marking), [*way, each], enabled, first)
            for each in options
        ]
        self._nodes += [len(options), share, *children]
        return len(self._nodes) - len(children) - 2

    def _leaf(self, before: Tangible, i: int, after: Tangible, way: list[int]) -> int:
        number = self.number(after)
        actions = []
        for each in sorted({k for mode in way for k in self._timed_after[mode]}):
            mode = self._net.modes[each]
            runs = each != i and mode.degree(before) > 0
            wanted = mode.degree(after) > 0
            if wanted and not runs:
                actions.append(4 * self._timer[each] + layout.STARTS)
            elif runs and not wanted:
                keeps = mode.memory == Memory.AGE
                how = layout.HALTS if keeps else layout.ENDS
                actions.append(4 * self._timer[each] + how)
        counts = [number for mode in way for number in self._counting[mode]]
        self._nodes += [0, number, len(actions), len(counts), *actions, *counts]
        return len(self._nodes) - 4 - len(actions) - len(counts)

    def _put(self, name: str, at: int, values: Sequence[float]) -> None:
        """Write ``values``, into a longer array if they don't fit."""
        array = self.arrays[name]
        if at + len(values) > len(array):
            fresh = np.zeros(2 * (at + len(values)), array.dtype)
            fresh[: len(array)] = array
            array = self.arrays[name] = fresh
        array[at : at + len(values)] = values

"""The tangible markings that a net reaches, vanishing ones eliminated on the way.

A marking is vanishing while an immediate transition is enabled in it; no time passes there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from remusnet.availability.unfolding import Mode, Net
from remusnet.errors import InvalidInput

Tangible = tuple[int, ...]

MOST_STATES = 200_000
_MOST_VANISHING = 2_000
_MOST_TOKENS = 10_000
_DEEPEST = 200


class _LoopedBack(Exception):
    """A vanishing marking leads back to one on the way to it."""


class TooManyStates(Exception):
    """The state space is larger than was asked for; the net may still be simulated."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A way from a marking through vanishing ones: ``ends`` by state with their probability.

    ``fired``: by mode, how often an immediate transition fires on the way, as an expectation.
    """

    ends: Mapping[int, float]
    fired: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Step:
    """A timed mode, enabled ``degree`` times in a state, and where its firing leads."""

    mode: int
    degree: int
    passage: Passage


@dataclass(frozen=True, slots=True)
class StateSpace:
    """``states``: tangible markings; ``steps`` of each; ``start``: where the net begins."""

    net: Net
    states: tuple[Tangible, ...]
    steps: tuple[tuple[Step, ...], ...]
    start: Mapping[int, float]


def explored(net: Net, most: int = MOST_STATES) -> StateSpace:
    """All states that ``net`` reaches.

    Raises InvalidInput for a loop of immediate transitions that never ends, for a place that
    gathers tokens without bound, and for a guard that fails; TooManyStates beyond ``most``.
    """
    return _Exploration(net, most).run()


def chosen(net: Net, immediate: list[int], marking: Tangible) -> list[tuple[int, float]]:
    """The immediate modes that may fire in ``marking``, with their probabilities."""
    enabled = [i for i in immediate if net.modes[i].degree(marking)]
    if not enabled:
        return []
    top = max(net.modes[i].priority for i in enabled)
    first = [i for i in enabled if net.modes[i].priority == top]
    total = sum(net.modes[i].weight for i in first)
    return [(i, net.modes[i].weight / total) for i in first]


def fired(mode: Mode, marking: Tangible) -> Tangible:
    """``marking`` after ``mode`` has fired."""
    after = list(marking)
    for slot, by in mode.change:
        after[slot] += by
    return tuple(after)


def endless(net: Net, modes: list[int], marking: Tangible) -> InvalidInput:
    """The error for immediate transitions that fire for ever."""
    names = ", ".join(dict.fromkeys(net.modes[i].name for i in modes))
    return InvalidInput(
        f"net {net.name}: a vanishing loop: the immediate transitions {names} "
        f"fire for ever; it begins with {net.shown(marking)}"
    )


def unbounded(net: Net, marking: Tangible) -> InvalidInput:
    """The error for a place that gathers tokens."""
    slot = int(np.argmax(marking))
    feeding = ", ".join(
        dict.fromkeys(
            mode.transition
            for mode in net.modes
            if any(s == slot and by > 0 for s, by in mode.change)
        )
    )
    return InvalidInput(
        f"net {net.name}: place {net.slots[slot]} is unbounded: it has {marking[slot]} tokens "
        f"and more to come; {feeding} put them there"
    )


class _Exploration:
    def __init__(self, net: Net, most: int) -> None:
        self.net, self.most = net, most
        self.timed = [i for i, mode in enumerate(net.modes) if mode.distribution is not None]
        self.immediate = [i for i, mode in enumerate(net.modes) if mode.distribution is None]
        self.numbers: dict[Tangible, int] = {}
        self.states: list[Tangible] = []
        self.passages: dict[Tangible, Passage] = {}
        self.open: set[Tangible] = set()

    def run(self) -> StateSpace:
        start = self._passage(self.net.initial)
        steps: list[tuple[Step, ...]] = []
        while len(steps) < len(self.states):
            steps.append(tuple(self._steps(self.states[len(steps)])))
        return StateSpace(self.net, tuple(self.states), tuple(steps), start.ends)

    def _steps(self, marking: Tangible) -> Iterator[Step]:
        for i in self.timed:
            degree = self.net.modes[i].degree(marking)
            if degree:
                yield Step(i, degree, self._passage(fired(self.net.modes[i], marking)))

    def _number(self, marking: Tangible) -> int:
        number = self.numbers.get(marking)
        if number is None:
            if max(marking, default=0) > _MOST_TOKENS:
                raise unbounded(self.net, marking)
            if len(self.states) >= self.most:
                raise TooManyStates(f"net {self.net.name}: more than {self.most} states")
            number = self.numbers[marking] = len(self.states)
            self.states.append(marking)
        return number

    def _passage(self, marking: Tangible) -> Passage:
        if marking in self.numbers:
            return Passage({self.numbers[marking]: 1.0}, {})
        known = self.passages.get(marking)
        if known is None:
            options = chosen(self.net, self.immediate, marking)
            if not options:
                return Passage({self._number(marking): 1.0}, {})
            known = self.passages[marking] = self._onwards(marking, options)
        return known

    def _onwards(self, marking: Tangible, options: list[tuple[int, float]]) -> Passage:
        """The passage from a vanishing marking: the mixture of its successors', if none loops."""
        if marking in self.open or len(self.open) > _DEEPEST:
            raise _LoopedBack
        self.open.add(marking)
        ends: dict[int, float] = {}
        counts: dict[int, float] = {}
        try:
            for i, share in options:
                inner = self._passage(fired(self.net.modes[i], marking))
                counts[i] = counts.get(i, 0.0) + share
                for end, chance in inner.ends.items():
                    ends[end] = ends.get(end, 0.0) + share * chance
                for mode, times in inner.fired.items():
                    counts[mode] = counts.get(mode, 0.0) + share * times
        except _LoopedBack:
            if len(self.open) > 1:
                raise  # the outermost marking sees the whole loop
            return self._through(marking)
        finally:
            self.open.discard(marking)
        return Passage(ends, counts)

    def _through(self, entry: Tangible) -> Passage:
        """Solve the Markov chain of the vanishing markings behind ``entry``."""
        vanishing: dict[Tangible, int] = {entry: 0}
        order = [entry]
        options: list[list[tuple[int, float, Tangible]]] = []
        tangible: set[Tangible] = set()
        while len(options) < len(order):
            marking = order[len(options)]
            if max(marking) > _MOST_TOKENS or len(order) > _MOST_VANISHING:
                raise endless(self.net, [each[0] for row in options[-20:] for each in row], entry)
            row = [
                (i, share, fired(self.net.modes[i], marking))
                for i, share in chosen(self.net, self.immediate, marking)
            ]
            options.append(row)
            for _, _, after in row:
                if after in vanishing or after in tangible:
                    continue
                if chosen(self.net, self.immediate, after):
                    vanishing[after] = len(order)
                    order.append(after)
                else:
                    tangible.add(after)
        visits = self._visits(order, vanishing, options, entry)
        ends: dict[int, float] = {}
        counts: dict[int, float] = {}
        for times, row in zip(visits, options, strict=True):
            for i, share, after in row:
                counts[i] = counts.get(i, 0.0) + times * share
                if after in tangible:
                    number = self._number(after)
                    ends[number] = ends.get(number, 0.0) + times * share
        return Passage(ends, counts)

    def _visits(
        self,
        order: list[Tangible],
        vanishing: Mapping[Tangible, int],
        options: list[list[tuple[int, float, Tangible]]],
        entry: Tangible,
    ) -> list[float]:
        """How often each vanishing marking is passed, as an expectation."""
        if len(order) == 1 and all(after != entry for _, _, after in options[0]):
            return [1.0]
        leaving = self._leaving(vanishing, options)
        stuck = [n for n in range(len(order)) if n not in leaving]
        if stuck:
            raise endless(
                self.net, [each[0] for n in stuck for each in options[n]], order[stuck[0]]
            )
        matrix = np.eye(len(order))
        for n, row in enumerate(options):
            for _, share, after in row:
                if after in vanishing:
                    matrix[vanishing[after], n] -= share
        first = np.zeros(len(order))
        first[0] = 1.0
        return [float(each) for each in np.linalg.solve(matrix, first)]

    @staticmethod
    def _leaving(
        vanishing: Mapping[Tangible, int], options: list[list[tuple[int, float, Tangible]]]
    ) -> set[int]:
        """The vanishing markings from which some way leads out."""
        before: dict[int, list[int]] = {}
        found: list[int] = []
        for n, row in enumerate(options):
            for _, _, after in row:
                if after in vanishing:
                    before.setdefault(vanishing[after], []).append(n)
                else:
                    found.append(n)
        leaving = set(found)
        while found:
            for n in before.get(found.pop(), ()):
                if n not in leaving:
                    leaving.add(n)
                    found.append(n)
        return leaving

"""A net played event by event: clocks in a heap, one firing looks at its neighbours only.

The cost of a firing grows with the logarithm of the number of clocks, not with the net. Immediate
transitions fire first; clocks look at the marking when none is enabled any more.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from remusnet.availability.distributions import Distribution, Exponential, Uniform
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.net import Memory
from remusnet.availability.states import endless, unbounded
from remusnet.availability.unfolding import Mode, Net
from remusnet.errors import InvalidInput

_MOST_IMMEDIATE = 10_000
_MOST_TOKENS = 1_000_000
_DRAWN_AT_ONCE = 512
_CHECKED_EVERY = 8192


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a run: its ``length`` in s, the integral of each measure, and its changes.

    Of a rate the integral is the number of firings.
    """

    length: float
    integrals: tuple[float, ...]
    changes: tuple[int, ...]


class Simulation:
    """A run of ``net`` from its initial marking; the same ``seed`` gives the same run.

    Raises InvalidInput, here or when it runs: for a measure that names nothing, a vanishing loop,
    an unbounded place, a guard that fails, a net in which nothing happens any more.
    """

    def __init__(self, net: Net, measures: Sequence[Measure], seed: int) -> None:
        self.net = net
        self.events = 0
        self._now = 0.0
        self._serial = 0
        self._heap: list[tuple[float, int, int]] = []
        modes = net.modes
        rng = np.random.default_rng(seed)
        self._marking = list(net.initial)
        self._chance = _drawing(Uniform(0.0, 1.0), rng)
        self._draw = [
            None if each.distribution is None else _drawing(each.distribution, rng)
            for each in modes
        ]
        self._clocks: list[dict[int, float]] = [{} for _ in modes]
        self._ages: list[list[float]] = [[] for _ in modes]
        self._drawn_at = [0.0] * len(modes)
        self._exponential = [isinstance(each.distribution, Exponential) for each in modes]
        self._keeps_age = [each.memory == Memory.AGE for each in modes]
        self._degree = [_degree(each) for each in modes]
        self._resampled = [
            i
            for i, each in enumerate(modes)
            if each.memory == Memory.RESAMPLE and each.distribution and not self._exponential[i]
        ]
        self._timed_after, self._immediate_after = _neighbours(net)
        self._immediate = [i for i, each in enumerate(modes) if each.distribution is None]
        self._measured(measures)
        touched = self._settle(set(self._immediate), set(range(len(modes))))
        self._look(i for i in touched if modes[i].distribution is not None)
        self._renewal = list(self._marking)
        self._anew = True
        for number, function in enumerate(self._functions):
            if function is not None:
                self._see(number)
        self._chunk(0.0)

    def batches(self, count: int, length: float) -> list[Chunk]:
        """Run ``count`` times ``length`` seconds."""
        chunks = []
        self._anew = False
        for _ in range(count):
            end = self._now + length
            heap, clocks = self._heap, self._clocks
            while heap and heap[0][0] <= end:
                time, serial, mode = heapq.heappop(heap)
                if serial in clocks[mode]:
                    self._fire(time, serial, mode)
            self._alive()
            self._now = end
            chunks.append(self._chunk(length))
        return chunks

    def firings(self, count: int) -> Chunk:
        """Run ``count`` firings of timed transitions."""
        self._anew = False
        start, goal = self._now, self.events + count
        while self.events < goal:
            self._next()
        return self._chunk(self._now - start)

    def cycles(self, count: int, most_events: int) -> list[Chunk]:
        """Run ``count`` cycles between renewals, or fewer where that takes ``most_events``.

        A renewal is the return to the first tangible marking with every clock new.
        """
        chunks: list[Chunk] = []
        goal = self.events + most_events
        while not self._anew and self.events < goal:  # a cycle that was left half way
            self._next()
            self._anew = self.renewed()
        self._chunk(0.0)
        start = self._now
        while len(chunks) < count and self.events < goal:
            self._next()
            self._anew = self.renewed()
            if self._anew:
                chunks.append(self._chunk(self._now - start))
                start = self._now
        return chunks

    def renewed(self) -> bool:
        """Whether the last firing has begun the net anew."""
        if self._marking != self._renewal:
            return False
        for mode, clocks in enumerate(self._clocks):
            if self._ages[mode]:
                return False
            if clocks and not self._exponential[mode] and self._drawn_at[mode] != self._now:
                return False
            if len(clocks) > 1 and not self._exponential[mode]:
                return False
        return True

    def _next(self) -> None:
        heap, clocks = self._heap, self._clocks
        while heap:
            time, serial, mode = heapq.heappop(heap)
            if serial in clocks[mode]:
                self._fire(time, serial, mode)
                return
        self._alive()

    def _alive(self) -> None:
        if not self._heap:
            raise InvalidInput(
                f"net {self.net.name}: a dead net: no transition is enabled "
                f"with {self.net.shown(self._marking)}"
            )

    def _fire(self, time: float, serial: int, mode: int) -> None:
        self._now = time
        self.events += 1
        del self._clocks[mode][serial]
        marking = self._marking
        for slot, by in self.net.modes[mode].change:
            marking[slot] += by
        for measure in self._counting[mode]:
            self._integral[measure] += 1
            self._changes[measure] += 1
        after = self._immediate_after[mode]
        touched = self._settle(set(after), {mode}) if after else (mode,)
        if len(touched) == 1:
            looked: Sequence[int] = self._timed_after[mode]
            seen: Collection[int] = self._seeing[mode]
        else:
            looked = sorted({i for each in touched for i in self._timed_after[each]})
            seen = {number for each in touched for number in self._seeing[each]}
        self._look(looked)
        for number in seen:
            self._see(number)
        if self._resampled:
            self._resample()
        if not self.events % _CHECKED_EVERY:
            self._check()

    def _settle(self, pending: set[int], fired: set[int]) -> set[int]:
        """Fire immediate transitions until none is enabled; all modes that have fired."""
        modes, marking, degree = self.net.modes, self._marking, self._degree
        recent: list[int] = []
        while True:
            enabled = [i for i in pending if degree[i](marking)]
            if not enabled:
                return fired
            top = max(modes[i].priority for i in enabled)
            first = sorted(i for i in enabled if modes[i].priority == top)
            mode = first[0] if len(first) == 1 else self._weighed(first)
            for slot, by in modes[mode].change:
                marking[slot] += by
            for measure in self._counting[mode]:
                self._integral[measure] += 1
                self._changes[measure] += 1
            fired.add(mode)
            pending.update(self._immediate_after[mode])
            recent.append(mode)
            if len(recent) > _MOST_IMMEDIATE:
                raise endless(self.net, recent[-20:], tuple(marking))

    def _weighed(self, modes: list[int]) -> int:
        weights = [self.net.modes[i].weight for i in modes]
        at = self._chance() * sum(weights)
        for mode, weight in zip(modes, weights, strict=True):
            at -= weight
            if at < 0:
                return mode
        return modes[-1]

    def _look(self, modes: Iterable[int]) -> None:
        """Start and stop the clocks of ``modes``, as many as their enabling asks for."""
        marking = self._marking
        for mode in modes:
            clocks = self._clocks[mode]
            wanted = self._degree[mode](marking)
            while len(clocks) < wanted:
                self._start(mode)
            while len(clocks) > wanted:
                _, ends = clocks.popitem()
                if self._keeps_age[mode]:
                    self._ages[mode].append(ends - self._now)

    def _start(self, mode: int) -> None:
        ages = self._ages[mode]
        if ages:
            wait = ages.pop()
        else:
            draw = self._draw[mode]
            assert draw is not None
            wait = draw()
            self._drawn_at[mode] = self._now
        self._serial += 1
        self._clocks[mode][self._serial] = self._now + wait
        heapq.heappush(self._heap, (self._now + wait, self._serial, mode))

    def _resample(self) -> None:
        for mode in self._resampled:
            many = len(self._clocks[mode])
            if many and self._drawn_at[mode] != self._now:
                self._clocks[mode].clear()
                for _ in range(many):
                    self._start(mode)

    def _check(self) -> None:
        """What need not be looked at each time: tokens without bound, clocks long stopped."""
        if max(self._marking, default=0) > _MOST_TOKENS:
            raise unbounded(self.net, tuple(self._marking))
        live = sum(map(len, self._clocks))
        if len(self._heap) > 2 * live + 1000:
            self._heap = [each for each in self._heap if each[1] in self._clocks[each[2]]]
            heapq.heapify(self._heap)

    def _measured(self, measures: Sequence[Measure]) -> None:
        modes = self.net.modes
        self._integral = [0.0] * len(measures)
        self._changes = [0] * len(measures)
        self._value = [0.0] * len(measures)
        self._since = [0.0] * len(measures)
        self._functions: list[Callable[[Sequence[int]], float] | None] = []
        self._counting: list[list[int]] = [[] for _ in modes]
        self._seeing: list[list[int]] = [[] for _ in modes]
        for number, measure in enumerate(measures):
            if measure.kind == MeasureKind.RATE:
                self._functions.append(None)
                for mode in self.net.modes_of(measure.text):
                    self._counting[mode].append(number)
                continue
            seen = self.net.expression(measure.text, f"measure {measure.name}")
            holds = measure.kind == MeasureKind.PROBABILITY
            self._functions.append(_as_truth(seen.value) if holds else seen.value)
            for mode, each in enumerate(modes):
                if any(slot in seen.slots for slot, _ in each.change):
                    self._seeing[mode].append(number)

    def _see(self, number: int) -> None:
        function = self._functions[number]
        assert function is not None
        value = function(self._marking)
        if value != self._value[number]:
            self._integral[number] += self._value[number] * (self._now - self._since[number])
            self._since[number] = self._now
            self._value[number] = value
            self._changes[number] += 1

    def _chunk(self, length: float) -> Chunk:
        """What the measures have gathered since the last chunk; begins the next."""
        for number, function in enumerate(self._functions):
            if function is not None:
                self._integral[number] += self._value[number] * (self._now - self._since[number])
                self._since[number] = self._now
        chunk = Chunk(length, tuple(self._integral), tuple(self._changes))
        self._integral = [0.0] * len(self._functions)
        self._changes = [0] * len(self._functions)
        return chunk


def _as_truth(function: Callable[[Sequence[int]], float]) -> Callable[[Sequence[int]], float]:
    return lambda marking: 1.0 if function(marking) else 0.0


def _drawing(distribution: Distribution, rng: np.random.Generator) -> Callable[[], float]:
    """Times one by one, drawn many at once: numpy's cost is that of the call."""

    def forever() -> Iterator[float]:
        while True:
            yield from distribution.draw(rng, _DRAWN_AT_ONCE).tolist()

    return forever().__next__


def _degree(mode: Mode) -> Callable[[Sequence[int]], int]:
    """`Mode.degree` as one expression of its slots: it is what a run spends its time in."""
    if mode.guard is not None or mode.infinite:
        return mode.degree
    tests = [f"m[{slot}] >= {count}" for slot, count in mode.takes]
    tests += [
        f"{' + '.join(f'm[{slot}]' for slot in slots)} < {count}"
        for slots, count in mode.inhibitors
    ]
    text = f"lambda m: 1 if {' and '.join(tests) or 'True'} else 0"
    function: Callable[[Sequence[int]], int] = eval(text, {"__builtins__": {}})  # numbers only
    return function


def _neighbours(net: Net) -> tuple[list[list[int]], list[list[int]]]:
    """For each mode: the timed and the immediate ones whose enabling its firing may change."""
    looking: dict[int, list[int]] = {}
    for i, mode in enumerate(net.modes):
        for slot in mode.slots:
            looking.setdefault(slot, []).append(i)
    timed, immediate = [], []
    for i, mode in enumerate(net.modes):
        found = {each for slot, _ in mode.change for each in looking.get(slot, ())} | {i}
        timed.append(sorted(k for k in found if net.modes[k].distribution is not None))
        immediate.append(sorted(k for k in found if net.modes[k].distribution is None))
    return timed, immediate

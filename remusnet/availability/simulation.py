"""A net played event by event: clocks in a heap, one firing looks at its neighbours only.

The cost of a firing grows with the logarithm of the number of clocks, not with the net. Immediate
transitions fire first; clocks look at the marking when none is enabled any more.

This is the slow way, which plays every net. `remusnet.availability.compiled` plays most of them
many times as fast, and the same seed gives the same run.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from remusnet.availability.distributions import Exponential
from remusnet.availability.drawing import Seed, drawing
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.net import Memory
from remusnet.availability.states import endless, unbounded
from remusnet.availability.unfolding import Mode, Net
from remusnet.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a run: its ``length`` in s, the integral of each measure, and its changes.

    Of a rate the integral is the number of firings.
    """

    length: float
    integrals: tuple[float, ...]
    changes: tuple[int, ...]


class Player(Protocol):
    """What plays a net: `Simulation`, or `remusnet.availability.compiled.Compiled`."""

    @property
    def events(self) -> int:
        """The firings of timed transitions so far."""

    def batches(self, count: int, length: float) -> list[Chunk]:
        """Run ``count`` times ``length`` seconds."""

    def firings(self, count: int) -> Chunk:
        """Run ``count`` firings of timed transitions."""

    def cycles(self, count: int, most_events: int, group: int = 1) -> list[Chunk]:
        """Run ``count`` times ``group`` cycles, or fewer where that takes ``most_events``."""


class _Clock(NamedTuple):
    """A clock that runs: when it ``rings``, and when its time was ``drawn``."""

    rings: float
    drawn: float


class Simulation:
    """A run of ``net`` from its initial marking; the same ``seed`` gives the same run.

    Raises InvalidInput, here or when it runs: for a measure that names nothing, a vanishing loop,
    an unbounded place, a guard that fails, a net in which nothing happens any more.
    """

    def __init__(self, net: Net, measures: Sequence[Measure], seed: Seed) -> None:
        self.net = net
        self.events = 0
        self._now = 0.0
        self._serial = 0
        self._heap: list[tuple[float, int, int]] = []
        modes = net.modes
        # One that is given goes on with its stream, as numpy's does.
        rng = np.random.default_rng(seed)
        self._marking = list(net.initial)
        self._chance = rng.random
        self._draw = [
            None if each.distribution is None else drawing(each.distribution, rng) for each in modes
        ]
        self._clocks: list[dict[int, _Clock]] = [{} for _ in modes]
        self._live = 0
        self._ages: list[list[_Clock]] = [[] for _ in modes]
        self._exponential = [isinstance(each.distribution, Exponential) for each in modes]
        self._keeps_age = [each.memory == Memory.AGE for each in modes]
        self._degree = [_degree(each) for each in modes]
        self._resampled = [
            i
            for i, each in enumerate(modes)
            if each.memory == Memory.RESAMPLE and each.distribution and not self._exponential[i]
        ]
        self._timed_after, self._immediate_after = neighbours(net)
        self._enabled: list[int] = []
        self._most_immediate = most_immediate(net)
        self._most_tokens = most_tokens(net)
        self._measured(measures)
        self._settle((i for i, each in enumerate(modes) if each.distribution is None), set())
        self._look(i for i, each in enumerate(modes) if each.distribution is not None)
        if max(self._marking, default=0) > self._most_tokens:
            raise unbounded(net, tuple(self._marking))
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

    def cycles(self, count: int, most_events: int, group: int = 1) -> list[Chunk]:
        """Run ``count`` times ``group`` cycles, or fewer where that takes ``most_events``.

        A renewal is the return to the first tangible marking with every clock new.
        """
        chunks: list[Chunk] = []
        goal = self.events + most_events
        while not self._anew and self.events < goal:  # a cycle that was left half way
            self._next()
            self._anew = self.renewed()
        self._chunk(0.0)
        start, renewals = self._now, 0
        while len(chunks) < count and self.events < goal:
            self._next()
            self._anew = self.renewed()
            renewals += self._anew
            if renewals == group:
                chunks.append(self._chunk(self._now - start))
                start, renewals = self._now, 0
        return chunks

    def values_at(self, time: float) -> list[float]:
        """Run to ``time`` (s), if the net does not die before; each measure's value then."""
        while self._heap and self._heap[0][0] <= time:
            at, serial, mode = heapq.heappop(self._heap)
            if serial in self._clocks[mode]:
                self._fire(at, serial, mode)
        self._now = time
        return list(self._value)

    def renewed(self) -> bool:
        """Whether the last firing has begun the net anew."""
        if self._marking != self._renewal:
            return False
        for mode, clocks in enumerate(self._clocks):
            if self._ages[mode]:
                return False
            if not clocks or self._exponential[mode]:
                continue
            if len(clocks) > 1 or next(iter(clocks.values())).drawn != self._now:
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
        if not self._live:
            raise dead(self.net, self._marking)

    def _fire(self, time: float, serial: int, mode: int) -> None:
        self._now = time
        self.events += 1
        del self._clocks[mode][serial]
        self._live -= 1
        marking = self._marking
        for slot, by in self.net.modes[mode].change:
            marking[slot] += by
        for measure in self._counting[mode]:
            self._integral[measure] += 1
            self._changes[measure] += 1
        after = self._immediate_after[mode]
        touched = self._settle(after, {mode}) if after else (mode,)
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
        for each in touched:
            for slot, _ in self.net.modes[each].change:
                if marking[slot] > self._most_tokens:
                    raise unbounded(self.net, tuple(marking))
        if len(self._heap) > 2 * self._live + 1000:
            self._forget()

    def _settle(self, pending: Iterable[int], fired: set[int]) -> set[int]:
        """Fire immediate transitions until none is enabled; ``fired``, with all that have fired."""
        modes, marking, enabled = self.net.modes, self._marking, self._enabled
        self._refresh(pending)
        recent: list[int] = []
        while enabled:
            top = max(modes[i].priority for i in enabled)
            first = [i for i in enabled if modes[i].priority == top]
            mode = first[0] if len(first) == 1 else self._weighed(first)
            for slot, by in modes[mode].change:
                marking[slot] += by
            for measure in self._counting[mode]:
                self._integral[measure] += 1
                self._changes[measure] += 1
            fired.add(mode)
            self._refresh(self._immediate_after[mode])
            recent.append(mode)
            if len(recent) > self._most_immediate:
                raise endless(self.net, recent[-20:], tuple(marking))
        return fired

    def _refresh(self, modes: Iterable[int]) -> None:
        """Keep the immediate modes that are enabled, in order."""
        for mode in modes:
            holds = bool(self._degree[mode](self._marking))
            if holds == (mode in self._enabled):
                continue
            if holds:
                insort(self._enabled, mode)
            else:
                self._enabled.remove(mode)

    def _weighed(self, modes: list[int]) -> int:
        weights = [self.net.modes[i].weight for i in modes]
        total = 0.0  # not sum(), which rounds in another way since Python 3.12
        for weight in weights:
            total += weight
        at = self._chance() * total
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
                _, clock = clocks.popitem()
                self._live -= 1
                if self._keeps_age[mode]:
                    self._ages[mode].append(_Clock(clock.rings - self._now, clock.drawn))

    def _start(self, mode: int) -> None:
        ages = self._ages[mode]
        if ages:
            wait, drawn = ages.pop()
        else:
            draw = self._draw[mode]
            assert draw is not None
            wait, drawn = draw(), self._now
        self._serial += 1
        self._live += 1
        clock = _Clock(self._now + wait, drawn)
        self._clocks[mode][self._serial] = clock
        heapq.heappush(self._heap, (clock.rings, self._serial, mode))

    def _resample(self) -> None:
        for mode in self._resampled:
            clocks = self._clocks[mode]
            old = [serial for serial, clock in clocks.items() if clock.drawn != self._now]
            for serial in old:
                del clocks[serial]
            self._live -= len(old)
            for _ in old:
                self._start(mode)

    def _forget(self) -> None:
        """Take the clocks that were stopped long ago out of the heap."""
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


def simulated_curves(
    net: Net, measures: Sequence[Measure], seed: Seed, times: Sequence[float], runs: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Sums over ``runs`` new runs of each measure's value at ``times``, of its square; firings.

    Both sums by time and measure. A net that dies stays as it is.
    """
    sums, squares = np.zeros((2, len(times), len(measures)))
    rng, events = np.random.default_rng(seed), 0
    Simulation(net, measures, rng)  # the compiled way has begun a run before the first of these
    for _ in range(runs):
        run = Simulation(net, measures, rng)
        for at, time in enumerate(times):
            values = np.array(run.values_at(time))
            sums[at] += values
            squares[at] += values**2
        events += run.events
    return sums, squares, events


def _as_truth(function: Callable[[Sequence[int]], float]) -> Callable[[Sequence[int]], float]:
    return lambda marking: 1.0 if function(marking) else 0.0


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


def dead(net: Net, marking: Sequence[int]) -> InvalidInput:
    """The error for a marking in which nothing is enabled."""
    return InvalidInput(
        f"net {net.name}: a dead net: no transition is enabled with {net.shown(marking)}"
    )


def most_immediate(net: Net) -> int:
    """So many immediate firings at one moment are no accident any more."""
    return 10_000 + 20 * len(net.modes)


def most_tokens(net: Net) -> int:
    """A place with more than these gathers tokens without end."""
    return 1_000_000 + sum(net.initial)


def neighbours(net: Net) -> tuple[list[list[int]], list[list[int]]]:
    """The timed and the immediate modes whose enabling each mode's firing may change."""
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

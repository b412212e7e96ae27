"""A net and what is measured of it as arrays, for `remusnet.availability.kernel`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from remusnet.availability import layout
from remusnet.availability.distributions import (
    Deterministic,
    Distribution,
    Empirical,
    Erlang,
    Exponential,
    Lognormal,
    Uniform,
    Weibull,
)
from remusnet.availability.expressions import Expression
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.net import Memory
from remusnet.availability.simulation import most_immediate, most_tokens, neighbours
from remusnet.availability.stackcode import Codes, NotCompilable
from remusnet.availability.unfolding import Mode, Net

_MEMORIES: Final = {
    Memory.ENABLING: layout.ENABLING,
    Memory.AGE: layout.AGE,
    Memory.RESAMPLE: layout.RESAMPLE,
}
_LINE: Final = 128
"""Bytes: what processors fetch at once, which may be two lines."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What does not change while a net is played: `layout.ARRAYS` has their meaning."""

    net: Net
    asked: tuple[Measure, ...]
    expressions: tuple[Expression | None, ...]
    kinds: NDArray[Any]
    modes: NDArray[Any]
    links: NDArray[np.int32]
    numbers: NDArray[np.float64]
    resampled: NDArray[np.int64]
    measures: NDArray[Any]
    importance: tuple[int, int]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a new run, before anything has happened; ``run`` is its record."""
        modes = self.modes
        timed = np.flatnonzero(modes["timer"] >= 0)
        size = len(timed)
        if self.kinds["infinite"].any():
            size += layout.MATCH
        if size > min(len(timed), layout.SCANNED):  # full matches
            size += -size % layout.MATCH
        marking = np.array(self.net.initial, np.int64)
        sizes = {
            **dict.fromkeys(("times", "clocks", "spans"), size),
            **{name: len(modes) + 1 for name in ("enabled", "stamps", "touched", "flags")},
            "looked": len(timed) + 1,
            "recent": layout.RECENT,
            "stack": layout.MOST_STACK,
        }
        arrays = {
            name: np.zeros(sizes.get(name, 0), dtype) for name, dtype in layout.ARRAYS.items()
        }
        arrays |= {
            "kinds": self.kinds,
            "modes": modes,
            "links": self.links,
            "numbers": self.numbers,
        }
        arrays |= {"resampled": self.resampled, "measures": self.measures.copy()}
        arrays |= {"marking": marking, "renewal": marking.copy()}
        arrays["times"][:] = np.inf
        arrays["clocks"]["mode"][: len(timed)] = timed
        after = arrays["spans"]["next"]
        after[:] = np.arange(1, size + 1)
        after[-1:] = -1
        timers = arrays["timers"] = np.zeros(len(timed), layout.TIMER)
        timers["head"] = timers["aged"] = -1
        timers["mode"] = timed
        run = arrays["run"] = np.zeros(1, layout.RUN)
        run["weight"], run["state"], run["usual"] = 1.0, -1, -1
        run["free"] = len(timed) if size > len(timed) else -1
        run["most_immediate"] = most_immediate(self.net)
        run["most_tokens"] = most_tokens(self.net)
        run["changed"] = -1
        run["importance"], run["importance_end"] = self.importance
        run["slot_count"], run["mode_count"] = len(marking), len(modes)
        run["measure_count"], run["timer_count"] = len(self.measures), len(timed)
        run["resampled_count"] = len(self.resampled)
        if size > layout.SCANNED:
            rank(arrays)
        shared = ("kinds", "modes", "links", "numbers", "resampled")
        return {k: each if k in shared else _apart(each) for k, each in arrays.items()}


def _apart(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that shares no line of the processor's cache with anything else.

    Threads that write to one line wait for each other: two runs would take as long as one by one.
    """
    room = np.zeros(array.nbytes + 2 * _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    copied = room[first : first + array.nbytes].view(array.dtype)
    copied[:] = array
    return copied


def rank(arrays: dict[str, NDArray[Any]]) -> None:
    """Room for a tournament of the clocks, in which no clock has played yet."""
    stages, end, many = [], 0, len(arrays["times"])
    while many > 1:
        stages.append(end)
        many = -(-many // layout.MATCH)
        end += many + -many % layout.MATCH
    arrays["stages"] = np.array(stages, np.int64)
    arrays["soonest"] = np.full(end, np.inf)
    arrays["winners"] = np.zeros(end, np.int32)
    arrays["run"]["ranked"] = True


def linked(arrays: dict[str, NDArray[Any]]) -> Any:
    """The record of the run, with where its arrays are now."""
    run = arrays["run"][0]
    for name in layout.ARRAYS:
        run[name] = arrays[name].ctypes.data
    run["clock_count"], run["stage_count"] = len(arrays["times"]), len(arrays["stages"])
    return run


def tables(net: Net, measures: Sequence[Measure], importance: Expression | None = None) -> Tables:
    """The tables of ``net``.

    Raises NotCompilable for what only the slow way plays: an expression that computes with texts,
    a distribution that is none of those that ship. Raises InvalidInput as `Net.expression` does.
    """
    return _Builder(net).tables(measures, importance)


def _is_plain(mode: Mode) -> bool:
    """Whether tokens in one place are all that its enabling asks for."""
    return len(mode.takes) == 1 and not mode.inhibitors and mode.guard is None


def _home(mode: Mode) -> int:
    """The slot that those of a mode count from."""
    slots = [*mode.takes, *mode.change]
    return slots[0][0] if slots else 0


class _Builder:
    def __init__(self, net: Net) -> None:
        self._net = net
        self._links: list[int] = []
        self._numbers: list[float] = []
        self._codes = Codes(self._numbers)
        self._empirical: dict[tuple[float, ...], int] = {}
        self._kinds: list[tuple[object, ...]] = []
        self._rows: dict[tuple[object, ...], int] = {}
        self._modes = np.zeros(len(net.modes), layout.MODE)

    def tables(self, measures: Sequence[Measure], importance: Expression | None) -> Tables:
        modes = self._net.modes
        timed_after, immediate_after = neighbours(self._net)
        measured, expressions, seeing, counting = self._measured(measures)
        timer = 0
        for i, mode in enumerate(modes):
            home = _home(mode)
            lists = {
                "timed": [each - i for each in timed_after[i]],
                "immediate": [each - i for each in immediate_after[i]],
                "seeing": seeing[i],
                "counting": counting[i],
            }
            like = self._like(mode, home, lists)
            self._modes[i] = (like, home, -1 if mode.distribution is None else timer)
            timer += mode.distribution is not None
        level = (0, 0) if importance is None else self._put(self._codes.of(importance))
        resampled = [
            i
            for i, each in enumerate(modes)
            if each.memory == Memory.RESAMPLE
            and not isinstance(each.distribution, Exponential | None)
        ]
        return Tables(
            net=self._net,
            asked=tuple(measures),
            expressions=tuple(expressions),
            kinds=np.array(self._kinds, layout.KIND),
            modes=self._modes,
            links=np.array(self._links, np.int32),
            numbers=np.array(self._numbers, np.float64),
            resampled=np.array(resampled, np.int64),
            measures=measured,
            importance=level,
        )

    def _like(self, mode: Mode, home: int, lists: dict[str, list[int]]) -> int:
        """The number of the mode's kind: one that is known, where it has all the same."""
        plain = mode.takes[0][1] if _is_plain(mode) else 0
        guard = [] if mode.guard is None else self._codes.of(mode.guard)
        slots = guard[1::2]
        guard[1::2] = [
            slot - home if operation == layout.TOKENS else slot
            for operation, slot in zip(guard[::2], slots, strict=True)
        ]
        inhibitors: list[int] = []
        for asked, count in mode.inhibitors:
            inhibitors += [count, len(asked), *(slot - home for slot in asked)]
        lists |= {
            "takes": [each for slot, count in mode.takes for each in (slot - home, count)],
            "change": [each for slot, by in mode.change for each in (slot - home, by)],
            "inhibitors": inhibitors,
            "guard": guard,
        }
        kind, a, b = self._distribution(mode.distribution)
        key = (  # in the order of the fields
            *(a, b, mode.weight, mode.priority),
            *(kind, _MEMORIES[mode.memory], mode.infinite, plain),
            *(tuple(lists[name]) for name in layout.LISTS),
        )
        if key not in self._rows:
            self._rows[key] = len(self._kinds)
            places = [self._put(lists[name]) for name in layout.LISTS]
            self._kinds.append((*key[: -len(layout.LISTS)], *itertools.chain(*places)))
        return self._rows[key]

    def _put(self, values: Sequence[int]) -> tuple[int, int]:
        """Where ``values`` are in `links`: from, to before."""
        first = len(self._links)
        self._links.extend(values)
        return first, len(self._links)

    def _measured(
        self, measures: Sequence[Measure]
    ) -> tuple[NDArray[Any], list[Expression | None], list[list[int]], list[list[int]]]:
        """The measures' rows, their expressions, and by mode which it is seen and counted by."""
        modes = self._net.modes
        rows = np.zeros(len(measures), layout.MEASURE)
        expressions: list[Expression | None] = []
        seeing: list[list[int]] = [[] for _ in modes]
        counting: list[list[int]] = [[] for _ in modes]
        for number, measure in enumerate(measures):
            if measure.kind == MeasureKind.RATE:
                expressions.append(None)
                for i in self._net.modes_of(measure.text):
                    counting[i].append(number)
                continue
            expression = self._net.expression(measure.text, f"measure {measure.name}")
            expressions.append(expression)
            rows[number]["code"], rows[number]["code_end"] = self._put(self._codes.of(expression))
            rows[number]["truth"] = measure.kind == MeasureKind.PROBABILITY
            for i, mode in enumerate(modes):
                if any(slot in expression.slots for slot, _ in mode.change):
                    seeing[i].append(number)
        return rows, expressions, seeing, counting

    def _distribution(self, distribution: Distribution | None) -> tuple[int, float, float]:
        match distribution:
            case None:
                return layout.IMMEDIATE, 0.0, 0.0
            case Exponential(mean):
                return layout.EXPONENTIAL, mean, 0.0
            case Lognormal(_, sigma):
                return layout.LOGNORMAL, distribution.mu, sigma
            case Weibull(scale, shape):
                return layout.WEIBULL, scale, shape
            case Uniform(low, high):
                return layout.UNIFORM, low, high
            case Deterministic(mean):
                return layout.DETERMINISTIC, mean, 0.0
            case Erlang(mean, shape):
                return layout.ERLANG, mean / shape, shape
            case Empirical(values):
                if values not in self._empirical:
                    self._empirical[values] = len(self._numbers)
                    self._numbers.extend(sorted(values))
                return layout.EMPIRICAL, self._empirical[values], len(values)
        raise NotCompilable

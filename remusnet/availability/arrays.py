"""A net and what is measured of it as arrays, for `remusnet.availability.kernel`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True, slots=True)
class Tables:
    """What does not change while a net is played: `layout.ARRAYS` has their meaning."""

    net: Net
    asked: tuple[Measure, ...]
    expressions: tuple[Expression | None, ...]
    modes: NDArray[Any]
    links: NDArray[np.int64]
    numbers: NDArray[np.float64]
    resampled: NDArray[np.int64]
    measures: NDArray[Any]
    importance: tuple[int, int]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a new run, before anything has happened; ``run`` is its record."""
        modes = self.modes
        timed = np.flatnonzero(modes["timer"] >= 0)
        size = len(timed)
        if modes["infinite"].any():
            size += layout.MATCH
        if size > min(len(timed), layout.SCANNED):  # full matches
            size += -size % layout.MATCH
        marking = np.array(self.net.initial, np.int64)
        sizes = {
            **dict.fromkeys(("times", "clocks"), size),
            **{name: len(modes) + 1 for name in ("enabled", "stamps", "touched", "flags")},
            "looked": len(timed) + 1,
            "recent": layout.RECENT,
            "stack": layout.MOST_STACK,
        }
        arrays = {
            name: np.zeros(sizes.get(name, 0), dtype) for name, dtype in layout.ARRAYS.items()
        }
        arrays |= {"modes": modes, "links": self.links, "numbers": self.numbers}
        arrays |= {"resampled": self.resampled, "measures": self.measures.copy()}
        arrays |= {"marking": marking, "renewal": marking.copy()}
        arrays["times"][:] = np.inf
        clocks = arrays["clocks"]
        clocks["next"] = np.arange(1, size + 1)
        clocks["next"][-1:] = -1
        clocks["mode"][: len(timed)] = timed
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
        return arrays


def rank(arrays: dict[str, NDArray[Any]]) -> None:
    """Room for a tournament of the clocks, in which nobody has played yet."""
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


class _Builder:
    def __init__(self, net: Net) -> None:
        self._net = net
        self._links: list[int] = []
        self._numbers: list[float] = []
        self._codes = Codes(self._numbers)
        self._modes = np.zeros(len(net.modes), layout.MODE)

    def tables(self, measures: Sequence[Measure], importance: Expression | None) -> Tables:
        modes = self._net.modes
        timed_after, immediate_after = neighbours(self._net)
        measured, expressions, seeing, counting = self._measured(measures)
        timer = 0
        for i, mode in enumerate(modes):
            row = self._modes[i]
            row["timer"] = -1
            if mode.distribution is not None:
                row["timer"] = timer
                timer += 1
            self._mode(row, mode)
            self._list(row, "timed", timed_after[i])
            self._list(row, "immediate", immediate_after[i])
            self._list(row, "seeing", seeing[i])
            self._list(row, "counting", counting[i])
        level = (0, 0) if importance is None else self._code(importance)
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
            modes=self._modes,
            links=np.array(self._links, np.int64),
            numbers=np.array(self._numbers, np.float64),
            resampled=np.array(resampled, np.int64),
            measures=measured,
            importance=level,
        )

    def _mode(self, row: Any, mode: Mode) -> None:
        row["kind"], row["a"], row["b"] = self._distribution(mode.distribution)
        row["weight"], row["priority"] = mode.weight, mode.priority
        row["memory"], row["infinite"] = _MEMORIES[mode.memory], mode.infinite
        self._list(row, "takes", (each for pair in mode.takes for each in pair))
        self._list(row, "change", (each for pair in mode.change for each in pair))
        inhibitors: list[int] = []
        for slots, count in mode.inhibitors:
            inhibitors += [count, len(slots), *slots]
        self._list(row, "inhibitors", inhibitors)
        row["slot"] = -1
        if len(mode.takes) == 1 and not mode.inhibitors and mode.guard is None:
            row["slot"], row["count"] = mode.takes[0]  # all that its enabling asks for
        if mode.guard is not None:
            row["guard"], row["guard_end"] = self._code(mode.guard)

    def _list(self, row: Any, name: str, values: Iterable[int]) -> None:
        row[name] = len(self._links)
        self._links.extend(values)
        row[f"{name}_end"] = len(self._links)

    def _code(self, expression: Expression) -> tuple[int, int]:
        first = len(self._links)
        self._links.extend(self._codes.of(expression))
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
            rows[number]["code"], rows[number]["code_end"] = self._code(expression)
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
                first = len(self._numbers)
                self._numbers.extend(sorted(values))
                return layout.EMPIRICAL, first, len(values)
        raise NotCompilable

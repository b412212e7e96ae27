"""How long to simulate: a pilot decides, a run of that length answers.

The run's length does not depend on what the run shows: an interval that is looked at until it is
short enough is too short too often. The pilot's estimate of the variance is itself uncertain, so
the run is made longer by what that may be wrong; where it still falls short, it is run again,
longer. The pilot is a batch run's warm-up as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from remusnet.availability.intervals import Ratio, ratios
from remusnet.availability.measures import Estimate, Measure, MeasureKind, Method
from remusnet.availability.playing import player
from remusnet.availability.simulation import Chunk, Player
from remusnet.availability.unfolding import Net

MOST_EVENTS: Final = 20_000_000
BATCHES: Final = 32

_PILOT = 16_000
_FEWEST_CYCLES = 1_000
_LEAST_CHANGES = 200
# The variance of 32 batches is below its expectation by this factor once in ten times.
_SAFETY = 1.45
_AGAIN = 1.2
_MOST_RUNS = 4

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sampling:
    """``relative_error``: half the interval over the value, of a probability over its rarer side.

    ``most_events``: firings to spend; ``progress`` gets those done.
    """

    relative_error: float = 0.01
    seed: int = 1
    most_events: int = MOST_EVENTS
    progress: Progress | None = None


def simulated(net: Net, measures: Sequence[Measure], sampling: Sampling) -> tuple[Estimate, ...]:
    """The measures of ``net`` with their intervals. Raises InvalidInput as `Simulation` does."""
    runner = _Runner(player(net, measures, sampling.seed), measures, sampling)
    size, spent, tried = runner.pilot()
    safety = _SAFETY
    for _ in range(_MOST_RUNS):
        factor = max(1.0, min(runner.lacking(tried) * safety, runner.left / spent))
        size, spent = size * factor, spent * factor
        tried = runner.run(size)
        if runner.lacking(tried) <= 1 or runner.left < 2 * spent:
            break
        safety = _AGAIN
    return tuple(
        _estimate(measure, ratio, sampling.relative_error, runner)
        for measure, ratio in zip(measures, ratios(tried), strict=True)
    )


class _Runner:
    """Runs of a given size: so many cycles, or batches so long, as the net allows."""

    def __init__(self, simulation: Player, measures: Sequence[Measure], sampling: Sampling) -> None:
        self._simulation, self._measures, self._sampling = simulation, measures, sampling
        self.detail = ""
        tries = min(_PILOT, sampling.most_events // 8)
        start = simulation.cycles(tries, tries)
        self._renews = len(start) > max(10, tries // 400)
        if not self._renews:
            start = [simulation.firings(tries)]
        self._first = _FEWEST_CYCLES if self._renews else start[0].length / BATCHES

    @property
    def events(self) -> int:
        """The firings so far."""
        return self._simulation.events

    @property
    def left(self) -> float:
        """The firings that may still be spent."""
        return self._sampling.most_events - self.events

    def run(self, size: float) -> list[Chunk]:
        """So many cycles, or batches of that many seconds."""
        if self._renews:
            chunks = self._simulation.cycles(int(size), max(int(self.left), _PILOT))
            self.detail = f"{len(chunks)} regenerative cycles"
        else:
            chunks = self._simulation.batches(BATCHES, size)
            self.detail = f"{BATCHES} batches of {size:.4g} s"
        if self._sampling.progress is not None:
            self._sampling.progress(self.events)
        return chunks

    def pilot(self) -> tuple[float, float, list[Chunk]]:
        """A size at which every measure has changed often; what it spends, and what it showed."""
        size: float = self._first
        while True:
            before = self.events
            tried = self.run(size)
            spent = max(1, self.events - before)
            seen = min(each.changes for each in ratios(tried))
            if seen >= _LEAST_CHANGES or self.left < 4 * spent:
                return size, spent, tried
            size *= 2

    def lacking(self, chunks: Sequence[Chunk]) -> float:
        """How many times as long a run has to be for the asked error; below 1: it is reached."""
        return max(
            (each.half / (self._sampling.relative_error * _scale(measure, each))) ** 2
            if _scale(measure, each) and math.isfinite(each.half)
            else math.inf
            for measure, each in zip(self._measures, ratios(chunks), strict=True)
        )


def _scale(measure: Measure, ratio: Ratio) -> float:
    """What an error is relative to: of a probability, the rarer of yes and no."""
    if measure.kind == MeasureKind.PROBABILITY:
        return min(ratio.value, max(0.0, 1 - ratio.value))
    return abs(ratio.value)


def _estimate(measure: Measure, ratio: Ratio, relative_error: float, runner: _Runner) -> Estimate:
    share = measure.kind == MeasureKind.PROBABILITY
    scale = _scale(measure, ratio)
    told = ratio.changes > 0 and math.isfinite(ratio.half)
    low, high = ratio.value - ratio.half, ratio.value + ratio.half
    if measure.kind == MeasureKind.RATE:
        low = max(low, 0.0)
    if share:
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(
        name=measure.name,
        kind=measure.kind,
        value=ratio.value,
        low=low if told else None,
        high=high if told else None,
        rest=max(0.0, 1 - ratio.value) if share else None,
        method=Method.SIMULATION,
        detail=runner.detail,
        events=runner.events,
        reached=told and scale > 0 and ratio.half <= relative_error * scale,
    )

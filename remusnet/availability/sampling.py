"""How long to simulate: a pilot decides, a run of that length answers.

The run's length does not depend on what the run shows: an interval that is looked at until it is
short enough is too short too often. The pilot's estimate of the variance is itself uncertain, so
the run is made longer by what that may be wrong; where it still falls short, it is run again,
longer. The pilot is a batch run's warm-up as well.

A long run is played as `REPLICAS` that start anew, on all cores: always so many, so that the
number of cores changes no digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from remusnet.availability.drawing import Seed
from remusnet.availability.importance import Importance, importance
from remusnet.availability.intervals import Ratio, ratios
from remusnet.availability.measures import Estimate, Measure, MeasureKind, Method
from remusnet.availability.playing import is_fast, player, split_player, trials_for
from remusnet.availability.simulation import Chunk, Player
from remusnet.availability.unfolding import Net
from remusnet.errors import InvalidInput
from remusnet.parallel import Workers, mapped

MOST_EVENTS: Final = 1_000_000_000
"""Firings to spend unless another number is asked for: some minutes of the compiled kernel."""
MOST_SLOW_EVENTS: Final = 20_000_000
"""The same where the net is played step by step."""
BATCHES: Final = 32
REPLICAS: Final = 16

_PILOT = 16_000
_FEWEST_CYCLES = 1_000
_MOST_CHUNKS = 4_000
_LEAST_CHANGES = 200
# The variance of 32 batches is below its expectation by this factor once in ten times.
_SAFETY = 1.45
_AGAIN = 1.2
_MOST_RUNS = 4
# Firings from which on replicas are worth their start.
_LONG = 2_000_000

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sampling:
    """``relative_error``: half the interval over the value, of a probability over its rarer side.

    ``most_events``: firings to spend (None: as many as take minutes); ``progress`` gets those
    done. ``most_seconds``: the time to spend, by ``clock``, as `time.monotonic`; what comes then
    depends on the machine. ``rare``: an event, as an expression that compares counts of tokens
    with numbers; what is seldom is met by RESTART splitting. ``workers``: cores (None: all).
    """

    relative_error: float = 0.01
    seed: int = 1
    most_events: int | None = None
    progress: Progress | None = None
    most_seconds: float | None = None
    clock: Callable[[], float] | None = None
    rare: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.relative_error < 1:
            raise InvalidInput(
                f"invalid relative error: {self.relative_error!r}; expected more than 0, below 1"
            )
        if self.most_seconds is not None and self.clock is None:
            raise InvalidInput("a budget of seconds needs a clock")


def simulated(net: Net, measures: Sequence[Measure], sampling: Sampling) -> tuple[Estimate, ...]:
    """The measures of ``net`` with their intervals. Raises InvalidInput as `Simulation` does."""
    runner = _Runner(net, measures, sampling)
    size, spent, tried = runner.pilot()
    safety = _SAFETY
    for _ in range(_MOST_RUNS):
        factor = max(1.0, min(runner.lacking(tried) * safety, runner.left / spent))
        size, spent = size * factor, spent * factor
        tried = runner.run(size, spent)
        if runner.lacking(tried) <= 1 or runner.left < 2 * spent:
            break
        safety = _AGAIN
    return runner.estimates(tried)


@dataclass(frozen=True, slots=True)
class _Maker:
    """What plays a net, anew for each seed."""

    net: Net
    measures: tuple[Measure, ...]
    nearness: Importance | None
    trials: tuple[int, ...]

    def player(self, seed: Seed, like: Player | None = None) -> Player:
        if self.nearness is None:
            return player(self.net, self.measures, seed, like)
        return split_player(self.net, self.measures, seed, self.nearness, self.trials)


@dataclass(frozen=True, slots=True)
class _Size:
    """``chunks``: batches of ``length`` s each, or (0 s) of ``group`` cycles each."""

    chunks: int
    length: float
    group: int

    def run(self, played: Player, most_events: int) -> list[Chunk]:
        if self.length:
            return played.batches(self.chunks, self.length)
        return played.cycles(self.chunks, most_events, self.group)


@dataclass(frozen=True, slots=True)
class _Replica:
    """A part of a long run, with a seed of its own; ``warm_up``: firings before it counts.

    ``like``: a run that went before, where it can be seen from here.
    """

    maker: _Maker
    like: Player | None
    seed: Seed
    size: _Size
    warm_up: int
    most_events: int

    def run(self) -> tuple[list[Chunk], int]:
        """Its chunks, and the firings that it took."""
        played = self.maker.player(self.seed, self.like)
        if self.warm_up:
            played.firings(self.warm_up)
        return self.size.run(played, self.most_events), played.events


class _Runner:
    """Runs of a given size: so many cycles, or batches so long, as the net allows."""

    def __init__(self, net: Net, measures: Sequence[Measure], sampling: Sampling) -> None:
        self._sampling = sampling
        self._sides = _Sides(measures, both=sampling.rare is not None)
        self._seeds = np.random.SeedSequence(sampling.seed)
        self._begun = self._time()
        self._events_a_second = math.inf
        self._events = 0
        self._detail = ""
        self._fast = is_fast(net, measures)
        usual = MOST_EVENTS if self._fast else MOST_SLOW_EVENTS
        self._most = usual if sampling.most_events is None else sampling.most_events
        nearness: Importance | None = None
        trials: tuple[int, ...] = ()
        if sampling.rare is not None:
            nearness = importance(net, sampling.rare)
            trials = trials_for(net, nearness, self._seeds.spawn(1)[0], self._most // 8)
        self._maker = _Maker(net, self._sides.played, nearness, trials)
        self._player = self._maker.player(self._seeds.spawn(1)[0])
        self._tries = max(1, min(_PILOT, self._most // 8))
        start = self._player.cycles(self._tries, self._tries)
        self._renews = len(start) > max(10, self._tries // 400)
        if not self._renews:
            start = [self._player.firings(self._tries)]
        self._first = _FEWEST_CYCLES if self._renews else start[0].length / BATCHES

    @property
    def left(self) -> float:
        """The firings that may still be spent."""
        left = float(self._most - self._events - self._player.events)
        if self._sampling.most_seconds is not None and math.isfinite(self._events_a_second):
            seconds = self._sampling.most_seconds - (self._time() - self._begun)
            left = min(left, seconds * self._events_a_second)
        return left

    def run(self, size: float, expected: float) -> list[Chunk]:
        """So many cycles, or batches of that many seconds; ``expected`` firings."""
        begun, before = self._time(), self._events + self._player.events
        parts = REPLICAS if expected >= _LONG else 1
        if self._renews:
            group = max(1, int(size / _MOST_CHUNKS))
            each = _Size(math.ceil(size / group / parts), 0.0, group)
        else:
            each = _Size(BATCHES // parts, size, 1)
        most = max(int(self.left), _PILOT)
        if parts == 1:
            chunks = each.run(self._player, most)
            self._tell()
        else:
            chunks = self._replicated(each, most // parts)
        if self._time() > begun:
            done = self._events + self._player.events - before
            self._events_a_second = done / (self._time() - begun)
        self._detail = self._described(len(chunks), each)
        return chunks

    def _replicated(self, size: _Size, most: int) -> list[Chunk]:
        warm_up = 0 if self._renews else self._tries
        like = self._player if self._fast else None
        replicas = [
            _Replica(self._maker, like, seed, size, warm_up, most)
            for seed in self._seeds.spawn(REPLICAS)
        ]
        kind = Workers.THREADS if self._fast else Workers.PROCESSES
        chunks: list[Chunk] = []
        workers = self._sampling.workers
        for found, events in mapped(_Replica.run, replicas, workers=workers, kind=kind):
            chunks += found
            self._events += events
            self._tell()
        return chunks

    def _described(self, chunks: int, size: _Size) -> str:
        what = f"{chunks} batches of {size.length:.4g} s"
        if self._renews:
            what = f"{chunks * size.group} regenerative cycles"
        if self._maker.trials:
            tried = " x ".join(map(str, self._maker.trials))
            what = f"RESTART splitting, {tried} trials, {what}"
        return what

    def _tell(self) -> None:
        if self._sampling.progress is not None:
            self._sampling.progress(self._events + self._player.events)

    def _time(self) -> float:
        return 0.0 if self._sampling.clock is None else self._sampling.clock()

    def pilot(self) -> tuple[float, float, list[Chunk]]:
        """A size at which every measure has changed often; what it spends, and what it showed."""
        size: float = self._first
        while True:
            before = self._events + self._player.events
            tried = self.run(size, 0)
            spent = max(1, self._events + self._player.events - before)
            seen = min(each.ratio.changes for each in self._sides.of(tried))
            if seen >= _LEAST_CHANGES or self.left < 4 * spent:
                return size, spent, tried
            size *= 2

    def lacking(self, chunks: Sequence[Chunk]) -> float:
        """How many times as long a run has to be for the asked error; below 1: it is reached."""
        return max(
            (each.ratio.half / (self._sampling.relative_error * each.scale)) ** 2
            if each.scale and math.isfinite(each.ratio.half)
            else math.inf
            for each in self._sides.of(chunks)
        )

    def estimates(self, chunks: Sequence[Chunk]) -> tuple[Estimate, ...]:
        """The measures so far, each with its interval."""
        events = self._events + self._player.events
        return tuple(
            each.estimate(self._sampling.relative_error, self._detail, events)
            for each in self._sides.of(chunks)
        )


@dataclass(frozen=True, slots=True)
class _Side:
    """A measure's ratio; ``complement``: that of its opposite, which is the rarer."""

    measure: Measure
    ratio: Ratio
    complement: bool

    @property
    def scale(self) -> float:
        """What an error is relative to: of a probability, the rarer of yes and no."""
        value = self.ratio.value
        if self.measure.kind == MeasureKind.PROBABILITY and not self.complement:
            return min(value, max(0.0, 1 - value))
        return abs(value)

    def estimate(self, relative_error: float, detail: str, events: int) -> Estimate:
        share = self.measure.kind == MeasureKind.PROBABILITY
        value, half = self.ratio.value, self.ratio.half
        rest = max(0.0, 1 - value)
        if self.complement:
            value, rest = rest, value
        told = self.ratio.changes > 0 and math.isfinite(half)
        low, high = value - half, value + half
        if self.measure.kind == MeasureKind.RATE:
            low = max(low, 0.0)
        if share:
            low, high = max(low, 0.0), min(high, 1.0)
        return Estimate(
            name=self.measure.name,
            kind=self.measure.kind,
            value=value,
            low=low if told else None,
            high=high if told else None,
            rest=rest if share else None,
            method=Method.SIMULATION,
            detail=detail,
            events=events,
            reached=told and self.scale > 0 and half <= relative_error * self.scale,
        )


class _Sides:
    """The measures as they are played: with ``both`` sides of each probability.

    Trials that count for a share make the whole uncertain: 1 minus a measured probability is not
    the other one to all digits, and the rarer is what is asked.
    """

    def __init__(self, measures: Sequence[Measure], *, both: bool) -> None:
        self._measures = measures
        opposites = [
            Measure(each.name, f"not ({each.text})")
            for each in measures
            if both and each.kind == MeasureKind.PROBABILITY
        ]
        self.played = (*measures, *opposites)

    def of(self, chunks: Sequence[Chunk]) -> list[_Side]:
        """Each measure's rarer side."""
        found = ratios(chunks)
        opposites = iter(found[len(self._measures) :])
        sides = []
        for measure, ratio in zip(self._measures, found, strict=False):
            side = _Side(measure, ratio, complement=False)
            if measure.kind == MeasureKind.PROBABILITY and len(found) > len(self._measures):
                other = next(opposites)
                if other.value < ratio.value:
                    side = _Side(measure, other, complement=True)
            sides.append(side)
        return sides

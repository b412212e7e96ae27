"""Nets played by the kernel against the same models in SimPy; how the cost of an event grows."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import simpy

from remusnet.availability.arrays import tables
from remusnet.availability.compiled import Compiled
from remusnet.availability.distributions import Uniform
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.models.thesis import (
    ABOVE,
    MOST_RESTARTS,
    RECOVERY,
    REPAIR,
    SECTIONS,
    SIGMA,
    TRANSPORT,
    WINDOW,
    ActorTimes,
    idle_actors,
    life,
    server,
    standard,
)
from remusnet.availability.module import Module
from remusnet.availability.net import Memory
from remusnet.availability.unfolding import unfolded
from scripts.benchmarks.ratio import Ratio

MEAN_H = 2208
STICKY = 0.3
RESTART = Uniform(0.5, 1.5)
OURS = 1_000_000
THEIRS = 30_000
MODULES = 10_000
MEMORY_MB = 1024.0

_Process = Generator[simpy.Event, Any, None]


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """CPU seconds for a million firings of timed transitions, on one core."""
    actors = ActorTimes(life(MEAN_H), RESTART, STICKY)
    asked = Measure("idle", idle_actors(), MeasureKind.MEAN)
    yield [
        Ratio(
            "1 M firings of the standard system",
            "SimPy",
            30,
            _played(standard(MEAN_H, Memory.AGE), Measure("up", "Running > 0")),
            lambda: _simpy(_standard),
            unit="CPU s",
        ),
        Ratio(
            "1 M firings of the actor tree",
            "SimPy",
            30,
            _played(server(actors), asked),
            lambda: _simpy(_actors),
            unit="CPU s",
        ),
    ]


def _played(module: Module, measure: Measure) -> Callable[[], float]:
    """CPU seconds of `OURS` firings, once the kernel is compiled."""
    run = Compiled(tables(unfolded(module), [measure]), 1)
    run.firings(1000)

    def measured() -> float:
        begun = time.process_time()
        run.firings(OURS)
        return time.process_time() - begun

    return measured


def _simpy(model: Callable[[simpy.Environment, random.Random], _Tally]) -> float:
    """CPU seconds that SimPy would take for `OURS` firings of ``model``."""
    environment = simpy.Environment()
    tally = model(environment, random.Random(1))
    begun = time.process_time()
    while tally.firings < THEIRS:
        environment.step()
    return (time.process_time() - begun) * OURS / tally.firings


@dataclass(slots=True)
class _Tally:
    """Firings of timed transitions, and the time integral of what is up."""

    firings: int = 0
    up: int = 0
    since: float = 0.0
    integral: float = 0.0

    def change(self, by: int, now: float) -> None:
        """So many more are up from now on."""
        self.integral += self.up * (now - self.since)
        self.since, self.up = now, self.up + by


def _life(rng: random.Random) -> float:
    return rng.lognormvariate(life(MEAN_H).mu, SIGMA)


def _standard(environment: simpy.Environment, rng: random.Random) -> _Tally:
    """Six sections whose lives go on where they stopped, while one is repaired none does."""
    tally = _Tally(up=1)
    left = [_life(rng) for _ in range(SECTIONS)]

    def system() -> _Process:
        while True:
            first = min(left)
            yield environment.timeout(first)
            tally.firings += 1
            tally.change(-1, environment.now)
            failed = left.index(first)
            left[:] = [each - first for each in left]
            left[failed] = _life(rng)
            yield environment.timeout(rng.uniform(REPAIR.low, REPAIR.high))
            tally.firings += 1
            tally.change(1, environment.now)

    environment.process(system())
    return tally


@dataclass(slots=True)
class _Actor:
    """An actor, and its supervisor; ``stopped``: what happens once its life is over or cut."""

    environment: simpy.Environment
    rng: random.Random
    tally: _Tally
    parent: _Supervisor | None = None
    left: float = 0.0
    process: simpy.Process | None = field(default=None, repr=False)
    again: simpy.Event | None = None

    def run(self) -> _Process:
        """Live, fail, wait for the supervisor, restart, and so on."""
        environment, tally = self.environment, self.tally
        while True:
            tally.change(1, environment.now)
            self.started()
            left = self.left or _life(self.rng)
            self.left = 0.0
            begun = environment.now
            try:
                yield environment.timeout(left)
                tally.firings += 1
            except simpy.Interrupt:  # a supervisor that gives up
                self.left = left - (environment.now - begun)
            tally.change(-1, environment.now)
            self.stopped()
            while True:
                self.again = environment.event()
                self.failed()
                yield self.again
                yield environment.timeout(self.rng.uniform(RESTART.low, RESTART.high))
                tally.firings += 1
                if self.rng.random() >= STICKY:
                    break

    def failed(self) -> None:
        """Tell the supervisor, or whoever recovers the top."""
        if self.parent is not None:
            self.parent.child_failed(self)
        else:
            self.environment.process(self._recovery())

    def _recovery(self) -> _Process:
        yield self.environment.timeout(self.rng.uniform(RECOVERY.low, RECOVERY.high))
        self.tally.firings += 1
        self.let()

    def let(self) -> None:
        """The supervisor lets it restart."""
        assert self.again is not None
        self.again.succeed()

    def started(self) -> None:
        """It runs again."""

    def stopped(self) -> None:
        """It does not run any more."""


@dataclass(slots=True)
class _Supervisor(_Actor):
    """An actor with children: three restarts, of which one is forgotten each 30 s."""

    idle: bool = False
    count: int = 0
    waiting: list[_Actor] = field(default_factory=list)
    timer: simpy.Process | None = None

    def started(self) -> None:
        """The children that failed meanwhile restart."""
        self.idle = True
        waiting, self.waiting = self.waiting, []
        told = waiting[:1] if self.count >= MOST_RESTARTS else []
        for child in told:
            child.let()
        for child in waiting[len(told) :]:
            self.child_failed(child)

    def stopped(self) -> None:
        """Children that fail now wait."""
        self.idle = False

    def child_failed(self, child: _Actor) -> None:
        """T2 or T3."""
        if not self.idle:
            self.waiting.append(child)
        elif self.count < MOST_RESTARTS:
            self.count += 1
            if self.timer is None:
                self.timer = self.environment.process(self._forget())
            child.let()
        else:
            self.idle = False
            self.waiting.insert(0, child)
            assert self.process is not None
            self.process.interrupt()

    def _forget(self) -> _Process:
        while self.count:
            yield self.environment.timeout(WINDOW.mean)
            self.tally.firings += 1
            self.count -= 1
        self.timer = None


def _actors(environment: simpy.Environment, rng: random.Random) -> _Tally:
    """Two supervisors with their children, as `remusnet.availability.models.thesis.server`."""
    tally = _Tally()
    for children in (TRANSPORT, ABOVE):
        top = _Supervisor(environment, rng, tally)
        top.process = environment.process(top.run())
        for _ in children:
            environment.process(_Actor(environment, rng, tally, top).run())
    return tally

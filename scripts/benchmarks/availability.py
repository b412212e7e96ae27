"""Nets played by the kernel against the same models in SimPy; how the cost of an event grows."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import simpy

from remusnet.availability.arrays import tables
from remusnet.availability.compiled import Compiled
from remusnet.availability.distributions import Exponential, Lognormal, Uniform
from remusnet.availability.measures import Measure, MeasureKind, Method
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
from remusnet.availability.net import Memory, Servers
from remusnet.availability.sampling import Sampling
from remusnet.availability.solve import Question, solve
from remusnet.availability.unfolding import unfolded
from scripts.benchmarks.ratio import Ratio

MEAN_H = 2208
STICKY = 0.3
RESTART = Uniform(0.5, 1.5)
OURS = 1_000_000
THEIRS = 30_000
TENFOLD = 10
FEW, MANY = 100, 10_000
MEMORY_MB = 1024.0
RARE, RARER = 1e-8, 1e-12
RARE_ERROR = 0.05
RARE_S = 60.0
LONG = 100_000_000

_Process = Generator[simpy.Event, Any, None]
_GROWTH = 0.67
"""Ten times as many events may take 1.5 times as long as ten runs of one tenth."""


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """Firings of timed transitions: on one core, of nets large and small, and of rare events."""
    actors = server(ActorTimes(life(MEAN_H), RESTART, STICKY))
    idle = Measure("idle", idle_actors(), MeasureKind.MEAN)
    system, up = standard(MEAN_H, Memory.AGE), Measure("up", "Running > 0")
    one_core = _played(actors, idle, OURS)
    yield [
        Ratio(
            "1 M firings of the standard system",
            "SimPy",
            30,
            _played(system, up, OURS),
            lambda: _simpy(_standard),
            unit="CPU s",
        ),
        Ratio(
            "1 M firings of the actor tree",
            "SimPy",
            30,
            one_core,
            lambda: _simpy(_actors),
            unit="CPU s",
        ),
        Ratio(
            f"{TENFOLD} M firings of the actor tree",
            f"{TENFOLD} times 1 M",
            _GROWTH,
            _played(actors, idle, TENFOLD * OURS),
            lambda: TENFOLD * one_core(),
            unit="CPU s",
        ),
        Ratio(
            f"a firing among {MANY:,} modules",
            f"log of them, by {FEW}",
            1,
            _played(_site(MANY), _BROKEN, OURS, first=OURS),
            _logarithmic(_played(_site(FEW), _BROKEN, OURS, first=OURS)),
            unit="CPU s",
        ),
        Ratio(f"{MANY:,} modules", "1 GiB", 1, _site_mb, lambda: MEMORY_MB, unit="MB"),
        Ratio(f"{LONG // 10**6} M firings on two cores", "one core", 1.8, _long(2), _long(1)),
        Ratio(
            f"a double failure of {RARE:.0e} within 5 %",
            "a minute",
            1,
            lambda: _rare(2, RARE, workers=2)[0],
            lambda: RARE_S,
            unit="s on two cores",
        ),
        Ratio(
            "the same, in firings",
            "without splitting",
            0,
            lambda: _rare(2, RARE)[1],
            lambda: _plain_firings(2, RARE),
            unit="",
        ),
        Ratio(
            f"a triple failure of {RARER:.0e}, in firings",
            "without splitting",
            100,
            lambda: _rare(3, RARER)[1],
            lambda: _plain_firings(3, RARER),
            unit="",
        ),
    ]


_BROKEN = Measure("broken", "s0.down > 0")


def _site(sections: int) -> Module:
    """So many modules, each of which fails and is mended by itself."""
    section = Module("section")
    running, down = section.place("running", 1), section.place("down")
    section.timed("fail", Lognormal(1000.0, 0.4)).takes(running).puts(down)
    section.timed("mend", Uniform(30.0, 300.0)).takes(down).puts(running)
    site = Module("site")
    for number in range(sections):
        site.include(f"s{number}", section)
    return site


def _logarithmic(few: Callable[[], float]) -> Callable[[], float]:
    """What a firing among many may cost if it grows with their logarithm."""
    return lambda: few() * math.log(MANY) / math.log(FEW)


def _site_mb() -> float:
    """The largest memory of a process that plays a site of `MANY` modules."""
    script = (
        "import resource\n"
        "from scripts.benchmarks.availability import MANY, play_site\n"
        "play_site(MANY)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def play_site(sections: int) -> None:
    """A million firings of `_site`."""
    Compiled(tables(unfolded(_site(sections)), [_BROKEN]), 1).firings(OURS)


def _long(workers: int) -> Callable[[], None]:
    """A run of replicas on so many cores."""
    module = server(ActorTimes(life(MEAN_H), RESTART, STICKY))
    asked = [Measure("not idle", f"9 - ({idle_actors()})", MeasureKind.MEAN)]
    sampling = Sampling(1e-5, most_events=LONG, workers=workers)

    def run() -> None:
        solve(module, asked, Question(sampling, Method.SIMULATION))

    return run


def _hosts(count: int, share: float) -> Module:
    """So many hosts, all of which are down for ``share`` of the time; a repair takes 1 s."""
    net, each = Module("hosts"), share ** (1 / count)
    up, failed = net.place("up", count), net.place("failed")
    life = Exponential((1 - each) / each)
    net.timed("fail", life, servers=Servers.INFINITE).takes(up).puts(failed)
    net.timed("mend", Exponential(1.0), servers=Servers.INFINITE).takes(failed).puts(up)
    return net


def _rare(hosts: int, share: float, workers: int | None = None) -> tuple[float, float]:
    """Seconds and firings until the failure of all has its interval. It must hold the truth."""
    net, asked = _hosts(hosts, share), Measure("all", f"failed == {hosts}")
    sampling = Sampling(RARE_ERROR, seed=1, rare=f"failed >= {hosts}", workers=workers)
    begun = time.perf_counter()
    (seen,) = solve(net, [asked], Question(sampling, Method.SIMULATION))
    taken = time.perf_counter() - begun
    assert seen.reached, seen
    assert abs(seen.value / share - 1) < 2 * RARE_ERROR, seen
    return taken, float(seen.events)


def _plain_firings(hosts: int, share: float) -> float:
    """The firings until all were down as often as the interval takes, by exact rates.

    A share of time that is made of independent exponential times has a relative variance of 2 by
    their number. It is left, and so entered, as often as one of the hosts is mended then.
    """
    asked = [Measure(name, name, MeasureKind.RATE) for name in ("fail", "mend")]
    firings = sum(each.value for each in solve(_hosts(hosts, share), asked))
    return 2 * (1.96 / RARE_ERROR) ** 2 * firings / (share * hosts)


def _played(
    module: Module, measure: Measure, firings: int, first: int = 1000
) -> Callable[[], float]:
    """CPU seconds of so many firings, once the kernel is compiled and has played the ``first``.

    Of some nets it learns markings meanwhile, which costs more than to play.
    """
    run = Compiled(tables(unfolded(module), [measure]), 1)
    run.firings(first)

    def measured() -> float:
        begun = time.process_time()
        run.firings(firings)
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

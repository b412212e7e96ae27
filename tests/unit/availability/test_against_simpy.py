"""Nets without a solution, beside models of the same systems that were written for SimPy.

The models know nothing of nets: they are processes that wait. Each pair has to agree within the
95 % intervals of both.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass

import pytest
import simpy

from remusnet.availability.distributions import (
    Deterministic,
    Erlang,
    Exponential,
    Lognormal,
    Uniform,
    Weibull,
)
from remusnet.availability.intervals import student
from remusnet.availability.measures import Measure, MeasureKind, Method
from remusnet.availability.module import Module
from remusnet.availability.net import Memory, Servers, Variable
from remusnet.availability.sampling import Sampling
from remusnet.availability.solve import Question, solve
from tests.lib.long import count

Steps = Generator[simpy.events.Event, None, None]
_BATCHES = 32


class Watch:
    """The integral of a number over time, batch by batch."""

    def __init__(self, env: simpy.Environment, value: float = 0.0) -> None:
        self._env, self.value = env, value
        self._since, self._sum = env.now, 0.0

    def set(self, value: float) -> None:
        self._sum += self.value * (self._env.now - self._since)
        self._since, self.value = self._env.now, value

    def add(self, by: float) -> None:
        self.set(self.value + by)

    def hit(self) -> None:
        """Count, instead of integrate."""
        self._sum += 1

    def taken(self) -> float:
        self.set(self.value)
        found, self._sum = self._sum, 0.0
        return found


def stages(rng: random.Random, mean: float, shape: int) -> float:
    return sum(rng.expovariate(shape / mean) for _ in range(shape))


def lognormal(rng: random.Random, mean: float, sigma: float) -> float:
    return rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)


Build = Callable[[simpy.Environment, random.Random], Watch]


@dataclass(frozen=True)
class Pair:
    """A net with its question, and the same system in SimPy; ``batch``: seconds of one of 32."""

    net: Module
    measure: Measure
    simpy: Build
    batch: float


def repaired() -> Pair:
    """One machine: lognormal lives, uniform repairs; its net has a closed form besides."""
    net = Module("repaired")
    up, down = net.place("up", 1), net.place("down")
    net.timed("fail", Lognormal(40.0, 0.8)).takes(up).puts(down)
    net.timed("mend", Uniform(2.0, 12.0)).takes(down).puts(up)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch = Watch(env, 1)

        def machine() -> Steps:
            while True:
                yield env.timeout(lognormal(rng, 40.0, 0.8))
                watch.set(0)
                yield env.timeout(rng.uniform(2.0, 12.0))
                watch.set(1)

        env.process(machine())
        return watch

    return Pair(net, Measure("up", "up > 0"), model, 3_000)


def queue() -> Pair:
    """M/G/1/4 with lognormal service: how many wait."""
    net = Module("queue")
    here, room = net.place("here"), net.place("room", 4)
    net.timed("arrive", Exponential(3.0)).takes(room).puts(here)
    net.timed("serve", Lognormal(2.0, 1.0)).takes(here).puts(room)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch, server = Watch(env), simpy.Resource(env, 1)

        def customer() -> Steps:
            with server.request() as turn:
                yield turn
                yield env.timeout(lognormal(rng, 2.0, 1.0))
            watch.add(-1)

        def arrivals() -> Steps:
            while True:
                yield env.timeout(rng.expovariate(1 / 3.0))
                if watch.value < 4:
                    watch.add(1)
                    env.process(customer())

        env.process(arrivals())
        return watch

    return Pair(net, Measure("here", "here", MeasureKind.MEAN), model, 1_500)


def buffer() -> Pair:
    """A producer that stops at three, a consumer of three Erlang stages: the share of blocking."""
    net = Module("buffer")
    stock, ready = net.place("stock"), net.place("ready", 1)
    net.timed("make", Uniform(0.5, 2.5)).needs(ready).puts(stock).inhibited_by(stock, 3)
    net.timed("use", Erlang(1.6, 3)).takes(stock)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch, level, changed = Watch(env), [0], [env.event()]

        def change(by: int) -> None:
            level[0] += by
            watch.set(level[0] >= 3)
            changed[0].succeed()
            changed[0] = env.event()

        def producer() -> Steps:
            while True:
                yield env.timeout(rng.uniform(0.5, 2.5))
                change(1)
                while level[0] >= 3:
                    yield changed[0]

        def consumer() -> Steps:
            while True:
                while not level[0]:
                    yield changed[0]
                yield env.timeout(stages(rng, 1.6, 3))
                change(-1)

        env.process(producer())
        env.process(consumer())
        return watch

    return Pair(net, Measure("full", "stock >= 3"), model, 1_000)


def crowd() -> Pair:
    """Infinitely many servers: calls that come without memory and last uniformly long."""
    net = Module("crowd")
    source, calls = net.place("source", 1), net.place("calls")
    net.timed("call", Exponential(1.0)).needs(source).puts(calls)
    net.timed("end", Uniform(1.0, 5.0), servers=Servers.INFINITE).takes(calls)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch = Watch(env)

        def call() -> Steps:
            watch.add(1)
            yield env.timeout(rng.uniform(1.0, 5.0))
            watch.add(-1)

        def source() -> Steps:
            while True:
                yield env.timeout(rng.expovariate(1.0))
                env.process(call())

        env.process(source())
        return watch

    return Pair(net, Measure("calls", "calls", MeasureKind.MEAN), model, 600)


def window() -> Pair:
    """A sliding window of 30 s: how often five failures are in it, of one each 10 s on average."""
    net = Module("window")
    source, seen = net.place("source", 1), net.place("seen")
    net.timed("fail", Exponential(10.0)).needs(source).puts(seen)
    net.timed("forget", Deterministic(30.0), servers=Servers.INFINITE).takes(seen)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch, inside = Watch(env), [0]

        def remembered() -> Steps:
            inside[0] += 1
            watch.set(inside[0] >= 5)
            yield env.timeout(30.0)
            inside[0] -= 1
            watch.set(inside[0] >= 5)

        def source() -> Steps:
            while True:
                yield env.timeout(rng.expovariate(0.1))
                env.process(remembered())

        env.process(source())
        return watch

    return Pair(net, Measure("over", "seen >= 5"), model, 6_000)


def kinds() -> Pair:
    """Coloured: good calls turn bad and then end sooner; how many are bad."""
    net = Module("kinds")
    source, calls = net.place("source", 3), net.place("calls", colours=("good", "bad"))
    kind = Variable("kind")
    many = Servers.INFINITE
    net.timed("call", Lognormal(4.0, 0.5), servers=many).takes(source).puts(calls, colour="good")
    worse = kind.to({"good": "bad", "bad": "bad"})
    spoil = net.timed("spoil", Uniform(1.0, 9.0), servers=many)
    spoil.takes(calls, colour=kind).puts(calls, colour=worse).when("kind == 'good'")
    net.timed("end", Weibull(2.0, 2.0), servers=many).takes(calls, colour="bad").puts(source)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch = Watch(env)

        def user() -> Steps:
            while True:
                yield env.timeout(lognormal(rng, 4.0, 0.5))
                yield env.timeout(rng.uniform(1.0, 9.0))
                watch.add(1)
                yield env.timeout(rng.weibullvariate(2.0, 2.0))
                watch.add(-1)

        for _ in range(3):
            env.process(user())
        return watch

    return Pair(net, Measure("bad", "calls['bad']", MeasureKind.MEAN), model, 900)


def standby() -> Pair:
    """A spare that takes over in 3 s; whoever fails is mended; both may be down."""
    net = Module("standby")
    active, spare, taking = net.place("active", 1), net.place("spare", 1), net.place("taking")
    broken, fallen = net.place("broken"), net.place("fallen")
    net.timed("fail", Weibull(50.0, 1.5)).takes(active).puts(broken).puts(fallen)
    net.timed("mend", Erlang(20.0, 2)).takes(broken).puts(spare)
    net.immediate("begins").takes(fallen).takes(spare).puts(taking)
    net.timed("takes over", Deterministic(3.0)).takes(taking).puts(active)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch, spares = Watch(env, 1), simpy.Container(env, init=1)
        crew = simpy.Resource(env, 1)

        def mended() -> Steps:
            with crew.request() as turn:
                yield turn
                yield env.timeout(stages(rng, 20.0, 2))
            yield spares.put(1)

        def service() -> Steps:
            while True:
                yield env.timeout(rng.weibullvariate(50.0, 1.5))
                watch.set(0)
                env.process(mended())
                yield spares.get(1)
                yield env.timeout(3.0)
                watch.set(1)

        env.process(service())
        return watch

    return Pair(net, Measure("served", "active > 0"), model, 6_000)


def interrupted(memory: Memory) -> Pair:
    """Work of 10 s that is interrupted: it goes on, or begins anew, or anew with another length.

    Lengths are uniform: an age that is kept has its rest, a clock that is discarded is drawn again.
    """
    net = Module("interrupted")
    free, busy = net.place("free", 1), net.place("busy")
    net.timed("work", Uniform(4.0, 16.0), memory=memory).needs(free)
    net.timed("interrupt", Uniform(0.0, 14.0), memory=Memory.ENABLING).takes(free).puts(busy)
    net.timed("resume", Deterministic(2.0)).takes(busy).puts(free)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch = Watch(env)
        # A clock that resamples begins anew when another has fired: here those are interruptions,
        # which discard an enabling one as well.
        keeps = memory == Memory.AGE

        def work() -> Steps:
            left = rng.uniform(4.0, 16.0)
            while True:
                begun = env.now
                try:
                    yield env.timeout(left)
                except simpy.Interrupt:
                    left = left - (env.now - begun) if keeps else rng.uniform(4.0, 16.0)
                    yield env.timeout(2.0)
                else:
                    watch.hit()
                    left = rng.uniform(4.0, 16.0)

        worker = env.process(work())

        def interrupt() -> Steps:
            while True:
                yield env.timeout(rng.uniform(0.0, 14.0))
                worker.interrupt()
                yield env.timeout(2.0)

        env.process(interrupt())
        return watch

    return Pair(net, Measure("done", "work", MeasureKind.RATE), model, 2_500)


def _undisturbed(env: simpy.Environment, left: Callable[[], float]) -> Steps:
    """Wait for ``left()``; after each interruption for what it is then."""
    while True:
        try:
            yield env.timeout(left())
        except simpy.Interrupt:
            continue
        return


def resampled() -> Pair:
    """Two machines side by side; whatever happens to one, the other's clock begins anew."""
    net = Module("resampled")
    for name in ("a", "b"):
        up, down = net.place(f"up{name}", 1), net.place(f"down{name}")
        life = Weibull(10.0, 3.0)
        net.timed(f"fail{name}", life, memory=Memory.RESAMPLE).takes(up).puts(down)
        net.timed(f"mend{name}", Uniform(1.0, 3.0), memory=Memory.ENABLING).takes(down).puts(up)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch = Watch(env, 2)
        lives: dict[int, simpy.Process] = {}

        def happened(me: int) -> None:
            for other, process in lives.items():
                if other != me:
                    process.interrupt()

        def rest_of(ends: float) -> Callable[[], float]:
            return lambda: ends - env.now

        def machine(me: int) -> Steps:
            while True:
                yield from _undisturbed(env, lambda: rng.weibullvariate(10.0, 3.0))
                watch.add(-1)
                happened(me)
                yield from _undisturbed(env, rest_of(env.now + rng.uniform(1.0, 3.0)))
                watch.add(1)
                happened(me)

        for me in range(2):
            lives[me] = env.process(machine(me))
        return watch

    return Pair(net, Measure("up", "upa + upb", MeasureKind.MEAN), model, 2_000)


def aged() -> Pair:
    """Three sections in series: while one is mended, the others' clocks stop, and then go on."""
    net = Module("aged")
    up, down = net.place("up", 1), net.place("down")
    for n in range(3):
        fails = net.timed(f"fail{n}", Lognormal(30.0, 0.4), memory=Memory.AGE)
        fails.takes(up).puts(down)
    net.timed("mend", Uniform(2.0, 8.0)).takes(down).puts(up)

    def model(env: simpy.Environment, rng: random.Random) -> Watch:
        watch = Watch(env, 1)

        def system() -> Steps:
            left = [lognormal(rng, 30.0, 0.4) for _ in range(3)]
            while True:
                first = min(range(3), key=left.__getitem__)
                passed = left[first]
                yield env.timeout(passed)
                left = [each - passed for each in left]
                left[first] = lognormal(rng, 30.0, 0.4)
                watch.set(0)
                yield env.timeout(rng.uniform(2.0, 8.0))
                watch.set(1)

        env.process(system())
        return watch

    return Pair(net, Measure("up", "up > 0"), model, 2_000)


PAIRS: dict[str, Callable[[], Pair]] = {
    "repaired": repaired,
    "queue": queue,
    "buffer": buffer,
    "crowd": crowd,
    "window": window,
    "kinds": kinds,
    "standby": standby,
    "interrupted, age": lambda: interrupted(Memory.AGE),
    "interrupted, enabling": lambda: interrupted(Memory.ENABLING),
    "resampled": resampled,
    "aged": aged,
}


def of_simpy(pair: Pair, seed: int, batch: float) -> tuple[float, float]:
    """The mean and half the 95 % interval of 32 batches, after one that is thrown away."""
    env, rng = simpy.Environment(), random.Random(seed)
    watch = pair.simpy(env, rng)
    values = []
    for number in range(1, _BATCHES + 2):
        env.run(batch * number)
        values.append(watch.taken() / batch)
    values = values[1:]
    mean = sum(values) / _BATCHES
    variance = sum((each - mean) ** 2 for each in values) / (_BATCHES - 1)
    return mean, student(_BATCHES - 1) * math.sqrt(variance / _BATCHES)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_a_net_agrees_with_the_same_system_in_simpy(name: str) -> None:
    pair = PAIRS[name]()
    batch = pair.batch * count(sample=1, long=40)
    expected, half = of_simpy(pair, 3, batch)
    error = count(sample=15, long=2) / 1000
    sampling = Sampling(relative_error=error, seed=5, most_events=count(sample=300_000, long=10**8))
    (seen,) = solve(pair.net, [pair.measure], Question(sampling, Method.SIMULATION))
    assert seen.low is not None
    assert seen.high is not None
    ours = (seen.high - seen.low) / 2
    # Half the interval of the difference; 1.6 times it: 99.8 % for each of eleven.
    assert abs(seen.value - expected) <= 1.6 * math.hypot(half, ours)
    assert math.hypot(half, ours) < 0.08 * expected, "too few to tell anything"


def test_the_memory_policies_differ_where_work_is_interrupted_by_a_tenth_and_more() -> None:
    rates = {}
    for memory in Memory:
        pair = interrupted(memory)
        question = Question(Sampling(relative_error=0.02, seed=2), Method.SIMULATION)
        (seen,) = solve(pair.net, [pair.measure], question)
        rates[memory] = seen.value
    assert rates[Memory.AGE] > 1.1 * rates[Memory.ENABLING]
    # To resample at every firing, its own and the interruption's, is to be discarded here.
    assert rates[Memory.RESAMPLE] == pytest.approx(rates[Memory.ENABLING], rel=0.03)
    by_policy = {}
    for memory in (Memory.RESAMPLE, Memory.ENABLING):
        net = Module("beside")
        here, there = net.place("here", 1), net.place("there", 1)
        net.timed("work", Uniform(4.0, 16.0), memory=memory).needs(here)
        net.timed("tick", Uniform(4.0, 13.0)).needs(there)
        (seen,) = solve(net, [Measure("done", "work", MeasureKind.RATE)], question)
        by_policy[memory] = seen.value
    assert by_policy[Memory.RESAMPLE] < 0.9 * by_policy[Memory.ENABLING]

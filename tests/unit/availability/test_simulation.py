from __future__ import annotations

import random

import pytest
import simpy

from remusnet.availability.distributions import (
    Deterministic,
    Distribution,
    Exponential,
    Lognormal,
    Uniform,
)
from remusnet.availability.measures import Estimate, Measure, MeasureKind, Method
from remusnet.availability.module import HOUR, Module
from remusnet.availability.net import Memory, Servers
from remusnet.availability.sampling import Sampling
from remusnet.availability.simulation import Simulation
from remusnet.availability.solve import Question, solve
from remusnet.availability.unfolding import unfolded
from tests.lib.long import count
from tests.unit.availability import nets


def simulate(net: Module, *measures: Measure, error: float = 0.02, seed: int = 7) -> list[Estimate]:
    sampling = Sampling(relative_error=error, seed=seed, most_events=3_000_000)
    return list(solve(net, measures, Question(sampling, Method.SIMULATION)))


def inside(estimate: Estimate, truth: float, slack: float = 1.6) -> bool:
    """Whether ``truth`` is in an interval ``slack`` times as long: 99.8 % instead of 95 %."""
    assert estimate.low is not None
    assert estimate.high is not None
    half = slack * (estimate.high - estimate.low) / 2
    return abs(estimate.value - truth) <= half


@pytest.mark.parametrize("name", nets.MARKOV)
def test_simulation_agrees_with_the_exact_solver(name: str) -> None:
    module, text = nets.MARKOV[name]
    (exact,) = solve(module, [Measure("asked", text)])
    sampling = Sampling(0.05, seed=11, most_events=count(sample=20_000, long=2_000_000))
    (seen,) = solve(module, [Measure("asked", text)], Question(sampling, Method.SIMULATION))
    assert seen.method == Method.SIMULATION
    assert inside(seen, exact.value)


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, again, other = (
        simulate(nets.coloured(), Measure("up", "idle == 2"), error=0.1, seed=seed)
        for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_six_sections_that_keep_their_age_have_the_series_systems_availability() -> None:
    mean, repair = 2208 * HOUR, 165.0
    (seen,) = simulate(nets.sections(6, Memory.AGE), nets.UP, error=0.02)
    assert seen.reached
    assert inside(seen, 1 - 6 * repair / (mean + 6 * repair))


def test_six_sections_that_resample_fail_less_often() -> None:
    first = 0.5743 * 2208 * HOUR
    (seen,) = simulate(nets.sections(6, Memory.RESAMPLE), nets.UP)
    assert inside(seen, first / (first + 165))


def preempted(memory: Memory) -> Module:
    """Work of 10 s, interrupted every 6 s for 2 s: each policy finishes it at a rate of its own."""
    net = Module("preempted")
    free, busy = net.place("free", 1), net.place("busy")
    net.timed("work", Deterministic(10.0), memory=memory).needs(free)
    net.timed("interrupt", Uniform(0.0, 14.0)).takes(free).puts(busy)
    net.timed("resume", Deterministic(2.0)).takes(busy).puts(free)
    return net


def ticked(memory: Memory) -> Module:
    """Work of 10 s beside a tick every 7 to 8 s, which disturbs nothing but a resampled clock."""
    net = Module("ticked")
    here, there = net.place("here", 1), net.place("there", 1)
    net.timed("work", Deterministic(10.0), memory=memory).needs(here)
    net.timed("tick", Uniform(4.0, 13.0)).needs(there)
    return net


def test_memory_policies_are_told_apart_where_work_is_interrupted() -> None:
    rates = {
        memory: simulate(preempted(memory), nets.rate("done", "work"))[0].value for memory in Memory
    }
    # Age: work goes on through all interruptions, 1 in 10 s of the free time (7 of 9 s).
    # The interruption's own clock stops while it is busy, and is drawn anew after.
    assert rates[Memory.AGE] == pytest.approx(7 / 9 / 10, rel=0.03)
    assert rates[Memory.ENABLING] < 0.9 * rates[Memory.AGE]


def test_a_resampled_clock_begins_anew_at_every_firing() -> None:
    enabling, resample, age = (
        simulate(ticked(memory), nets.rate("done", "work"))[0].value
        for memory in (Memory.ENABLING, Memory.RESAMPLE, Memory.AGE)
    )
    assert enabling == pytest.approx(0.1, rel=0.01)
    assert age == pytest.approx(0.1, rel=0.01)
    assert resample < 0.9 * enabling


def test_infinitely_many_servers_work_at_once() -> None:
    net = Module("machines")
    up, down = net.place("up", 5), net.place("down")
    net.timed("fail", Lognormal(10.0, 0.5), servers=Servers.INFINITE).takes(up).puts(down)
    net.timed("mend", Uniform(0.0, 4.0), servers=Servers.INFINITE).takes(down).puts(up)
    (seen,) = simulate(net, Measure("mean", "up", MeasureKind.MEAN), error=0.005)
    # Each machine is up for 10 of 12 s.
    assert inside(seen, 5 * 10 / 12)


def drawn(distribution: Distribution, rng: random.Random) -> float:
    """One time, by Python's own generators."""
    match distribution:
        case Exponential(mean):
            return rng.expovariate(1 / mean)
        case Lognormal():
            return rng.lognormvariate(distribution.mu, distribution.sigma)
        case Uniform(low, high):
            return rng.uniform(low, high)
    assert isinstance(distribution, Deterministic)
    return distribution.mean


LIFE, REPAIR = Lognormal(40.0, 0.4), Uniform(2.0, 8.0)


@pytest.mark.parametrize(("machines", "crews"), [(1, 1), (2, 1), (3, 1), (3, 2), (5, 2)])
@pytest.mark.parametrize("life", [LIFE, Uniform(10.0, 60.0)])
def test_a_workshop_agrees_with_simpy(machines: int, crews: int, life: Distribution) -> None:
    """Machines that fail by themselves, and crews that mend them first come, first served."""
    environment, rng = simpy.Environment(), random.Random(5)
    resource = simpy.Resource(environment, crews)
    broken = [0.0, 0.0, 0]  # integral, since, now

    def change(by: int) -> None:
        broken[0] += broken[2] * (environment.now - broken[1])
        broken[1], broken[2] = environment.now, broken[2] + by

    def machine() -> simpy.events.ProcessGenerator:
        while True:
            yield environment.timeout(drawn(life, rng))
            change(1)
            with resource.request() as request:
                yield request
                yield environment.timeout(drawn(REPAIR, rng))
            change(-1)

    for _ in range(machines):
        environment.process(machine())
    horizon = count(sample=30_000, long=2_000_000) / machines * 3
    environment.run(horizon)
    expected = broken[0] / environment.now

    net = Module("workshop")
    waiting, crew = net.place("waiting"), net.place("crew", crews)
    work = net.place("work")
    for n in range(machines):
        up = net.place(f"up{n}", 1)
        down, mending = net.place(f"down{n}"), net.place(f"mending{n}")
        net.timed(f"fail{n}", life).takes(up).puts(down).puts(waiting)
        net.immediate(f"assign{n}").takes(down).takes(waiting).takes(crew).puts(mending).puts(work)
        net.timed(f"mend{n}", REPAIR).takes(mending).takes(work).puts(up).puts(crew)
    (seen,) = simulate(net, Measure("broken", "waiting + work", MeasureKind.MEAN), error=0.01)
    # Both are estimates, of about the same spread: the sum of both intervals, and who waits
    # first matters little to the mean.
    assert seen.value == pytest.approx(expected, rel=0.04)


def test_a_firing_looks_at_its_neighbours_only() -> None:
    site = Module("site")
    crew = site.place("crew", 1)
    for n in range(500):
        site.include(f"s{n}", nets.section(), crew=crew)
    run = Simulation(unfolded(site), [Measure("up", "s0.up > 0")], 1)
    run.firings(2000)
    assert max(len(modes) for modes in run._timed_after) == 2
    assert len(run._heap) <= 2 * 1000 + 1000


def test_a_cycle_that_the_budget_cut_off_counts_for_none() -> None:
    run = Simulation(unfolded(nets.cycle()), [Measure("all", "p0 + p1 + p2 + p3 + p4 == 1")], 1)
    assert len(run.cycles(100, most_events=13)) == 2
    chunks = run.cycles(3, most_events=1000)
    assert len(chunks) == 3
    assert [each.integrals[0] for each in chunks] == pytest.approx([e.length for e in chunks])

"""Rare events by splitting: against exact values, plain simulation, and what they cost."""

from __future__ import annotations

import math

import numpy as np
import pytest

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
from remusnet.availability.importance import importance
from remusnet.availability.measures import Measure, MeasureKind, Method
from remusnet.availability.module import Module
from remusnet.availability.net import Memory, Servers
from remusnet.availability.sampling import Sampling
from remusnet.availability.solve import Question, solve
from remusnet.availability.splitting import Splitting, trials_for
from remusnet.availability.unfolding import unfolded
from remusnet.errors import InvalidInput
from tests.lib.long import count

DOWN = Measure("down", "failed >= 2")
UP = Measure("up", "failed < 2")
EVENT = "failed >= 2"


def hosts(share: float, machines: int = 2) -> Module:
    """Exponential hosts, of which each is down for ``share`` of its time."""
    net = Module("hosts")
    up, failed = net.place("up", machines), net.place("failed")
    life = Exponential((1 - share) / share)
    net.timed("fail", life, servers=Servers.INFINITE).takes(up).puts(failed)
    net.timed("mend", Exponential(1.0), servers=Servers.INFINITE).takes(failed).puts(up)
    return net


def pair(life: Distribution, repair: Distribution, memory: Memory = Memory.ENABLING) -> Module:
    """Two hosts, whose lives have an age of their own."""
    net = Module("pair")
    failed = net.place("failed")
    for n in range(2):
        up, down = net.place(f"up{n}", 1), net.place(f"down{n}")
        net.timed(f"fail{n}", life, memory=memory).takes(up).puts(down).puts(failed)
        net.timed(f"mend{n}", repair, memory=memory).takes(down).takes(failed).puts(up)
    return net


def ratio(net: Module, seed: int, trials: tuple[int, ...], firings: int) -> float:
    """The share of time of `EVENT`, from one run from the start."""
    made = unfolded(net)
    run = Splitting(made, [DOWN], seed, importance(made, EVENT), trials)
    run.firings(500)
    chunk = run.firings(firings)
    return chunk.integrals[0] / chunk.length


@pytest.mark.parametrize("trials", [(1, 1), (20, 3), (7, 40)])
def test_splitting_is_unbiased_over_many_seeds(trials: tuple[int, ...]) -> None:
    # The mean time of the first trial between two batches is not random enough to bias the ratio.
    exact = 0.01**2
    found = [
        ratio(hosts(0.01), seed, trials, count(sample=20_000, long=200_000))
        for seed in range(count(sample=60, long=1000))
    ]
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    assert abs(np.mean(found) - exact) < 3.5 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("life", "repair", "memory"),
    [
        (Lognormal(50.0, 0.6), Uniform(0.5, 2.0), Memory.ENABLING),
        (Weibull(50.0, 2.0), Deterministic(1.5), Memory.AGE),
        (Erlang(50.0, 4), Lognormal(1.0, 0.5), Memory.RESAMPLE),
        (Uniform(10.0, 90.0), Erlang(1.0, 3), Memory.ENABLING),
        (Exponential(50.0), Empirical((0.5, 1.0, 2.0)), Memory.AGE),
    ],
)
def test_times_of_every_kind_are_split_as_plain_simulation_has_them(
    life: Distribution, repair: Distribution, memory: Memory
) -> None:
    """What a trial's clocks still have to run is drawn given their ages: a bias would show here."""
    net = pair(life, repair, memory)
    firings, seeds = count(sample=50_000, long=1_000_000), count(sample=30, long=200)
    plain, split = (
        [ratio(net, seed, trials, firings) for seed in range(seeds)] for trials in ((1, 1), (10, 5))
    )
    error = math.hypot(*(np.std(each, ddof=1) / math.sqrt(seeds) for each in (plain, split)))
    assert abs(np.mean(plain) - np.mean(split)) < 3.5 * error
    assert np.std(split) < np.std(plain)


def test_a_double_failure_of_1e_8_has_an_interval_and_says_how() -> None:
    exact = solve(hosts(1e-4), [UP])[0]
    error = count(sample=20, long=5) / 100
    sampling = Sampling(error, seed=5, rare=EVENT)
    up, down = solve(hosts(1e-4), [UP, DOWN], Question(sampling, Method.SIMULATION))
    assert exact.rest is not None
    assert up.rest == down.value
    assert up.detail.startswith("RESTART splitting, ")
    assert up.reached
    assert down.low is not None
    assert down.high is not None
    half = (down.high - down.low) / 2
    assert half <= error * down.value
    assert abs(down.value - exact.rest) < 1.8 * half  # 99.95 % instead of 95 %


def test_events_of_several_steps_are_met_as_often_as_the_exact_solver_says() -> None:
    net = hosts(0.003, machines=4)
    asked = [Measure("all", "failed == 4"), Measure("fails", "fail", MeasureKind.RATE)]
    exact = solve(net, asked)
    sampling = Sampling(count(sample=15, long=5) / 100, seed=2, rare="failed >= 4")
    for true, seen in zip(
        exact, solve(net, asked, Question(sampling, Method.SIMULATION)), strict=True
    ):
        assert seen.low is not None
        assert seen.high is not None
        assert abs(seen.value - true.value) < 0.9 * (seen.high - seen.low)


def test_intervals_of_rare_events_cover_the_exact_value_as_often_as_they_say() -> None:
    exact = 0.001**2
    seeds, covered = count(sample=10, long=1000), 0
    for seed in range(seeds):
        sampling = Sampling(0.2, seed=seed, rare=EVENT, workers=1)
        (seen,) = solve(hosts(0.001), [DOWN], Question(sampling, Method.SIMULATION))
        assert seen.low is not None
        assert seen.high is not None
        covered += seen.low <= exact <= seen.high
    print(f"{covered} of {seeds} intervals cover the truth")
    if seeds == 1000:
        assert 0.93 <= covered / seeds <= 0.97
    else:
        assert covered >= 6  # less than 1 in 10,000 by chance


def test_a_crowd_of_servers_grows_its_clocks_in_the_middle_of_a_trial() -> None:
    net = Module("crowd")
    up, failed = net.place("up", 60), net.place("failed")
    net.timed("fail", Exponential(600.0), servers=Servers.INFINITE).takes(up).puts(failed)
    net.timed("mend", Exponential(1.0), servers=Servers.INFINITE).takes(failed).puts(up)
    (exact,) = solve(net, [Measure("five", "failed >= 5")])
    sampling = Sampling(0.1, seed=3, rare="failed >= 5")
    (seen,) = solve(net, [Measure("five", "failed >= 5")], Question(sampling, Method.SIMULATION))
    assert seen.value == pytest.approx(exact.value, rel=0.2)


def test_trials_are_about_as_many_as_it_takes_to_come_a_step_nearer() -> None:
    net = unfolded(hosts(0.001, machines=3))
    near = importance(net, "failed >= 3")
    first, second, last = trials_for(net, near, 1, 10_000_000)
    # From one failed host the next one fails first with 2/1000, from two with 1/2000.
    assert first == pytest.approx(500, rel=0.5)
    assert second == pytest.approx(2000, rel=0.5)
    assert last == 8


@pytest.mark.parametrize(
    ("event", "levels"),
    [
        ("failed >= 2", (0, 1, 2, 2)),
        ("failed > 1 and up == 0", (0, 2, 4, 4)),
        ("up < 1", (0, 1, 2, 2)),
        ("not up", (0, 1, 2, 2)),
        ("failed", (0, 1, 1, 1)),
        ("2 <= failed", (0, 1, 2, 2)),
        ("failed >= 2 or up == 1", (0, 1, 1, 1)),
        ("not (failed < 2 or up > 0)", (0, 2, 4, 4)),
        ("1 < failed <= 2", (0, 1, 2, 2)),
        ("failed + (2 - up) >= 4", (0, 2, 4, 4)),
    ],
)
def test_an_event_says_how_many_steps_away_it_is(event: str, levels: tuple[int, ...]) -> None:
    near = importance(unfolded(hosts(0.1)), event)
    markings = [(2, 0), (1, 1), (0, 2), (0, 3)]
    assert tuple(min(near.top, int(near.level.value(each))) for each in markings) == levels
    assert near.top == max(levels)


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ("failed >= 0", "rare event: 'failed >= 0' holds at the start: it is not rare"),
        ("failed > up", "expected comparisons with numbers, as in 'hosts.failed >= 2'"),
        ("faild >= 2", "rare event: 'faild >= 2': no place 'faild'"),
    ],
)
def test_an_event_that_cannot_be_is_refused(event: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        solve(hosts(0.1), [DOWN], Question(Sampling(rare=event), Method.SIMULATION))


def test_a_net_that_computes_with_texts_cannot_be_split() -> None:
    net = Module("texts")
    up, failed = net.place("up", 2), net.place("failed")
    net.timed("fail", Exponential(9.0)).takes(up).puts(failed).when("('a' if up else 'b') == 'a'")
    net.timed("mend", Exponential(1.0)).takes(failed).puts(up)
    with pytest.raises(InvalidInput, match="net texts: rare events cannot be split"):
        solve(net, [DOWN], Question(Sampling(rare=EVENT), Method.SIMULATION))

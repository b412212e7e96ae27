from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from remusnet.availability.measures import Measure, Method
from remusnet.availability.module import Module
from remusnet.availability.net import Memory, Servers
from remusnet.availability.phases import Phases, moments, phase_type
from remusnet.availability.sampling import Sampling
from remusnet.availability.solve import Question, solve
from remusnet.errors import InvalidInput
from tests.unit.availability import nets

VARIED: tuple[Distribution, ...] = (
    Exponential(3.0),
    Erlang(5.0, 4),
    Lognormal(5.0, 0.4),
    Lognormal(5.0, 1.2),
    Weibull(5.0, 0.6),
    Weibull(5.0, 2.0),
    Uniform(1.0, 9.0),
    Empirical((1.0, 2.0, 2.0, 30.0)),
)


@pytest.mark.parametrize("distribution", VARIED)
@pytest.mark.parametrize("count", [2, 3])
def test_stages_have_the_moments_that_they_stand_for(
    distribution: Distribution, count: int
) -> None:
    found = phase_type(distribution, Phases(count))
    assert found.matched >= 2
    for order, moment in list(enumerate(moments(distribution), 1))[: found.matched]:
        assert found.moment(order) == pytest.approx(moment, rel=1e-9, abs=0)
    assert sum(each.share for each in found.branches) == pytest.approx(1)
    assert all(0 < each.share <= 1 and each.mean > 0 for each in found.branches)


@given(st.floats(0.25, 2.5))
def test_two_moments_are_met_however_much_a_time_varies(sigma: float) -> None:
    time = Lognormal(10.0, sigma)
    found = phase_type(time, Phases(2))
    first, second, _ = moments(time)
    assert found.moment(1) == pytest.approx(first)
    assert found.moment(2) == pytest.approx(second)


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.5])
def test_three_moments_are_met_and_said(sigma: float) -> None:
    found = phase_type(Lognormal(10.0, sigma), Phases(3))
    assert found.matched == 3
    assert found.moment(3) == pytest.approx(moments(Lognormal(10.0, sigma))[2])


def test_a_time_that_hardly_varies_is_made_of_as_many_stages_as_may_be_and_that_is_said() -> None:
    found = phase_type(Deterministic(10.0), Phases(2, most=12))
    assert str(found) == "Erlang-12"
    assert found.matched == 1
    assert found.moment(1) == pytest.approx(10.0)


def test_a_renewal_net_needs_means_only_and_so_keeps_its_availability() -> None:
    net = nets.alternating(Lognormal(1000.0, 0.4), Uniform(30, 300))
    (found,) = solve(net, [nets.UP], Question(phases=Phases()))
    assert found.value == pytest.approx(1000 / 1165, rel=1e-12, abs=0)
    assert found.method == Method.EXACT
    assert found.detail.startswith("CTMC of ")
    assert "phase-type: fail as 0.127 Erlang-5 | 0.873 Erlang-6 (2 moments)" in found.detail


def erlang_pair(memory: Memory) -> Module:
    """Work of three stages that is interrupted: the stages are the truth, not a stand-in."""
    net = Module("preempted")
    free, busy = net.place("free", 1), net.place("busy")
    net.timed("work", Erlang(10.0, 3), memory=memory).needs(free)
    net.timed("interrupt", Exponential(6.0)).takes(free).puts(busy)
    net.timed("resume", Erlang(2.0, 2)).takes(busy).puts(free)
    other = net.place("other", 1)
    net.timed("tick", Exponential(15.0)).needs(other)
    return net


@pytest.mark.parametrize("memory", Memory)
def test_stages_follow_the_memory_policy_as_simulation_does(memory: Memory) -> None:
    asked = [nets.rate("done", "work"), Measure("free", "free > 0")]
    exact = solve(erlang_pair(memory), asked, Question(phases=Phases()))
    sampling = Sampling(0.02, seed=3, most_events=1_000_000)
    seen = solve(erlang_pair(memory), asked, Question(sampling, Method.SIMULATION))
    for true, other in zip(exact, seen, strict=True):
        assert true.method == Method.EXACT
        assert other.low is not None
        assert other.high is not None
        assert abs(true.value - other.value) < 0.9 * (other.high - other.low)


def test_memory_policies_differ_with_stages_too() -> None:
    values = {
        memory: solve(erlang_pair(memory), [nets.rate("done", "work")], Question(phases=Phases()))[
            0
        ].value
        for memory in Memory
    }
    assert values[Memory.AGE] == pytest.approx(6 / 8 / 10)
    assert values[Memory.RESAMPLE] < 0.9 * values[Memory.ENABLING] < 0.81 * values[Memory.AGE]


def test_a_coloured_net_with_guards_is_staged() -> None:
    net = Module("guarded")
    kinds = ("good", "bad")
    here, there = net.place("here", {"good": 1}, colours=kinds), net.place("there", 1)
    net.timed("spoil", Erlang(6.0, 2)).takes(here, colour="good").puts(here, colour="bad").when(
        "there > 0"
    )
    net.timed("mend", Exponential(2.0)).takes(here, colour="bad").puts(here, colour="good")
    away = net.place("away")
    net.timed("leave", Exponential(5.0)).takes(there).puts(away)
    net.timed("return", Exponential(3.0)).takes(away).puts(there)
    asked = [Measure("good", "here['good'] > 0")]
    (exact,) = solve(net, asked, Question(phases=Phases()))
    (seen,) = solve(net, asked, Question(Sampling(0.01, seed=1), Method.SIMULATION))
    assert seen.low is not None
    assert seen.high is not None
    assert abs(exact.value - seen.value) < 0.9 * (seen.high - seen.low)


def test_infinite_servers_are_refused_by_name() -> None:
    net = Module("crowd")
    up, down = net.place("up", 2), net.place("down")
    net.timed("fail", Uniform(1.0, 2.0), servers=Servers.INFINITE).takes(up).puts(down)
    net.timed("mend", Exponential(1.0)).takes(down).puts(up)
    with pytest.raises(InvalidInput, match="net crowd, transition fail: no phase-type with inf"):
        solve(net, [nets.UP], Question(phases=Phases()))


@pytest.mark.parametrize(("count", "most"), [(1, 20), (4, 20), (2, 0), (2, 1000)])
def test_phases_that_cannot_be_are_refused(count: int, most: int) -> None:
    with pytest.raises(InvalidInput, match="phase-type"):
        Phases(count, most)

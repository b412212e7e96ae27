from __future__ import annotations

import math

import numpy as np
import pytest

from remusnet.availability.distributions import Deterministic, Exponential, Lognormal, Uniform
from remusnet.availability.measures import Measure, MeasureKind, Method
from remusnet.availability.module import Module
from remusnet.availability.net import Memory, Servers
from remusnet.availability.sampling import Sampling
from remusnet.availability.simulation import simulated_curves
from remusnet.availability.solve import solve
from remusnet.availability.transient import transient
from remusnet.availability.unfolding import unfolded
from remusnet.errors import InvalidInput
from tests.unit.availability import nets

TIMES = (0.0, 0.5, 3.0, 20.0, 1000.0)


def two_states(time: float, fail: float, mend: float) -> float:
    """The textbook's probability to be up at ``time``, from up."""
    return mend / (fail + mend) + fail / (fail + mend) * math.exp(-(fail + mend) * time)


def test_two_states_follow_the_textbooks_curve() -> None:
    (curve,) = transient(nets.alternating(Exponential(10.0), Exponential(2.0)), [nets.UP], TIMES)
    assert curve.method == Method.EXACT
    assert curve.values == pytest.approx([two_states(t, 0.1, 0.5) for t in TIMES], rel=1e-12, abs=0)
    assert curve.low == curve.values == curve.high


def test_a_stiff_chain_keeps_the_digits_of_a_small_probability() -> None:
    # A failure a million hours apart, a repair of a second: 3.6e9 jumps to the last time.
    life, times = 3.6e9, (1.0, 3600.0, 3.6e9)
    net = nets.alternating(Exponential(life), Exponential(1.0))
    (curve,) = transient(net, [Measure("down", "down > 0")], times)
    total = 1 / life + 1
    expected = [-math.expm1(-total * t) / life / total for t in times]
    assert curve.values == pytest.approx(expected, rel=1e-9, abs=0)


def test_a_curve_ends_where_the_long_run_is() -> None:
    module, text = nets.MARKOV["nested"]
    (exact,) = solve(module, [Measure("asked", text)])
    (curve,) = transient(module, [Measure("asked", text)], [1e5])
    assert curve.values[0] == pytest.approx(exact.value, rel=1e-10, abs=0)


def test_many_states_are_followed_term_by_term() -> None:
    net = Module("crowd")
    up, down = net.place("up", 40), net.place("down")
    spare, used = net.place("spare", 40), net.place("used")
    net.timed("fail", Exponential(10.0), servers=Servers.INFINITE).takes(up).puts(down)
    net.timed("mend", Exponential(2.0), servers=Servers.INFINITE).takes(down).puts(up)
    net.timed("use", Exponential(5.0), servers=Servers.INFINITE).takes(spare).puts(used)
    net.timed("refill", Exponential(5.0), servers=Servers.INFINITE).takes(used).puts(spare)
    asked = [Measure("up", "up", MeasureKind.MEAN), Measure("spare", "spare", MeasureKind.MEAN)]
    curve, other = transient(net, asked, TIMES)
    assert "1681 states" in curve.detail
    assert curve.values == pytest.approx(
        [40 * two_states(t, 0.1, 0.5) for t in TIMES], rel=1e-9, abs=0
    )
    assert other.values == pytest.approx(
        [40 * two_states(t, 0.2, 0.2) for t in TIMES], rel=1e-9, abs=0
    )


def test_a_simulated_curve_has_the_exact_one_in_its_intervals() -> None:
    net, sampling, times = nets.coloured(), Sampling(0.05, seed=4), (0.0, 1.0, 5.0, 30.0)
    asked = [Measure("busy", "idle < 2"), Measure("bad", "calls['bad']", MeasureKind.MEAN)]
    exact = transient(net, asked, times)
    seen = transient(net, asked, times, sampling, Method.SIMULATION)
    for true, curve in zip(exact, seen, strict=True):
        assert curve.method == Method.SIMULATION
        assert curve.reached
        for value, low, high in zip(true.values, curve.low, curve.high, strict=True):
            slack = 0.8 * (high - low)  # 99.99 % each, instead of 95 %
            assert low - slack <= value <= high + slack


def test_what_has_an_age_is_simulated_from_new() -> None:
    net = nets.alternating(Lognormal(100.0, 0.3), Uniform(1.0, 3.0), Memory.AGE)
    times = (20.0, 60.0, 100.0)
    (curve,) = transient(net, [nets.UP], times, Sampling(0.1, seed=2))
    survival = Lognormal(100.0, 0.3).survival
    assert curve.low[0] <= float(survival(np.array([20.0]))[0]) + 1e-6  # nothing fails so soon
    assert curve.values[0] == pytest.approx(1, abs=1e-3)
    assert curve.values[2] < curve.values[1]


def test_a_net_that_dies_stays_as_it_is() -> None:
    net = Module("once")
    alive, dead = net.place("alive", 1), net.place("dead")
    net.timed("die", Deterministic(5.0)).takes(alive).puts(dead)
    (curve,) = transient(net, [Measure("alive", "alive > 0")], (4.0, 6.0))
    assert curve.values == (1.0, 0.0)
    assert curve.low[0] < 1.0  # Wilson's: not seen is not impossible
    net = Module("once too")
    alive, dead = net.place("alive", 1), net.place("dead")
    net.timed("die", Exponential(5.0)).takes(alive).puts(dead)
    (curve,) = transient(net, [Measure("alive", "alive > 0")], (4.0, 6.0))
    assert curve.values == pytest.approx([math.exp(-0.8), math.exp(-1.2)])


def test_the_slow_way_sums_up_the_same_runs() -> None:
    from remusnet.availability.playing import curves

    net = unfolded(nets.coloured())
    asked = [Measure("idle", "idle == 2"), Measure("bad", "calls['bad']", MeasureKind.MEAN)]
    fast = curves(net, asked, 5, TIMES, 10)
    slow = simulated_curves(net, asked, 5, TIMES, 10)
    assert (fast[0] == slow[0]).all()
    assert (fast[1] == slow[1]).all()
    assert fast[2] == slow[2]


def test_the_number_of_workers_changes_no_digit() -> None:
    net = nets.alternating(Lognormal(10.0, 0.3), Uniform(1.0, 3.0))
    one, two = (
        transient(net, [nets.UP], TIMES, Sampling(0.05, seed=2, workers=workers))
        for workers in (1, 2)
    )
    assert one == two


@pytest.mark.parametrize("times", [(), (-1.0,), (2.0, 1.0), (1.0, 1.0), (math.inf,)])
def test_times_that_do_not_rise_are_refused(times: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput, match="time"):
        transient(nets.cycle(), [Measure("a", "p0")], times)


def test_a_rate_has_no_curve() -> None:
    with pytest.raises(InvalidInput, match="measure t: a rate has no value at a moment"):
        transient(nets.cycle(), [nets.rate("t", "t0")], [1.0])


def test_a_budget_that_is_too_small_is_said() -> None:
    net = nets.alternating(Lognormal(10.0, 0.3), Uniform(1.0, 3.0))
    sampling = Sampling(0.001, seed=2, most_events=20_000)
    (curve,) = transient(net, [nets.UP], [50.0], sampling)
    assert not curve.reached
    assert curve.low[0] < curve.values[0] < curve.high[0]

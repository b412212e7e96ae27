from __future__ import annotations

import re

import pytest
from scipy.sparse import linalg

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
from remusnet.availability.exact import solved_markov
from remusnet.availability.measures import Measure, Method
from remusnet.availability.module import HOUR, YEAR, Module
from remusnet.availability.net import Memory, Servers
from remusnet.availability.solve import Question, solve
from remusnet.availability.states import explored
from remusnet.availability.stationary import Nearby
from remusnet.availability.unfolding import Net, unfolded
from remusnet.errors import InvalidInput
from tests.unit.availability import nets
from tests.unit.availability.storm import storm_probability


def storms(net: Net, text: str) -> str:
    """``text`` with Storm's names for the slots."""

    def slots(found: re.Match[str]) -> str:
        colours = net.places[found[1]]
        chosen = [colours[found[2]]] if found[2] is not None else colours.values()
        return "+".join(f"p{slot}" for slot in chosen)

    spelled = re.sub(r"([a-z][\w.]*)(?:\['(\w+)'\])?", slots, text)
    return spelled.replace("==", "=")


@pytest.mark.parametrize("name", nets.MARKOV)
def test_the_exact_solver_equals_storm(name: str) -> None:
    module, text = nets.MARKOV[name]
    net = unfolded(module)
    (ours,) = solve(net, [Measure("asked", text)])
    assert ours.method == Method.EXACT
    assert ours.value == pytest.approx(storm_probability(net, storms(net, text)), rel=1e-9, abs=0)


def test_coloured_tokens_equal_a_net_unfolded_by_hand() -> None:
    by_hand = Module("by hand")
    idle, good, bad = by_hand.place("idle", 3), by_hand.place("good"), by_hand.place("bad")
    many = Servers.INFINITE
    by_hand.timed("begin", Exponential(5.0), servers=many).takes(idle).puts(good)
    by_hand.timed("spoil", Exponential(20.0), servers=many).takes(good).puts(bad)
    by_hand.timed("end good", Exponential(9.0), servers=many).takes(good).puts(idle)
    by_hand.timed("end bad", Exponential(9.0), servers=many).takes(bad).puts(idle)
    by_hand.timed("drop", Exponential(2.0)).takes(bad).puts(idle)
    (expected,) = solve(by_hand, [Measure("asked", "bad == 0")])
    (seen,) = solve(nets.coloured(), [Measure("asked", "calls['bad'] == 0")])
    assert seen.value == pytest.approx(expected.value, rel=1e-12, abs=0)


def test_a_queue_has_the_textbooks_distribution() -> None:
    # M/M/1/4 with a load of 2/3: P(n) is in proportion to (2/3)^n.
    (seen,) = solve(nets.queue(), [Measure("asked", "waiting > 1")])
    weights = [(2 / 3) ** n for n in range(5)]
    assert seen.value == pytest.approx(sum(weights[2:]) / sum(weights), rel=1e-12, abs=0)


def test_a_tiny_probability_keeps_its_digits() -> None:
    net = nets.alternating(Exponential(1e12), Exponential(1e-3))
    (seen,) = solve(net, [nets.UP])
    assert seen.rest == pytest.approx(1e-15 / (1 + 1e-15), rel=1e-12, abs=0)
    assert seen.nines == pytest.approx(15)


def test_rates_count_immediate_firings_too() -> None:
    seen = solve(
        nets.branching(),
        [nets.rate("all", "fail"), nets.rate("first", "retry"), nets.rate("end", "give up")],
    )
    # From failed: 1/4 to again, and from there 2/3 back: 1/4 / (1 - 1/4 * 2/3) = 0.3 visits.
    assert seen[1].value / seen[0].value == pytest.approx(0.3)
    assert seen[2].value / seen[0].value == pytest.approx(0.1)


@pytest.mark.parametrize(
    "life",
    [
        Lognormal(1000.0, 0.4),
        Weibull(900.0, 2.0),
        Uniform(1.0, 5000.0),
        Deterministic(77.0),
        Erlang(300.0, 4),
        Empirical((3.0, 5.0, 100.0)),
    ],
)
def test_an_alternating_renewal_net_needs_means_only(life: Distribution) -> None:
    (seen,) = solve(nets.alternating(life, Uniform(30, 300)), [nets.UP])
    assert seen.method == Method.CLOSED_FORM
    assert seen.value == pytest.approx(life.mean / (life.mean + 165), rel=1e-12, abs=0)


@pytest.mark.parametrize(("count", "share"), [(6, 0.5743), (5, 0.6003)])
def test_one_token_raced_for_by_lognormal_sections_is_a_closed_form(
    count: int, share: float
) -> None:
    (seen,) = solve(nets.sections(count, Memory.RESAMPLE), [nets.UP])
    first = share * 2208 * HOUR
    assert seen.method == Method.CLOSED_FORM
    # The share of the mean is known to four digits.
    assert seen.rest == pytest.approx(165 / (first + 165), rel=1e-4, abs=0)


def test_a_race_of_unlike_clocks_has_its_winner() -> None:
    net = Module("race")
    start, first, second = net.place("start", 1), net.place("first"), net.place("second")
    net.timed("a", Exponential(10.0)).takes(start).puts(first)
    net.timed("b", Uniform(0.0, 10.0)).takes(start).puts(second)
    net.timed("c", Deterministic(1.0)).takes(first).puts(start)
    net.timed("d", Deterministic(1.0)).takes(second).puts(start)
    a, b = solve(net, [nets.rate("a", "a"), nets.rate("b", "b")])
    # P(Exp(10) < U(0, 10)) = 1 - (1 - 1/e) = 1/e.
    assert a.value / (a.value + b.value) == pytest.approx(0.36787944, rel=1e-5, abs=0)


def test_a_large_chain_has_the_digits_of_its_rarest_state() -> None:
    """A queue of 700 states is solved by sparse factors; its closed form is geometric."""
    room, load = 699, 0.97
    net = Module("queue")
    free, waiting = net.place("free", room), net.place("waiting")
    net.timed("come", Exponential(1 / load)).takes(free).puts(waiting)
    net.timed("go", Exponential(1.0)).takes(waiting).puts(free)
    for count in (0, 350, 699):
        (seen,) = solve(net, [Measure("so many", f"waiting == {count}")])
        exact = load**count * (1 - load) / (1 - load ** (room + 1))
        assert seen.value == pytest.approx(exact, rel=1e-9, abs=0)


def test_published_figures_of_a_switched_over_server_are_met() -> None:
    # Mitel MX-ONE: MTBF of a server 10 years, MTTR 4 h, switch-over 5 min: 99.9978-99.9999 %.
    net = Module("standby")
    up, switching, one = net.place("up", 1), net.place("switching"), net.place("one")
    down = net.place("down")
    net.timed("fail", Exponential(10 * YEAR)).takes(up).puts(switching)
    net.timed("switch", Exponential(300.0)).takes(switching).puts(one)
    net.timed("mend", Exponential(4 * HOUR)).takes(one).puts(up)
    net.timed("fail too", Exponential(10 * YEAR)).takes(one).puts(down)
    net.timed("mend both", Exponential(4 * HOUR)).takes(down).puts(one)
    (seen,) = solve(net, [Measure("up", "up + one > 0")])
    assert 0.999978 <= round(seen.value, 6) <= 0.999999


def test_five_nines_with_an_address_takeover_need_half_a_year_between_failures() -> None:
    # IBM Redbook: a takeover takes 2.5 min; 99.999 % then needs an MTBF of 183 days (rounded
    # there from a year of 5.26 min: two failures).
    (seen,) = solve(nets.alternating(Exponential(183 * 24 * HOUR), Deterministic(150.0)), [nets.UP])
    assert seen.rest == pytest.approx(1e-5, rel=0.06)


def test_an_unfit_method_is_refused() -> None:
    with pytest.raises(InvalidInput, match="there is no exact solution"):
        solve(nets.sections(2, Memory.AGE), [nets.UP], Question(method=Method.EXACT))


def test_an_infinite_server_works_on_as_many_enablings_as_the_tokens_give() -> None:
    net = Module("pairs")
    one, two = net.place("one", 4), net.place("two")
    net.timed("bind", Exponential(1.5), servers=Servers.INFINITE).takes(one, 2).puts(two)
    net.timed("part", Exponential(2.5)).takes(two).puts(one, 2)
    (seen,) = solve(net, [Measure("asked", "two == 2")])
    weights = [1, 2 * 2.5 / 1.5, 2 * (2.5 / 1.5) ** 2]
    assert seen.value == pytest.approx(weights[2] / sum(weights), rel=1e-12, abs=0)


@pytest.mark.parametrize("incomplete", [True, False])
def test_a_chain_is_solved_from_the_factors_of_one_nearby(
    monkeypatch: pytest.MonkeyPatch, incomplete: bool
) -> None:
    """Two queues side by side have 729 states, and a product form.

    Where incomplete factors can't be made, whole ones are, which takes longer.
    """
    made: list[str] = []
    splu, spilu = linalg.splu, linalg.spilu

    def counted(*args: object, **options: object) -> object:
        made.append("whole")
        return splu(*args, **options)

    def tried(*args: object, **options: object) -> object:
        if not incomplete:
            raise RuntimeError("Factor is exactly singular")
        made.append("incomplete")
        return spilu(*args, **options)

    monkeypatch.setattr(linalg, "splu", counted)
    monkeypatch.setattr(linalg, "spilu", tried)
    nearby = Nearby()
    for coming in (2.0, 4.0, 1.0):
        net = Module("queues")
        for name, mean in (("a", coming), ("b", 3.0)):
            free, queue = net.place(f"{name}Free", 26), net.place(name)
            net.timed(f"{name}Comes", Exponential(mean)).takes(free).puts(queue)
            net.timed(f"{name}Goes", Exponential(1.0)).takes(queue).puts(free)
        space = explored(unfolded(net))
        found = solved_markov(space, nearby)
        for name, load in (("a", 1 / coming), ("b", 1 / 3)):
            full = load**26 / sum(load**n for n in range(27))
            estimate = found.estimate(Measure("full", f"{name} == 26"))
            # What is rare keeps its digits: 2e-16 of b, of which nine are asked.
            assert estimate.value == pytest.approx(full, rel=1e-9, abs=0)
    assert made == ["incomplete" if incomplete else "whole"]

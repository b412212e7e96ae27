from __future__ import annotations

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
from remusnet.availability.measures import Measure, Method
from remusnet.availability.module import Module
from remusnet.availability.net import Variable
from remusnet.availability.sampling import Sampling
from remusnet.availability.solve import Question, solve
from remusnet.availability.unfolding import unfolded
from remusnet.errors import InvalidInput
from tests.unit.availability import nets

SECOND = Exponential(1.0)
BOTH = (Method.EXACT, Method.SIMULATION)


def ask(net: Module, method: Method | None = None, text: str = "a > 0") -> None:
    solve(net, [Measure("asked", text)], Question(Sampling(most_events=100_000), method))


def inner() -> Module:
    module = Module("inner")
    module.timed("go", SECOND).takes(module.port("Poison Pill")).puts(module.place("done"))
    return module


def test_modules_nest_and_ports_are_the_outer_places() -> None:
    outer = Module("outer")
    here = outer.place("here", 1)
    outer.include("one", inner(), Poison_Pill=here)
    top = Module("top")
    top.include("deep", outer)
    net = unfolded(top)
    assert net.slots == ("deep.here", "deep.one.done")
    assert net.places["deep.one.Poison_Pill"] == {"": 0}
    assert [mode.name for mode in net.modes] == ["deep.one.go"]


def test_a_port_left_open_is_named() -> None:
    outer = Module("outer")
    with pytest.raises(InvalidInput, match="module outer, included one: port 'Poison Pill' is lef"):
        outer.include("one", inner())
    with pytest.raises(InvalidInput, match="module inner: port 'Poison Pill' is left open"):
        unfolded(inner())


def test_a_port_that_is_not_there_is_named() -> None:
    outer = Module("outer")
    with pytest.raises(InvalidInput, match=r"no port 'Poison' \(did you mean 'Poison_Pill'\?\)"):
        outer.include("one", inner(), Poison=outer.place("here"))


def test_a_place_of_another_module_is_refused() -> None:
    net, other = Module("net"), Module("other")
    with pytest.raises(InvalidInput, match="module net, transition t: place 'p' is not of this"):
        net.immediate("t").takes(other.place("p"))


def test_a_name_is_taken_once() -> None:
    net = Module("net")
    net.place("a b")
    with pytest.raises(InvalidInput, match="module net: the name 'a_b' is taken twice"):
        net.immediate("a_b")


@pytest.mark.parametrize("name", ["", "1st", "a.b", "a\n", "x" * 81])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="expected a letter"):
        Module("net").place(name)


def test_an_unknown_colour_is_named_with_its_place() -> None:
    net = Module("net")
    place = net.place("calls", colours=("good", "bad"))
    with pytest.raises(
        InvalidInput, match="transition t, place calls: unknown colour 'odd'; it has 'good', 'bad'"
    ):
        net.immediate("t").takes(place, colour="odd")
    with pytest.raises(InvalidInput, match="place calls: unknown colour ''"):
        net.immediate("u").takes(place)


def test_a_colour_that_an_arc_makes_of_another_is_checked() -> None:
    net = Module("net")
    place = net.place("calls", {"good": 1}, colours=("good", "bad"))
    kind = Variable("kind")
    net.timed("t", SECOND).takes(place, colour=kind).puts(place, colour=kind.to({"bad": "odd"}))
    with pytest.raises(InvalidInput, match="transition t: place calls has no colour 'odd'"):
        unfolded(net)


def test_a_variable_that_no_arc_binds_is_named() -> None:
    net = Module("net")
    place = net.place("calls", {"good": 1}, colours=("good", "bad"))
    net.timed("t", SECOND).puts(place, colour=Variable("kind").to({"good": "bad"}))
    with pytest.raises(InvalidInput, match="transition t: the variable 'kind' is bound by no"):
        unfolded(net)


@pytest.mark.parametrize("method", BOTH)
def test_a_dead_net_is_named_with_what_it_has(method: Method) -> None:
    net = Module("net")
    net.timed("t", SECOND).takes(net.place("a", 1)).puts(net.place("end"))
    with pytest.raises(InvalidInput, match="net net: a dead net: no transition .* with end"):
        ask(net, method)


@pytest.mark.parametrize("method", BOTH)
def test_a_vanishing_loop_is_named_with_its_transitions(method: Method) -> None:
    net = Module("net")
    a, b, c = net.place("a", 1), net.place("b"), net.place("c")
    net.timed("t", SECOND).takes(a).puts(b)
    net.immediate("there").takes(b).puts(c)
    net.immediate("back").takes(c).puts(b)
    with pytest.raises(InvalidInput, match="vanishing loop: .* (there, back|back, there) fire for"):
        ask(net, method)


@pytest.mark.parametrize("method", BOTH)
def test_a_vanishing_loop_that_makes_tokens_is_named(method: Method) -> None:
    net = Module("net")
    a, b = net.place("a", 1), net.place("b")
    net.timed("t", SECOND).takes(a).puts(b)
    net.immediate("breed").takes(b).puts(b, 2)
    with pytest.raises(InvalidInput, match="vanishing loop: .*breed"):
        ask(net, method)


@pytest.mark.parametrize("method", BOTH)
def test_an_unbounded_place_is_named_with_what_feeds_it(method: Method) -> None:
    net = Module("net")
    a = net.place("a", 1)
    net.timed("feed", SECOND).needs(a).puts(net.place("heap"), 100)
    with pytest.raises(InvalidInput, match="place heap is unbounded: .*; feed put them there"):
        ask(net, method)


@pytest.mark.parametrize("method", BOTH)
def test_a_guard_that_fails_is_named(method: Method) -> None:
    module = Module("inner")
    a, b, c = module.place("a", 1), module.place("b"), module.place("c", 1)
    module.timed("t", SECOND).needs(a).when("1 / (1 - b) > 0")
    module.timed("u", SECOND).takes(c).puts(b)
    net = Module("net")
    net.include("part", module)
    with pytest.raises(
        InvalidInput, match=r"module part, transition t: its guard: '1 / \(1 - b\) > 0' failed"
    ):
        ask(net, method, "part.a > 0")


@pytest.mark.parametrize(
    ("guard", "problem"),
    [
        ("a >", "no expression"),
        ("aa > 0", r"no place 'aa' \(did you mean 'a'\?\)"),
        ("a.x > 0", "no place 'a.x'"),
        ("a['red'] > 0", "a has no colour 'red'; it has ''"),
        ("__import__('os')", "is not understood"),
        ("a.__class__", "no place 'a.__class__'"),
        ("(lambda: 1)()", "is not understood"),
        ("[a][0]", "no place"),
        ("a ** 99999999", "is not understood"),
        ("'x' * 99999999 > 'y'", "is not understood"),
        ("a if a else b'x'", "is not understood"),
        ("-" * 1990 + "a", "nested too deeply|no expression"),
        ("a" * 2001, "longer than"),
    ],
)
def test_a_guard_that_is_no_expression_says_why(guard: str, problem: str) -> None:
    net = Module("net")
    net.timed("t", SECOND).needs(net.place("a", 1)).when(guard)
    with pytest.raises(InvalidInput, match=f"module net, transition t: its guard.*({problem})"):
        unfolded(net)


def test_a_net_that_may_end_in_two_ways_has_no_long_run() -> None:
    net = Module("net")
    a, b, c = net.place("a", 1), net.place("b"), net.place("c")
    net.timed("left", SECOND).takes(a).puts(b)
    net.timed("right", SECOND).takes(a).puts(c)
    net.timed("stay", SECOND).takes(b).puts(b)
    net.timed("stay too", SECOND).takes(c).puts(c)
    with pytest.raises(InvalidInput, match=r"ends in one of (2) parts for good|a dead net"):
        ask(net)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Exponential(-1.0), "invalid mean: -1.0"),
        (lambda: Exponential(float("nan")), "invalid mean: nan"),
        (lambda: Deterministic(0.0), "invalid time: 0.0"),
        (lambda: Uniform(5.0, 5.0), "invalid low end: 5.0"),
        (lambda: Uniform(-5.0, 5.0), "invalid low end: -5.0"),
        (lambda: Lognormal(1.0, 0.0), "invalid sigma: 0.0"),
        (lambda: Weibull(1.0, 0.0), "invalid shape: 0.0"),
        (lambda: Erlang(1.0, 0), "invalid shape: 0"),
        (lambda: Empirical(()), "at least one value"),
        (lambda: Empirical((1.0, -2.0)), "invalid value: -2.0"),
    ],
)
def test_a_time_that_cannot_be_is_refused(make: object, problem: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidInput, match=problem):
        make()


@pytest.mark.parametrize(
    "distribution",
    [
        Exponential(50.0),
        Lognormal(1000.0, 0.4),
        Weibull(900.0, 0.8),
        Uniform(30.0, 300.0),
        Erlang(300.0, 4),
        Empirical((3.0, 5.0, 100.0)),
        Deterministic(4.0),
    ],
)
def test_what_is_drawn_has_the_mean_and_the_survival_that_are_said(
    distribution: Distribution,
) -> None:
    import numpy as np

    times = distribution.draw(np.random.default_rng(1), 200_000)
    spread = times.std() / len(times) ** 0.5
    assert abs(times.mean() - distribution.mean) <= 4 * spread
    at = np.array([0.3, 0.9, 2.0]) * distribution.mean
    seen = np.array([(times > each).mean() for each in at])
    # Four standard deviations of a share of 200,000.
    assert np.abs(seen - distribution.survival(at)).max() <= 4 * 0.5 / 200_000**0.5


def test_an_inhibitor_without_a_colour_counts_all_of_them() -> None:
    net = Module("net")
    calls = net.place("calls", {"good": 1, "bad": 1}, colours=("good", "bad"))
    net.timed("more", SECOND).puts(calls, colour="good").inhibited_by(calls, 4)
    net.timed("less", SECOND).takes(calls, colour="good")
    (seen,) = solve(net, [Measure("full", "calls == 4")])
    assert seen.value == pytest.approx(1 / 4)


def test_a_measure_that_names_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"measure asked: 'upp > 0': no place 'upp' \(did"):
        ask(nets.alternating(SECOND, SECOND), text="upp > 0")

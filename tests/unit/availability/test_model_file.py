from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from remusnet.availability.answers import answered
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
from remusnet.availability.file.model_file import ModelFileError, load
from remusnet.availability.measures import Measure, MeasureKind, Method
from remusnet.availability.model import Budget, Plan, Service
from remusnet.availability.models.library import blueprint
from remusnet.availability.module import DAY, HOUR, YEAR, Module
from remusnet.availability.net import Memory, Servers, Variable
from remusnet.availability.solve import solve
from remusnet.availability.unfolding import Net, unfolded
from remusnet.errors import InvalidInput
from tests.lib.long import count, seed

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "availability"
TWO_SERVERS = EXAMPLES / "two-servers.toml"

PAIR = """
name = "pair"
[parameters]
unit.mttf = { value = "30d", meaning = "a unit's life", source = "measured" }
unit.mttr = "4h"
sticky = "10%"
[module.unit.places]
Up = 1
Down = 0
Mended = 0
"Poison Pill" = "port"
[module.unit.transitions]
fails.takes = "Up"
fails.puts = ["Down", "Poison Pill"]
fails.time = { distribution = "exponential", mean = "unit.mttf" }
repair = { takes = "Down", puts = "Mended", time = { distribution = "exponential", mean = "unit.mttr" } }
well = { takes = "Mended", puts = "Up", weight = "1 - sticky", priority = 2 }
again = { takes = "Mended", puts = "Down", weight = "sticky", priority = 2 }
[net.places]
Alarms = 0
[net.include]
a = { module = "unit", ports = { "Poison Pill" = "Alarms" } }
b = { module = "unit", ports = { "Poison Pill" = "Alarms" }, set = { unit.mttf = "unit.mttf / 2" } }
[net.transitions]
heard.takes = "Alarms"
heard.when = "a.Down + b.Down >= 0"
heard.servers = "infinite"
heard.time = { distribution = "exponential", mean = "5min" }
late = { takes = "2 Alarms", puts = "Alarms", inhibited-by = "9 Alarms" }
[[measure]]
name = "service"
availability = "a.Up + b.Up > 0"
[[measure]]
name = "failures"
rate = "b.fails"
[[measure]]
name = "broken"
mean = "a.Down + b.Down"
[[measure]]
name = "alarm"
probability = "Alarms > 0"
"""  # noqa: E501 - an inline table has one line


def pair() -> Module:
    """The same net as `PAIR`, in Python."""

    def unit(mttf: float) -> Module:
        made = Module("unit")
        up, down, mended = made.place("Up", 1), made.place("Down"), made.place("Mended")
        pill = made.port("Poison Pill")
        made.timed("fails", Exponential(mttf)).takes(up).puts(down).puts(pill)
        made.timed("repair", Exponential(4 * HOUR)).takes(down).puts(mended)
        made.immediate("well", weight=0.9, priority=2).takes(mended).puts(up)
        made.immediate("again", weight=0.1, priority=2).takes(mended).puts(down)
        return made

    net = Module("pair")
    alarms = net.place("Alarms")
    net.include("a", unit(30 * DAY), Poison_Pill=alarms)
    net.include("b", unit(15 * DAY), Poison_Pill=alarms)
    heard = net.timed("heard", Exponential(300), servers=Servers.INFINITE)
    heard.takes(alarms).when("a.Down + b.Down >= 0")
    net.immediate("late").takes(alarms, 2).puts(alarms).inhibited_by(alarms, 9)
    return net


def described(net: Net) -> list[object]:
    """All that a net is, as values that compare."""
    modes = [
        (
            *(each.name, each.distribution, each.memory, each.infinite, each.priority),
            *(each.weight, each.takes, each.change, each.inhibitors),
            each.guard.text if each.guard else None,
        )
        for each in net.modes
    ]
    return [net.slots, net.initial, modes]


def mistakes(text: str) -> list[str]:
    with pytest.raises(ModelFileError) as raised:
        load(text, "model.toml")
    return [str(each) for each in raised.value.mistakes]


def test_a_file_makes_the_net_that_the_same_words_make_in_python() -> None:
    made = load(PAIR, "pair.toml").made()
    assert described(unfolded(made.net)) == described(unfolded(pair()))
    assert made.measures == (
        Service("service", "a.Up + b.Up > 0"),
        Measure("failures", "b.fails", MeasureKind.RATE),
        Measure("broken", "a.Down + b.Down", MeasureKind.MEAN),
        Measure("alarm", "Alarms > 0"),
    )
    found = answered(made, Plan()).estimates
    assert [each.value for each in found] == [
        each.value for each in solve(pair(), list(made.measures))
    ]
    assert {each.method for each in found} == {Method.EXACT}


def test_coloured_arcs_bind_variables_and_map_them() -> None:
    text = """
[net.places]
Jobs = { colours = ["red", "green"], tokens = { red = 2, green = 1 } }
Done = { colours = ["red", "green"] }
[net.transitions]
turn.takes = "Jobs[c]"
turn.puts = { place = "Done", variable = "c", map = { red = "green", green = "red" } }
turn.when = "Done[c] < 5"
turn.inhibited-by = ["4 Done", "3 Done['red']"]
turn.time = "3s"
back = { takes = "2 Done['green']", puts = { place = "Jobs", count = 2, colour = "red" } }
[[measure]]
name = "m"
mean = "Jobs['red']"
"""
    net = Module("model")
    jobs = net.place("Jobs", {"red": 2, "green": 1}, colours=("red", "green"))
    done = net.place("Done", colours=("red", "green"))
    c = Variable("c")
    turn = net.timed("turn", Deterministic(3)).takes(jobs, 1, c)
    turn.puts(done, 1, c.to({"red": "green", "green": "red"})).when("Done[c] < 5")
    turn.inhibited_by(done, 4).inhibited_by(done, 3, "red")
    net.immediate("back").takes(done, 2, "green").puts(jobs, 2, "red")
    assert described(unfolded(load(text, "x").made().net)) == described(unfolded(net))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ('"90s"', Deterministic(90)),
        ('"2 * hour + 30min"', Deterministic(2.5 * HOUR)),
        ('{ distribution = "deterministic", mean = "hour" }', Deterministic(HOUR)),
        ('{ distribution = "exponential", mean = "1.5y" }', Exponential(1.5 * YEAR)),
        (
            '{ distribution = "lognormal", mean = "2208h", sigma = 0.4 }',
            Lognormal(2208 * HOUR, 0.4),
        ),
        ('{ distribution = "weibull", scale = "1d", shape = 2 }', Weibull(DAY, 2)),
        ('{ distribution = "uniform", low = "0s", high = "300s" }', Uniform(0, 300)),
        ('{ distribution = "erlang", mean = "8ms", shape = 3 }', Erlang(0.008, 3)),
        ('{ distribution = "empirical", values = ["1s", "500ms"] }', Empirical((1, 0.5))),
        ('{ distribution = "weibull", mean = "hour", shape = 1 }', Weibull(HOUR, 1)),
    ],
)
@pytest.mark.parametrize("memory", Memory)
def test_every_distribution_and_memory_policy_can_be_written(
    time: str, expected: Distribution, memory: Memory
) -> None:
    text = f"""
parameters.hour = "1h"
net.places.P = 1
net.transitions.t = {{ needs = "P", time = {time}, memory = "{memory}" }}
measure = [{{ name = "m", rate = "t" }}]
"""
    (mode,) = unfolded(load(text, "x").made().net).modes
    assert (mode.distribution, mode.memory) == (expected, memory)


def test_a_design_takes_parameters_and_more_measures() -> None:
    made = load((EXAMPLES / "our-remus.toml").read_text("utf-8"), "x", ["guest.mttf=2y"])
    same = ["host.mttr=4h", "remus.copy=3min", "guest.mttf=2y"]
    found = answered(made.made(), Plan(), split=True)
    ready = answered(blueprint("remus", same).made(), Plan(), split=True)
    assert found.estimates[:3] == ready.estimates
    assert found.causes == ready.causes
    assert found.estimates[3].name == "unprotected"
    assert made.given["host.mttr"].shown == "4h"
    assert "actor.restart" not in made.given  # which it has no use for


def test_a_part_takes_the_place_of_a_module_of_one_s_own() -> None:
    text = """
[net.places]
Below = 1
Up = 1
[net.include]
guest = { part = "guest", ports = { Below = "Below", Up = "Up" }, set = { guest.mttr = "1h" } }
[[measure]]
name = "guest"
availability = "Up > 0"
"""
    made = load(text, "x", ["guest.mttf=99h"])
    (found,) = answered(made.made(), Plan()).estimates
    assert found.value == pytest.approx(0.99, rel=1e-12, abs=0)
    # What the inclusion gives is no parameter any more.
    assert list(made.given) == ["guest.mttf", "guest.boot"]


def test_a_module_can_be_included_many_times_at_once() -> None:
    text = PAIR.replace('b = { module = "unit"', 'b = { count = 3, module = "unit"').replace(
        "b.", "b3."
    )
    net = unfolded(load(text, "x").made().net)
    assert {"b1.Up", "b2.Up", "b3.Up"} < set(net.slots)


def test_changes_of_parameters_make_another_model() -> None:
    made = load(PAIR, "x", ["unit.mttr=2h"])
    assert {name: each.value for name, each in made.given.items()} == {
        "unit.mttf": 30 * DAY,
        "unit.mttr": 2 * HOUR,
        "sticky": 0.1,
    }
    first = answered(made.made(), Plan()).estimates[0]
    other = answered(made.make({"unit.mttr": 4 * HOUR}), Plan()).estimates[0]
    assert other == answered(load(PAIR, "x").made(), Plan()).estimates[0]
    assert other.value < first.value


def test_all_mistakes_are_noted_at_once_with_their_places() -> None:
    found = mistakes(
        """
[parameters]
disk.mttf = "4q"
[set]
host.mtrr = "4h"
[module.disk.places]
Up = -3
Alarm = "port"
[module.disk.transitions]
a = { takes = "Upp", time = { distribution = "exponentiel", mean = "4h" } }
b = { takes = "Up", time = "-4h" }
c = { takes = "Up['red']", puts = "Alarm", memory = "age", when = "Upp > 0" }
d = { takes = "Up", time = "1s", colour = 3 }
e = { time = "4" }
[net.places]
Calls = { colours = ["red", "green"], tokens = { blue = 1 } }
[net.transitions]
f = { takes = "Calls['blu']" }
g = { takes = "Calls", puts = 3 }
[net.include]
x = "disk"
y = { module = "desk" }
z = { part = "remos" }
[[measure]]
name = "m"
[[measure]]
name = "n"
availability = "Cals > 0"
[[measure]]
name = "o"
rate = "ff"
[run]
budgt = 3
"""
    )
    expected = [
        "parameters.disk.mttf: invalid value: '4q'",
        "set.host.mtrr: unknown parameter (did you mean 'host.mttr'?)",
        "module.disk.places.Up: out of range: -3; expected a whole number of tokens",
        "module.disk.transitions.a.time.distribution: unknown distribution: 'exponentiel' (did you",
        "module.disk.transitions.a.takes: unknown place: 'Upp' (did you mean 'Up'?); expected Up,",
        "module.disk.transitions.b.time: a negative time: '-4h'; expected more than 0",
        "module.disk.transitions.c.memory: only a timed transition has it; expected a time beside",
        "module.disk.transitions.c.takes: unknown colour of place Up: 'red'; expected none: its to",
        "module.disk.transitions.d.colour: unknown key; expected one of ",
        "module.disk.transitions.e.time: invalid time: '4'; expected a time with its unit",
        "module.disk.transitions.c.when: 'Upp > 0': no place 'Upp' (did you mean 'Up'?)",
        "net.places.Calls.tokens.blue: unknown colour: 'blue'; expected one of 'red', 'green'",
        "net.include.x.ports: port Alarm of module disk is left open; expected Alarm = a place of",
        "net.include.y.module: unknown module: 'desk' (did you mean 'disk'?); expected \"disk\"",
        "net.include.z.part: unknown part: 'remos' (did you mean 'remus'?); expected one of ",
        "net.transitions.f.takes: unknown colour of place Calls: 'blu'; expected one of red, green",
        "net.transitions.g.takes: an arc of place Calls without a colour; expected Calls['red'] or",
        "net.transitions.g.puts: invalid arc: 3; expected ",
        "measure[1]: none of availability, probability, mean, rate; expected one of them",
        "measure[2].availability: 'Cals > 0': no place 'Cals' (did you mean 'Calls'?); expected an",
        "measure[3].rate: no transition 'ff' (did you mean 'f'?); expected a",
        "run.budgt: unknown key (did you mean 'budget'?); expected one of relative-error, seed, bu",
    ]
    assert [line[: len(begin)] for line, begin in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "net: neither a net nor a design"),
        ("net.places.P = 1", "measure: nothing is asked"),
        ('design = "actor"', "design: unknown design: 'actor' (did you mean 'actors'?)"),
        ('design = "remus"\nnet.places.P = 1', "net: beside a design; expected one of the two"),
        ("net = 3", "net: 3 where a table belongs; expected [net]"),
        ("parameters.is.mttf = '1h'", "parameters.is.mttf: invalid name: 'is.mttf'"),
        ("parameters.host.mttf = '1h'", "parameters.host.mttf: the name of a parameter that ships"),
        ("parameters.p = { value = '1h', sorce = '' }", "unknown key: 'sorce' (did you mean"),
        ("net.transitions.t = { time = '1s' }", "net.transitions.t: a transition without arcs"),
        (
            "net.places.'1st' = 1",
            "net.places.1st: module model, place '1st'; expected a letter, then letters,",
        ),
        ("net.places = { A-b = 1, A_b = 1 }", "the name 'A_b' is taken twice"),
        ("run.method = 'exct'", "run.method: unknown method: 'exct' (did you mean 'exact'?)"),
        ("run.budget = '5 minutes'", "run.budget: invalid budget: '5 minutes'; expected events,"),
        ("run.budget = 3", "run.budget: out of range: 3; expected events, 1000 to 1e12"),
        (
            "design = 'remus'\nrun.rare = 'hosts.Drak > 0'",
            "run.rare: 'hosts.Drak > 0': no place 'hosts.Drak' (did you mean 'hosts.Dark'?)",
        ),
        ("run.relative-error = 2", "run.relative-error: out of range: 2; expected a share such"),
        (
            "design = 'remus'\ncause = [{ name = 'c', when = 'Rum > 0' }]",
            "cause[1].when: 'Rum > 0': no place 'Rum' (did you mean 'Run'?)",
        ),
    ],
)
def test_a_mistake_is_said_with_what_would_be_right(text: str, problem: str) -> None:
    found = mistakes(text)
    assert any(problem in each for each in found), found


def test_what_run_says_is_the_plan() -> None:
    text = (
        "design = 'remus'\n[run]\nrelative-error = 0.05\nseed = 7\nmethod = 'simulation'\n"
        "rare = 'hosts.Dark > 0'\nat = ['1h', '1min']\nbudget = "
    )
    expected = Plan(0.05, 7, Budget(5_000_000), Method.SIMULATION, "hosts.Dark > 0", (60, 3600))
    for budget in ("5000000", "'5M'", "'5e6'"):
        assert load(text + budget, "x").plan == expected
    assert load(text + "'2min'", "x").plan.budget == Budget(seconds=120)


def test_the_examples_of_the_documentation_are_right() -> None:
    for file in (TWO_SERVERS, EXAMPLES / "our-remus.toml"):
        assert load(file.read_text("utf-8"), file.name).made().services
    made = load(TWO_SERVERS.read_text("utf-8"), "x")
    found = answered(made.made(), Plan(0.5, 1, Budget(100_000)))
    # Seen: 0.99992. A short run, so its interval is wide: a wrong model would be off by far more.
    assert 0.9997 < found.estimates[0].value < 0.99999
    assert {each.method for each in found.estimates} == {Method.SIMULATION}


def test_whatever_happens_to_a_file_it_is_read_or_its_mistakes_are_said() -> None:
    rng = Random(seed())
    text = TWO_SERVERS.read_text("utf-8")
    words = ["takes", "'", '"', "[", "]", "{", "}", "=", "Up", "disk", "-1", "1e999", ".", "port"]
    for _ in range(count(sample=60, long=3_000)):
        damaged = text
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(damaged))
            cut = rng.choice((0, 1, 5, 40))
            put = rng.choice(("", rng.choice(words)))
            damaged = damaged[:at] + put + damaged[at + cut :]
        with suppress(InvalidInput):
            unfolded(load(damaged, "damaged.toml").made().net)

"""The compiled kernel against its oracle, which plays the same net step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remusnet.availability.arrays import tables
from remusnet.availability.compiled import Compiled
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
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.models.thesis import ActorTimes, idle_actors, life, server, standard
from remusnet.availability.module import Module
from remusnet.availability.net import Memory, Servers
from remusnet.availability.playing import player
from remusnet.availability.simulation import Player, Simulation
from remusnet.availability.stackcode import NotCompilable
from remusnet.availability.unfolding import Net, unfolded
from remusnet.errors import InvalidInput
from tests.lib.long import count
from tests.unit.availability import nets

DISTRIBUTIONS: tuple[Distribution, ...] = (
    Exponential(3.0),
    Lognormal(4.0, 0.7),
    Weibull(5.0, 1.7),
    Uniform(1.0, 6.0),
    Deterministic(2.0),
    Erlang(4.0, 3),
    Empirical((3.0, 1.0, 7.5)),
)


def both(net: Net, measures: list[Measure], seed: int) -> tuple[Simulation, Compiled]:
    return Simulation(net, measures, seed), Compiled(tables(net, measures), seed)


def story(run: Player, firings: int) -> list[object]:
    """All that a run tells: of firings, of batches, of cycles."""
    chunk = run.firings(firings)
    return [
        chunk,
        *run.batches(3, chunk.length / 7),
        *run.cycles(50, firings // 2),
        *run.cycles(50, firings // 2),
        run.events,
    ]


def thesis_nets() -> dict[str, tuple[Module, str]]:
    times = ActorTimes(life(2208), Uniform(0.5, 1.5), 0.3)
    found = {f"standard, {each}": (standard(2208, each), "Running > 0") for each in Memory}
    return {**found, "actors": (server(times), idle_actors())}


@pytest.mark.parametrize("name", [*nets.MARKOV, *thesis_nets()])
def test_the_same_seed_gives_the_same_run_either_way(name: str) -> None:
    module, text = {**nets.MARKOV, **thesis_nets()}[name]
    slow, fast = both(unfolded(module), [Measure("asked", text, MeasureKind.MEAN)], 5)
    assert story(slow, count(sample=2_000, long=100_000)) == story(
        fast, count(sample=2_000, long=100_000)
    )


@st.composite
def random_nets(draw: st.DrawFn) -> Module:
    """A closed ring of places, with shortcuts of every kind that a net can have."""
    net = Module("random")
    kinds = ("red", "blue")
    size = draw(st.integers(2, 5))
    ring = [net.place(f"p{n}", draw(st.integers(0, 3))) for n in range(size)]
    start = net.place("start", 1)  # so that there is always a token to move
    shade = net.place("shade", {"red": 1}, colours=kinds)
    times = st.sampled_from(DISTRIBUTIONS)
    memories, servers = st.sampled_from(list(Memory)), st.sampled_from(list(Servers))
    net.timed("go", draw(times)).takes(start).puts(ring[0])
    for n, place in enumerate(ring):
        move = net.timed(f"t{n}", draw(times), memory=draw(memories), servers=draw(servers))
        move.takes(place).puts(ring[(n + 1) % size])
    for n in range(draw(st.integers(0, 4))):
        source, target = draw(st.sampled_from(ring)), draw(st.sampled_from(ring))
        made = draw(st.sampled_from(["timed", "immediate", "needs"]))
        if made == "immediate":
            # Only once its source is full, so that the immediate ones come to an end.
            jump = net.immediate(
                f"i{n}", priority=draw(st.integers(1, 2)), weight=draw(st.floats(0.5, 3.0))
            )
            jump.takes(source, 2).puts(start, 2)
        else:
            move = net.timed(f"s{n}", draw(times), memory=draw(memories))
            (move.needs if made == "needs" else move.takes)(source)
            move.puts(start if made == "timed" else target, 1)
            if made == "needs":
                move.takes(target)
            if draw(st.booleans()):
                move.inhibited_by(draw(st.sampled_from(ring)), draw(st.integers(1, 3)))
            if draw(st.booleans()):
                guard = draw(st.sampled_from(GUARDS))
                move.when(guard)
    turn = net.timed("red", draw(times), memory=draw(memories))
    turn.takes(shade, colour="red").puts(shade, colour="blue")
    turn = net.timed("blue", draw(times), memory=draw(memories))
    turn.takes(shade, colour="blue").puts(shade, colour="red").when(draw(st.sampled_from(GUARDS)))
    return net


GUARDS = (
    "p0 + p1 < 4",
    "not (p0 > 2 and p1 > 2)",
    "0 <= p0 < 5 or start == 1",
    "max(p0, p1, 2) - min(p0, 1) >= 1",
    "(p0 if p0 > 1 else p1 + 1) != 7",
    "p0 == 0 or 6 / p0 > -1",
    "p0 // 2 + p1 % 3 * 1.5 <= 4",
    "shade['red'] >= 0 and -p0 <= 0",
)
ASKED = [
    Measure("some", "p0 > 0 and p1 < 3"),
    Measure("sum", "p0 + 2 * p1 - start", MeasureKind.MEAN),
    Measure("go", "go", MeasureKind.RATE),
    Measure("red", "shade['red'] == 1"),
]


@settings(max_examples=count(sample=60, long=1000), deadline=None)
@given(random_nets(), st.integers(0, 2**32))
def test_any_net_is_played_the_same_either_way(module: Module, seed: int) -> None:
    slow, fast = both(unfolded(module), ASKED, seed)
    assert story(slow, 300) == story(fast, 300)


@st.composite
def crowded_nets(draw: st.DrawFn) -> Module:
    """So many clocks that a tournament finds the first, and many of them ring at one moment."""
    part = Module("part")
    full, empty = part.place("full", 2), part.place("empty")
    alarm = part.port("alarm")
    # A time so short that it is lost beside the clock's: it rings again at the same moment.
    moment = Deterministic(1e-30)
    ticks = (Deterministic(1.0), Deterministic(2.0), moment)
    times: st.SearchStrategy[Distribution] = st.sampled_from((*ticks, Uniform(0.5, 1.5)))
    memories, servers = st.sampled_from(list(Memory)), st.sampled_from(list(Servers))
    drain = part.timed("drain", draw(times), memory=draw(memories), servers=draw(servers))
    drain.takes(full).puts(empty)
    fill = part.timed("fill", Deterministic(1.0), memory=draw(memories))
    fill.takes(empty).puts(full)
    if draw(st.booleans()):
        fill.inhibited_by(alarm)
    net = Module("crowd")
    calm, shared = net.place("calm", 1), net.place("alarm")
    net.timed("raise", draw(times)).takes(calm).puts(shared)
    net.timed("lower", Deterministic(3.0)).takes(shared).puts(calm)
    for n in range(draw(st.integers(40, 90))):
        net.include(f"s{n}", part, alarm=shared)
    return net


@pytest.mark.slow
@settings(max_examples=count(sample=15, long=500), deadline=None)
@given(crowded_nets(), st.integers(0, 2**32))
def test_of_many_clocks_the_same_one_rings_first_either_way(module: Module, seed: int) -> None:
    net = unfolded(module)
    # Each tells which of two that ring at one moment was the first.
    asked = [Measure(f"{n}", f"s{n}.full > s{39 - n}.full") for n in range(20)]
    slow, fast = both(net, asked, seed)
    assert story(slow, 2_000) == story(fast, 2_000)


def test_firings_are_remembered_and_forgotten_without_a_trace() -> None:
    """A net of 2^12 markings pays no memory at first, then one that is learnt and left again."""
    net = Module("switches")
    for n in range(12):
        on, off = net.place(f"on{n}", 1), net.place(f"off{n}")
        net.timed(f"down{n}", Lognormal(5.0 + n, 0.5)).takes(on).puts(off)
        net.timed(f"up{n}", Uniform(0.1, 1.0 + n), memory=Memory.AGE).takes(off).puts(on)
    asked = [Measure("on", " + ".join(f"on{n}" for n in range(12)), MeasureKind.MEAN)]
    slow, fast = both(unfolded(net), asked, 9)
    for _ in range(3):
        assert story(slow, 4_000) == story(fast, 4_000)
    assert fast._memo is not None
    assert 200 < fast._memo._learnt <= 200 + fast.events // 100


def test_a_net_of_few_markings_is_played_from_memory() -> None:
    module, text = thesis_nets()["actors"]
    fast = both(unfolded(module), [Measure("idle", text, MeasureKind.MEAN)], 5)[1]
    fast.firings(50_000)
    assert fast._memo is not None
    assert 100 < fast._memo._learnt < 700
    assert fast._run["state"] >= 0


def test_clocks_beyond_those_set_aside_are_made_on_the_way() -> None:
    net = Module("crowd")
    here, there = net.place("here", 500), net.place("there")
    net.timed("go", Lognormal(5.0, 0.5), memory=Memory.AGE, servers=Servers.INFINITE).takes(
        here
    ).puts(there)
    net.timed("rush", Uniform(10.0, 20.0)).takes(there, 40).puts(here, 40)
    slow, fast = both(unfolded(net), [Measure("here", "here", MeasureKind.MEAN)], 3)
    assert story(slow, 3_000) == story(fast, 3_000)


def test_what_computes_with_texts_goes_the_slow_way() -> None:
    net = Module("texts")
    up, down = net.place("up", 1), net.place("down")
    net.timed("fail", Exponential(2.0)).takes(up).puts(down).when("('a' if up else 'b') == 'a'")
    net.timed("mend", Exponential(1.0)).takes(down).puts(up)
    with pytest.raises(NotCompilable):
        tables(unfolded(net), [nets.UP])
    assert isinstance(player(unfolded(net), [nets.UP], 1), Simulation)
    assert isinstance(player(unfolded(nets.cycle()), [], 1), Compiled)


def test_without_numba_every_net_goes_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "remusnet.availability.compiled", None)
    assert isinstance(player(unfolded(nets.cycle()), [], 1), Simulation)


def dead() -> Module:
    net = Module("dead")
    a, b = net.place("a", 1), net.place("b")
    net.timed("go", Exponential(1.0)).takes(a).puts(b)
    return net


def looping() -> Module:
    net = Module("looping")
    a, b, c = net.place("a", 1), net.place("b"), net.place("c")
    net.timed("go", Exponential(1.0)).takes(a).puts(b)
    net.immediate("there").takes(b).puts(c)
    net.immediate("back").takes(c).puts(b)
    return net


def unbounded() -> Module:
    net = Module("unbounded")
    a, heap = net.place("a", 1), net.place("heap")
    net.timed("pile", Exponential(1.0)).needs(a).puts(heap, 200)
    return net


def failing() -> Module:
    net = Module("failing")
    a, b = net.place("a", 1), net.place("b")
    net.timed("go", Exponential(1.0)).takes(a).puts(b)
    net.timed("back", Exponential(1.0)).takes(b).puts(a).when("1 / a > 0")
    return net


@pytest.mark.parametrize("make", [dead, looping, unbounded, failing])
def test_a_bad_net_is_named_in_the_same_words_either_way(make: Callable[[], Module]) -> None:
    def complaint(play: Callable[[], Player]) -> str:
        with pytest.raises(InvalidInput) as refused:
            play().firings(20_000)
        return str(refused.value)

    net = unfolded(make())
    slow = complaint(lambda: Simulation(net, [], 1))
    assert slow == complaint(lambda: Compiled(tables(net, []), 1))
    assert make.__name__ in slow


def test_modules_that_are_built_the_same_are_kept_once() -> None:
    """Else a firing among thousands of them waits for memory, and costs many times as much."""
    part = Module("part")
    up, down, half = part.place("up", 1), part.place("down"), part.place("half", 0)
    part.timed("fail", Lognormal(9.0, 0.4)).takes(up).puts(down).when("half == 0")
    part.timed("mend", Empirical((1.0, 2.0))).takes(down).puts(up).inhibited_by(half, 2)
    part.immediate("never").takes(half, 2).puts(down)
    net = Module("site")
    for n in range(300):
        net.include(f"s{n}", part)
    made = tables(unfolded(net), [Measure("some", "s7.down > 0")])
    assert len(made.modes) == 900
    # Those of the one that is measured are seen, and so are of kinds of their own.
    assert len(made.kinds) == 6
    assert len(made.links) < 200
    assert len(made.numbers) < 10


def test_very_many_tokens_that_become_no_more_are_no_unbounded_place() -> None:
    net = Module("crowd")
    here, there = net.place("here", 1_000_000), net.place("there", 1_000_000)
    both_crowds = net.place("both")
    net.timed("come", Exponential(1.0)).takes(here, 100_000).puts(both_crowds, 100_000)
    net.timed("go", Exponential(1.0)).takes(there, 100_000).puts(both_crowds, 100_000)
    net.timed("back", Exponential(9.0)).takes(both_crowds, 100_000).puts(here, 100_000)
    slow, fast = both(unfolded(net), [Measure("most", "both > 1900000")], 1)
    assert slow.firings(20_000) == fast.firings(20_000)


def test_a_measure_that_fails_is_named_in_the_same_words_either_way() -> None:
    net = unfolded(nets.cycle())
    asked = [Measure("odd", "1 / p1", MeasureKind.MEAN)]
    with pytest.raises(InvalidInput, match="measure odd: '1 / p1' failed: division by zero"):
        Compiled(tables(net, asked), 1)
    with pytest.raises(InvalidInput, match="measure odd: '1 / p1' failed: division by zero"):
        Simulation(net, asked, 1)

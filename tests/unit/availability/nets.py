"""Nets that several tests ask about."""

from __future__ import annotations

from remusnet.availability.distributions import Distribution, Exponential, Lognormal, Uniform
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.module import HOUR, Module
from remusnet.availability.net import Memory, Place, Servers, Variable

UP = Measure("up", "up > 0")


def alternating(
    life: Distribution, repair: Distribution, memory: Memory = Memory.ENABLING
) -> Module:
    net = Module("alternating")
    up, down = net.place("up", 1), net.place("down")
    net.timed("fail", life, memory=memory).takes(up).puts(down)
    net.timed("mend", repair).takes(down).puts(up)
    return net


def sections(count: int, memory: Memory, mean: float = 2208 * HOUR) -> Module:
    """The thesis's standard system: one token, which any of the sections' failures takes."""
    net = Module("standard")
    up, down = net.place("up", 1), net.place("down")
    for number in range(count):
        net.timed(f"T{28 + number}", Lognormal(mean, 0.4), memory=memory).takes(up).puts(down)
    net.timed("T34", Uniform(30, 300)).takes(down).puts(up)
    return net


def section(alarm: bool = False) -> Module:
    net = Module("section")
    up, down = net.place("up", 1), net.place("down")
    crew = net.port("crew")
    fail = net.timed("fail", Exponential(100.0)).takes(up).puts(down)
    if alarm:
        fail.inhibited_by(crew, 2)
    net.timed("mend", Exponential(7.0)).takes(down).needs(crew).puts(up)
    return net


def nested() -> Module:
    """Two groups of two sections, which share one crew that takes breaks."""
    inner = Module("group")
    crew = inner.port("crew")
    inner.include("a", section(), crew=crew)
    inner.include("b", section(), crew=crew)
    outer = Module("site")
    here, away = outer.place("here", 1), outer.place("away")
    outer.include("east", inner, crew=here)
    outer.include("west", inner, crew=here)
    outer.timed("leave", Exponential(50.0)).takes(here).puts(away)
    outer.timed("come back", Exponential(10.0)).takes(away).puts(here)
    return outer


def coloured() -> Module:
    """Calls of two kinds; a fault turns a good one bad, and bad ones end sooner."""
    net = Module("calls")
    kinds = ("good", "bad")
    idle = net.place("idle", 3)
    calls = net.place("calls", colours=kinds)
    kind = Variable("kind")
    net.timed("begin", Exponential(5.0), servers=Servers.INFINITE).takes(idle).puts(
        calls, colour="good"
    )
    net.timed("spoil", Exponential(20.0), servers=Servers.INFINITE).takes(calls, colour=kind).puts(
        calls, colour=kind.to({"good": "bad"})
    ).when("kind == 'good'")
    net.timed("end", Exponential(9.0), servers=Servers.INFINITE).takes(calls, colour=kind).puts(
        idle
    )
    net.timed("drop", Exponential(2.0)).takes(calls, colour="bad").puts(idle)
    return net


def branching() -> Module:
    """Immediate transitions with weights, priorities and a loop that is left by chance."""
    net = Module("branching")
    up, failed, again, slow = (
        net.place("up", 2),
        net.place("failed"),
        net.place("again"),
        net.place("slow"),
    )
    net.timed("fail", Exponential(30.0), servers=Servers.INFINITE).takes(up).puts(failed)
    net.immediate("mended", weight=3).takes(failed).puts(up)
    net.immediate("retry", weight=1).takes(failed).puts(again)
    net.immediate("retried", weight=2).takes(again).puts(failed)
    net.immediate("give up", weight=1).takes(again).puts(slow)
    net.immediate("never", priority=0).takes(failed).puts(slow)
    net.timed("repair", Exponential(4.0)).takes(slow).puts(up)
    return net


def queue(length: int = 4) -> Module:
    net = Module("queue")
    waiting, room = net.place("waiting"), net.place("room", length)
    net.timed("arrive", Exponential(3.0)).takes(room).puts(waiting)
    net.timed("serve", Exponential(2.0)).takes(waiting).puts(room)
    return net


def spares(machines: int = 2, cold: int = 1, crews: int = 1) -> Module:
    net = Module("spares")
    up, spare = net.place("up", machines), net.place("spare", cold)
    broken, crew = net.place("broken"), net.place("crew", crews)
    work = net.place("work")
    net.timed("fail", Exponential(1000.0), servers=Servers.INFINITE).takes(up).puts(broken)
    net.immediate("swap", priority=2).takes(spare).puts(up).inhibited_by(up, machines)
    net.immediate("assign").takes(broken).takes(crew).puts(work)
    net.timed("repair", Exponential(10.0), servers=Servers.INFINITE).takes(work).puts(spare).puts(
        crew
    )
    return net


def pairs() -> Module:
    net = Module("pairs")
    one, two, three = net.place("one", 4), net.place("two"), net.place("three")
    net.timed("bind", Exponential(1.5)).takes(one, 2).puts(two)
    net.timed("part", Exponential(2.5)).takes(two).puts(one, 2)
    net.timed("age", Exponential(8.0)).takes(two).takes(one).puts(three, 3)
    net.timed("renew", Exponential(1.0)).takes(three).puts(one).inhibited_by(one, 3)
    return net


def cycle(places: int = 5) -> Module:
    net = Module("cycle")
    made: list[Place] = [net.place(f"p{n}", int(n == 0)) for n in range(places)]
    for n, place in enumerate(made):
        after = made[(n + 1) % places]
        net.timed(f"t{n}", Exponential(1.0 + n * n)).takes(place).puts(after)
    return net


MARKOV = {
    "alternating": (alternating(Exponential(1e6), Exponential(0.1)), "up > 0"),
    "nested": (nested(), "east.a.up + east.b.up + west.a.up + west.b.up >= 3"),
    "coloured": (coloured(), "calls['bad'] == 0"),
    "branching": (branching(), "up == 2"),
    "queue": (queue(), "waiting > 1"),
    "spares": (spares(), "up == 2"),
    "more spares": (spares(4, 2, 2), "up < 4"),
    "pairs": (pairs(), "two > 0"),
    "cycle": (cycle(), "p4 > 0"),
    "long cycle": (cycle(40), "p39 + p2 > 0"),
}
"""Nets of exponential times alone, each with what is asked of it."""


def rate(name: str, transition: str) -> Measure:
    return Measure(name, transition, MeasureKind.RATE)

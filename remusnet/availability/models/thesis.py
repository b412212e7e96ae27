"""The thesis's models: its actor (Fig. 17, 18), transport layer, server, and standard system.

Hlaváček 2014, 5.5-5.7. Places and transitions have the names of its figures. What it does not
give is a parameter here: an actor's restart time, and what happens once a failure leaves the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from remusnet.availability.distributions import Deterministic, Distribution, Lognormal, Uniform
from remusnet.availability.module import HOUR, Module
from remusnet.availability.net import Memory, Place
from remusnet.errors import InvalidInput

MEAN_LIVES_H: Final = (2208, 1104, 552)
"""E(X) of the three rows of tables 1 and 2, in hours."""
SIGMA: Final = 0.4
SECTIONS: Final = 6
REPAIR: Final = Uniform(30.0, 300.0)
"""A section's repair, in seconds."""
MOST_RESTARTS: Final = 3
WINDOW: Final = Deterministic(30.0)
"""How often T7 forgets a restart, in seconds."""
TRANSPORT: Final = ("receiver", "sender", "coder", "router")
ABOVE: Final = ("registrar", "location", "proxy")
_GROUPS: Final = {"transport": TRANSPORT, "core": ABOVE}
RECOVERY: Final = Uniform(30.0, 300.0)
"""What brings a server back whose top has failed: a person, as a section of the standard system."""


def life(mean_h: float) -> Lognormal:
    """The time to an actor's or a section's failure, in seconds, for E(X) in hours."""
    return Lognormal(mean_h * HOUR, SIGMA)


@dataclass(frozen=True, slots=True)
class ActorTimes:
    """An actor's ``life`` and ``restart``; ``sticky``: the chance that a restart fails at once.

    The thesis gives the life alone; without ``sticky`` faults its T3 practically never fires.
    """

    life: Distribution
    restart: Distribution
    sticky: float = 0.0
    window: Distribution = WINDOW
    memory: Memory = Memory.AGE

    def __post_init__(self) -> None:
        if not 0 <= self.sticky < 1:
            raise InvalidInput(f"invalid sticky: {self.sticky!r}; expected 0 to below 1")


def actor(times: ActorTimes, children: Sequence[str] = ()) -> Module:
    """An actor of Fig. 17, as a supervisor of ``children`` or as a leaf.

    Its ports are the parent's places: ``Fail`` (its failure goes up) and ``Again`` (the parent
    lets it restart). T1 is its failure; Failed -> T6 counts a child's; T2 restarts the child while
    RestartCount has fewer than 3 tokens, T3 passes the failure up with 3; T7 forgets one each 30 s.
    """
    module = Module("actor")
    fail, again = module.port("Fail"), module.port("Again")
    start, idle = module.place("Start", 1), module.place("Idle")
    failing, restarting = module.place("Failing"), module.place("Restart")
    starting = module.place("Starting")
    module.immediate("T5").takes(start).puts(idle)
    module.timed("T1", times.life, memory=times.memory).takes(idle).puts(failing).puts(fail)
    module.immediate("let").takes(failing).takes(again).puts(restarting)
    module.timed("restarts", times.restart, memory=times.memory).takes(restarting).puts(starting)
    module.immediate("starts", weight=1 - times.sticky).takes(starting).puts(start)
    if times.sticky:
        sticks = module.immediate("sticks", weight=times.sticky)
        sticks.takes(starting).puts(failing).puts(fail)
    if children:
        _supervise(module, times, children, idle, failing, fail)
    return module


def _supervise(
    module: Module,
    times: ActorTimes,
    children: Sequence[str],
    idle: Place,
    failing: Place,
    fail: Place,
) -> None:
    """Add what a supervisor has beside its own life: its children, and the rule that restarts them.

    A failure that goes up stops the supervisor itself; the child that caused it stays down until
    the supervisor is back, and then restarts with it.
    """
    count = module.place("RestartCount")
    for name in children:
        failed, let = module.place(f"Failed {name}"), module.place(f"Again {name}")
        known, told = module.place(f"known {name}"), module.place(f"told {name}")
        module.immediate(f"T6 {name}", priority=3).takes(failed).puts(known)
        restarts = module.immediate(f"T2 {name}", priority=2).takes(known).needs(idle)
        restarts.puts(count).puts(let).inhibited_by(count, MOST_RESTARTS)
        gives_up = module.immediate(f"T3 {name}", priority=2).takes(known).takes(idle)
        gives_up.needs(count, MOST_RESTARTS).puts(failing).puts(fail).puts(told)
        module.immediate(f"T4 {name}", priority=2).takes(told).needs(idle).puts(let)
        leaf = actor(times)
        module.include(name, leaf, Fail=failed, Again=let)
    module.timed("T7", times.window).takes(count)


def transport_layer(times: ActorTimes) -> Module:
    """The transport layer alone (Fig. 19): a supervisor and its four children, I0 to I4."""
    return _system("transport layer", {"transport": TRANSPORT}, times)


def server(times: ActorTimes) -> Module:
    """The whole SIP server: the transport layer, and the actors above it."""
    return _system("server", _GROUPS, times)


def _system(name: str, groups: Mapping[str, Sequence[str]], times: ActorTimes) -> Module:
    """``groups`` of supervised actors; a failure that leaves a group's top waits for recovery."""
    module = Module(name)
    for group, children in groups.items():
        failed, again = module.place(f"Failed {group}"), module.place(f"Again {group}")
        module.timed(f"recover {group}", RECOVERY).takes(failed).puts(again)
        module.include(group, actor(times, children), Fail=failed, Again=again)
    return module


def standard(mean_h: float, memory: Memory, sections: int = SECTIONS) -> Module:
    """The standard system (Fig. 22): one token, which the failure of any section takes."""
    module = Module("standard")
    running, failed = module.place("Running", 1), module.place("Failed")
    for number in range(sections):
        fails = module.timed(f"T{28 + number}", life(mean_h), memory=memory)
        fails.takes(running).puts(failed)
    module.timed("T34", REPAIR).takes(failed).puts(running)
    return module


def idle_actors(system: str = "server") -> str:
    """The number of actors that are idle, as an expression over `server` or `transport_layer`."""
    groups = {"transport": TRANSPORT} if system == "transport" else _GROUPS
    names = [*groups, *(f"{g}.{child}" for g, children in groups.items() for child in children)]
    return " + ".join(f"{name}.Idle" for name in names)

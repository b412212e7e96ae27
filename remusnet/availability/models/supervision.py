"""The supervision tree as ``remusnet sip`` has it, under each of its presets.

Eight standing actors, who restarts whom, the sliding window of 5 failures in 30 s, escalation to
the transport supervisor and to the top, and the end of the process, which an operator has to start
again. `remusnet.availability.models.parts` has the smaller tree that designs are compared by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from remusnet.availability.distributions import Deterministic, Distribution, Exponential
from remusnet.availability.measures import Measure
from remusnet.availability.models.parts import calls
from remusnet.availability.module import Module
from remusnet.availability.net import Place, Servers
from remusnet.errors import InvalidInput

BELOW_TRANSPORT: Final = ("sender", "coder", "transactions", "receiver")
BELOW_TOP: Final = ("registrar", "location", "proxy", "transport")
ACTORS: Final = (*BELOW_TOP, *BELOW_TRANSPORT)
PRESETS: Final = ("resilient", "thesis", "none")
MOST_FAILURES: Final = 5
"""In `WINDOW_S`; the next one escalates (Hlaváček 2014, 5.4.4)."""
WINDOW_S: Final = 30.0
_TOP_FAILURES: Final = MappingProxyType({"resilient": 10, "thesis": 5})
_COMMON: Final = ("transport", *BELOW_TRANSPORT)
NEEDED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "registration": (*_COMMON, "registrar", "location"),
        "new-calls": (*_COMMON, "location", "proxy"),
        "established-calls": (*_COMMON, "proxy"),
    }
)
"""The actors that each service needs."""

RESTART_S: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "resilient": MappingProxyType(
            {
                "registrar": 6.5e-05,
                "location": 0.00012,
                "proxy": 0.0004,
                "transport": 0.00086,
                "sender": 0.00011,
                "coder": 6.4e-05,
                "transactions": 0.0011,
                "receiver": 0.00011,
            }
        ),
        "thesis": MappingProxyType(
            {
                "registrar": 6e-05,
                "location": 0.00012,
                "proxy": 0.006,
                "transport": 0.047,
                "sender": 0.00011,
                "coder": 6.6e-05,
                "transactions": 0.018,
                "receiver": 0.00056,
            }
        ),
    }
)
"""Mean restarts in seconds, measured at 21 probes a second.

docs/explanation/availability-experiment.md tells how.
"""


@dataclass(frozen=True, slots=True)
class TreeTimes:
    """What the tree takes. ``life``: of each actor; ``restart``: by actor.

    ``repair``: from the process's end until it serves again. ``sticky``: the chance that a restart
    fails again at once. ``under_way``: how long a request is in the server, whose tables a restart
    loses under ``thesis``; 0: that is left out. ``window``: whether failures are counted, which
    takes a simulation. ``call_mean``: how long a lost call is missed, in seconds; ``notice``: how
    long it takes to notice that, besides.
    """

    life: Distribution
    restart: Mapping[str, Distribution]
    repair: Distribution
    call_mean: float = 180.0
    sticky: float = 0.0
    under_way: float = 0.0
    window: bool = True
    notice: Distribution | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.sticky < 1:
            raise InvalidInput(f"invalid sticky: {self.sticky!r}; expected 0 to below 1")
        missing = [each for each in ACTORS if each not in self.restart]
        if missing:
            raise InvalidInput(f"no restart time of {', '.join(missing)}")


def measured_restarts(preset: str) -> dict[str, Distribution]:
    """Exponential restarts with the means that were measured under ``preset``."""
    return {name: Exponential(mean) for name, mean in RESTART_S[preset].items()}


_CUTS: Final = ("transactions", "transport", "proxy")
"""Whose restart loses, under ``thesis``, the tables of requests that are under way."""


def services(preset: str, times: TreeTimes, *, waiting: bool = False) -> tuple[Measure, ...]:
    """A measure a service, over the places of `server`.

    ``waiting``: clients wait longer than a restart takes. Then an actor that restarts delays a
    request, which waits in its mailbox; only requests whose tables are lost are lost.
    """
    found = []
    for service, actors in NEEDED.items():
        terms = ["Running > 0"]
        if preset != "none" and not waiting:
            terms += [f"{name}.Up > 0" for name in actors]
        if preset == "thesis" and times.under_way:
            terms += [f"{name}.Cut == 0" for name in _CUTS if name in actors]
        if service == "established-calls":
            terms.append("Lost == 0")
        found.append(Measure(service, " and ".join(terms)))
    return tuple(found)


def server(preset: str, times: TreeTimes) -> Module:
    """The whole server under ``preset``. Raises InvalidInput for one that there is none of."""
    if preset not in PRESETS:
        raise InvalidInput(f"unknown preset {preset!r}; expected one of {', '.join(PRESETS)}")
    net = Module(f"sip-{preset}")
    running, rises = net.place("Running", 1), net.place("Rises")
    ended, lost = net.place("Ended"), net.place("Lost")
    net.timed("repair", times.repair).takes(ended).puts(running)
    if preset == "none":
        for name in ACTORS:
            net.timed(f"{name} fails", times.life).takes(running).puts(rises)
        net.immediate("ends").takes(rises).puts(ended)
        net.include("calls", calls(times.call_mean, times.notice), Serving=running, Lost=lost)
        return net
    _top(net, preset, times, running, rises, ended)
    above = {"Parent": running, "Rises": rises}
    up = {name: net.place(f"{name}Up", 1) for name in ("transport", "proxy")}
    transport_rises = net.place("TransportRises")
    for name in ACTORS:
        below = name in BELOW_TRANSPORT
        ports = {"Parent": up["transport"], "Rises": transport_rises} if below else above
        places = _Places(
            up=name in up,
            cut=bool(preset == "thesis" and times.under_way and name in _CUTS),
            below=name == "transport",
        )
        if places.up:
            ports = {**ports, "Up": up[name]}
        if places.below:
            ports = {**ports, "FromBelow": transport_rises}
        net.include(name, _actor(name, times, places), **ports)
    # Under `thesis` sessions end with the session router; else nothing but the process ends them.
    serving = up["proxy"] if preset == "thesis" else running
    net.include("calls", calls(times.call_mean, times.notice), Serving=serving, Lost=lost)
    return net


@dataclass(frozen=True, slots=True)
class _Places:
    """Whether an actor's ``Up`` is a port, requests under way are cut, others rise to it."""

    up: bool = field(default=False)
    cut: bool = field(default=False)
    below: bool = field(default=False)


def _top(
    net: Module, preset: str, times: TreeTimes, running: Place, rises: Place, ended: Place
) -> None:
    """The top restarts all below it; beyond its own window the process ends."""
    restarting, count = net.place("Restarting"), net.place("Count")
    again = net.immediate("restarts", priority=6).takes(rises).takes(running).puts(restarting)
    if times.window:
        most = _TOP_FAILURES[preset]
        again.puts(count).inhibited_by(count, most)
        ends = net.immediate("ends", priority=6).takes(rises).takes(running).puts(ended)
        ends.needs(count, most)
        net.immediate("forgets", priority=6).takes(count).needs(ended)
        _forget(net, count)
    # What more of them rise meanwhile is answered by the same restart.
    net.immediate("answered", priority=6).takes(rises).inhibited_by(running)
    longest = max(times.restart.values(), key=lambda each: each.mean)
    net.timed("restart", longest).takes(restarting).puts(running)


def _forget(module: Module, count: Place) -> None:
    """Each failure leaves the sliding window by itself, 30 s after it came."""
    window = Deterministic(WINDOW_S)
    module.timed("forget", window, servers=Servers.INFINITE).takes(count)


def _actor(name: str, times: TreeTimes, places: _Places) -> Module:
    """An actor: Up, or Restarting; Waiting for its parent's restart after it has escalated."""
    module = Module("actor")
    parent, rises = module.port("Parent"), module.port("Rises")
    up = module.port("Up") if places.up else module.place("Up", 1)
    failed, restarting = module.place("Failed"), module.place("Restarting")
    back, waiting = module.place("Back"), module.place("Waiting")
    module.timed("fails", times.life).takes(up).needs(parent).puts(failed)
    answer = module.immediate("answers", priority=3).takes(failed).puts(restarting)
    if times.window:
        count = module.place("Count")
        answer.puts(count).inhibited_by(count, MOST_FAILURES)
        rising = module.immediate("escalates", priority=3).takes(failed).puts(rises).puts(waiting)
        rising.needs(count, MOST_FAILURES)
        # Its parent's answer lets its window begin anew.
        module.immediate("forgets", priority=4).takes(count).needs(waiting)
        _forget(module, count)
    module.timed("restarts", times.restart[name]).takes(restarting).puts(back)
    module.immediate("ok", priority=3, weight=1 - times.sticky).takes(back).puts(up)
    if times.sticky:
        module.immediate("sticks", priority=3, weight=times.sticky).takes(back).puts(failed)
    if places.below:
        below = module.port("FromBelow")
        module.immediate("brought down", priority=5).takes(below).takes(up).puts(failed)
        module.immediate("answered", priority=5).takes(below).inhibited_by(up)
    module.immediate("stops", priority=4).takes(up).puts(waiting).inhibited_by(parent)
    module.immediate("returns", priority=2).takes(waiting).needs(parent).puts(up)
    if places.cut:
        cut = module.place("Cut")
        module.immediate("cuts", priority=7).needs(failed).puts(cut).inhibited_by(cut)
        module.timed("cut over", Exponential(times.under_way)).takes(cut)
    return module

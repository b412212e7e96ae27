"""Models that ship, by name: the designs, the thesis's, the tree as the SIP server has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from remusnet.availability.distributions import Exponential
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.model import Blueprint, Given, Model, Service
from remusnet.availability.models import supervision, thesis
from remusnet.availability.models.designs import DESIGNS
from remusnet.availability.models.numbers import Numbers
from remusnet.availability.models.parameters import (
    PARAMETERS,
    Parameter,
    Unit,
    Values,
    settings_of,
)
from remusnet.availability.module import HOUR, Module
from remusnet.availability.net import Memory
from remusnet.errors import InvalidInput, quoted, suggestion


def ready(name: str, numbers: Mapping[str, float]) -> Model:
    """The model of that name, of parameters with these ``numbers``."""
    return READY[name](Values(numbers))


def blueprint(name: str, settings: Iterable[str] = ()) -> Blueprint:
    """What makes the model of that name, with ``settings`` such as ``host.mttr=4h`` in it.

    Raises InvalidInput for an unknown name, and for a setting that is none.
    """
    if name not in READY:
        raise InvalidInput(
            f"unknown design {quoted(name)}{suggestion(name, READY)}; "
            f"expected a file (.toml), or one of {', '.join(READY)}"
        )
    known = parameters_of(name)
    numbers = {each.name: each.read(each.default) for each in known.values()}
    numbers.update(settings_of(settings, known))
    noted = Numbers(numbers)
    ready(name, noted)
    given = {
        each.name: Given(each, numbers[each.name])
        for each in known.values()
        if each.name in noted.used
    }

    def make(changes: Mapping[str, float]) -> Model:
        return ready(name, {**numbers, **changes})

    return Blueprint(name, _meaning(name), given, make)


def _meaning(name: str) -> str:
    return (DESIGNS[name].__doc__ or "").strip() if name in DESIGNS else _MEANINGS[name]


def parameters_of(name: str) -> Mapping[str, Parameter]:
    """All that may be set of the model of that name, by name."""
    return {**PARAMETERS, **_restarts(_TREES[name])} if name in _TREES else PARAMETERS


def _restarts(preset: str) -> dict[str, Parameter]:
    """How long each actor of the server's tree restarts, as measured."""
    source = f"measured under {preset} (scripts/availability-experiment)"
    return {
        (key := f"restart.{actor}"): Parameter(
            key, f"{1000 * mean:.4g}ms", Unit.TIME, f"the mean restart of {actor}", source
        )
        for actor, mean in supervision.RESTART_S.get(preset, {}).items()
    }


def _design(name: str, values: Values) -> Model:
    found = DESIGNS[name](values)
    services = tuple(Service(service, text) for service, text in found.services.items())
    return Model(name, found.net, services, found.causes)


def _actor(values: Values) -> Model:
    net = Module("thesis-actor")
    failed, again = net.place("Failed"), net.place("Again")
    net.immediate("T2").takes(failed).puts(again)
    net.include("actor", thesis.actor(_times(values)), Fail=failed, Again=again)
    return Model(net.name, net, (Service("actor", "actor.Idle > 0"),))


def _tree(which: str, values: Values) -> Model:
    build = thesis.transport_layer if which == "transport" else thesis.server
    idle = thesis.idle_actors(which)
    share = f"({idle}) / {idle.count('+') + 1}"
    average = Measure("actors", share, MeasureKind.MEAN)
    return Model(f"thesis-{which}", build(_times(values)), (average,))


def _times(values: Values) -> thesis.ActorTimes:
    return thesis.ActorTimes(
        thesis.life(values["actor.mttf"] / HOUR),
        Exponential(values["actor.restart"]),
        values["actor.sticky"],
    )


def _standard(memory: Memory, values: Values) -> Model:
    net = thesis.standard(values["section.mttf"] / HOUR, memory)
    return Model(f"thesis-standard-{memory}", net, (Service("server", "Running > 0"),))


def _supervised(preset: str, values: Values) -> Model:
    """The server's tree; an actor that restarts doesn't serve, be it for a tenth of a ms."""
    measured = supervision.RESTART_S.get(preset)
    times = supervision.TreeTimes(
        life=Exponential(values["actor.mttf"]),
        restart={
            name: Exponential(values[f"restart.{name}"] if measured else 1.0)
            for name in supervision.ACTORS
        },
        repair=Exponential(values["section.mttr"]),
        call_mean=values["call.mean"],
        sticky=values["actor.sticky"] if measured else 0.0,
    )
    asked = supervision.services(preset, times)
    causes = {"end of the process": "Ended > 0"}
    if measured:
        causes["restart of all"] = "Restarting > 0"
        causes |= {f"restart of {name}": f"{name}.Up == 0" for name in supervision.ACTORS}
    services = tuple(Service(each.name, each.text) for each in asked)
    net = supervision.server(preset, times)
    name = next(each for each, of in _TREES.items() if of == preset)
    return Model(name, net, services, {**causes, "lost calls": "Lost > 0"})


_TREES: Final = {
    "supervision": "resilient",
    "supervision-thesis": "thesis",
    "supervision-none": "none",
}
_MEANINGS: Final = {
    "supervision": "The tree of remusnet sip: what outlives an actor is kept (resilient).",
    "supervision-thesis": "The tree of remusnet sip as the thesis has it: sessions end (thesis).",
    "supervision-none": "remusnet sip without supervision: any actor's failure ends the process.",
    "thesis-standard-resample": "The thesis's standard system (Fig. 22), its clocks new each time.",
    "thesis-standard-age": "The thesis's standard system, whose sections keep their age.",
    "thesis-actor": "An actor of the thesis (Fig. 17), restarted by a parent that never fails.",
    "thesis-transport": "The thesis's transport layer (Fig. 19): a supervisor and four actors.",
    "thesis-server": "The thesis's whole SIP server: two supervisors, and seven actors.",
}
READY: Final[Mapping[str, Callable[[Values], Model]]] = {
    **{name: partial(_design, name) for name in DESIGNS},
    "thesis-standard-resample": partial(_standard, Memory.RESAMPLE),
    "thesis-standard-age": partial(_standard, Memory.AGE),
    "thesis-actor": _actor,
    "thesis-transport": partial(_tree, "transport"),
    "thesis-server": partial(_tree, "server"),
    **{name: partial(_supervised, preset) for name, preset in _TREES.items()},
}

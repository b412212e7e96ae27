"""Models that ship, by name: the designs, and the thesis's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from remusnet.availability.distributions import Exponential
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.model import Blueprint, Given, Model, Service
from remusnet.availability.models import thesis
from remusnet.availability.models.designs import DESIGNS
from remusnet.availability.models.numbers import Numbers
from remusnet.availability.models.parameters import PARAMETERS, Values, settings_of
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
    numbers = {each.name: each.read(each.default) for each in PARAMETERS.values()}
    numbers.update(settings_of(settings, PARAMETERS))
    noted = Numbers(numbers)
    ready(name, noted)
    given = {
        each.name: Given(each, numbers[each.name])
        for each in PARAMETERS.values()
        if each.name in noted.used
    }

    def make(changes: Mapping[str, float]) -> Model:
        return ready(name, {**numbers, **changes})

    return Blueprint(name, _meaning(name), given, make)


def _meaning(name: str) -> str:
    return (DESIGNS[name].__doc__ or "").strip() if name in DESIGNS else _THESIS[name]


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


_THESIS: Final = {
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
}

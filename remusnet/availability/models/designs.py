"""The designs that can be compared, and the services that each one gives.

All times are exponential, so that every value is exact. Of what fails and is repaired one after
the other only the means count, whatever the distribution; it matters where failures overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from remusnet.availability.measures import Estimate, Measure
from remusnet.availability.models.hosts import active_standby, remus
from remusnet.availability.models.parameters import Values
from remusnet.availability.models.parts import CORE, calls, layer, tree
from remusnet.availability.module import Module
from remusnet.availability.net import Place
from remusnet.availability.solve import solve

SECTIONS: Final = 6
SERVICES: Final = ("registration", "new-calls", "established-calls")

_ONE_HOST: Final = {
    "host": "host_layer.Failed > 0",
    "hypervisor": "hypervisor_layer.Failed > 0",
    "hypervisor's start": "hypervisor_layer.Stopped > 0",
}
_TWO_HOSTS: Final = {
    "failover": "hosts.Failover > 0",
    "lost epoch": "hosts.LostEpoch > 0",
    "split brain": "hosts.Split > 0",
    "both hosts down": "hosts.Dark > 0",
}
# Calls that were up before the lost epoch are up in the last checkpoint too.
_UNDER_REMUS: Final = {
    "registration": "Run > 0",
    "new-calls": "Run > 0",
    "established-calls": "Run + hosts.LostEpoch > 0",
}
_GUEST: Final = {
    "guest system": "guest_layer.Failed > 0",
    "guest's start": "guest_layer.Stopped > 0",
}


@dataclass(frozen=True, slots=True)
class Design:
    """A net, and for each service the expression of its places that holds while it is there.

    ``causes``: expressions that hold while something is down, what others stand on first.
    """

    name: str
    net: Module
    services: Mapping[str, str]
    causes: Mapping[str, str]

    def measures(self) -> tuple[Measure, ...]:
        """A measure a service."""
        return tuple(Measure(name, text) for name, text in self.services.items())


def compared(values: Values, design: str) -> tuple[Estimate, ...]:
    """A value for each service of the design of that name. Raises as `solve` does."""
    made = DESIGNS[design](values)
    return solve(made.net, made.measures())


def _standard(values: Values) -> Design:
    """One host, and a server that any of its six sections takes down with all its calls."""
    net = Module("standard")
    return _whole(net, values, _guest(net, values, _one_host(net, values)), _ONE_HOST)


def _actors(values: Values) -> Design:
    """One host, and a server of supervised actors."""
    net = Module("actors")
    return _supervised(net, values, _guest(net, values, _one_host(net, values)), _ONE_HOST)


def _remus(values: Values) -> Design:
    """The standard server under Remus: hosts' failures are masked, the software's are not."""
    net = Module("remus")
    return _whole(
        net, values, _guest(net, values, _two_hosts(net, values)), _TWO_HOSTS, _UNDER_REMUS
    )


def _actors_on_remus(values: Values) -> Design:
    """A server of supervised actors under Remus."""
    net = Module("actors-on-remus")
    return _supervised(
        net, values, _guest(net, values, _two_hosts(net, values)), _TWO_HOSTS, _UNDER_REMUS
    )


def _active_standby(values: Values) -> Design:
    """Two standard servers on a host each; whatever fails, the other takes the address over."""
    net = Module("active-standby")
    active = net.place("Active", 1)
    net.include("pair", active_standby(values, standby_lives(values)), Active=active)
    causes = {
        "takeover": "pair.Takeover > 0",
        "split brain": "pair.Split > 0",
        "both down": "pair.Dark > 0",
    }
    return _with_calls(net, values, active, dict.fromkeys(SERVICES, "Active > 0"), causes)


def standby_lives(values: Values) -> dict[str, tuple[float, float]]:
    """What a standard server fails of, with the mean time to that, and until it is whole again."""
    start = values["guest.boot"] + values["app.start"]
    return {
        "host": (values["host.mttf"], values["host.mttr"] + values["hypervisor.boot"] + start),
        "hypervisor": (values["hypervisor.mttf"], values["hypervisor.mttr"] + start),
        "guest": (values["guest.mttf"], values["guest.mttr"] + values["app.start"]),
        "section": (values["section.mttf"] / SECTIONS, values["section.mttr"]),
    }


DESIGNS: Final[Mapping[str, Callable[[Values], Design]]] = {
    "standard": _standard,
    "active-standby": _active_standby,
    "actors": _actors,
    "remus": _remus,
    "actors-on-remus": _actors_on_remus,
}


def _one_host(net: Module, values: Values) -> Place:
    """One host with its hypervisor; the place that has a token while the hypervisor is up."""
    power, host, up = net.place("Power", 1), net.place("Host", 1), net.place("Hypervisor", 1)
    repair, boot = values["hypervisor.mttr"], values["hypervisor.boot"]
    host_layer = layer("host", values["host.mttr"], values["host.mttr"], [values["host.mttf"]])
    net.include("host layer", host_layer, Below=power, Up=host)
    layer_above = layer("hypervisor", repair, boot, [values["hypervisor.mttf"]])
    net.include("hypervisor layer", layer_above, Below=host, Up=up)
    return up


def _two_hosts(net: Module, values: Values) -> Place:
    """Two hosts under Remus; the place that has a token while the guest's memory is somewhere."""
    run, image = net.place("Run", 1), net.place("Image", 1)
    net.include("hosts", remus(values), Run=run, Image=image)
    return image


def _guest(net: Module, values: Values, below: Place) -> Place:
    up = net.place("Guest", 1)
    guest = layer("guest", values["guest.mttr"], values["guest.boot"], [values["guest.mttf"]])
    net.include("guest layer", guest, Below=below, Up=up)
    return up


def _whole(
    net: Module,
    values: Values,
    guest: Place,
    causes: Mapping[str, str],
    also: Mapping[str, str] | None = None,
) -> Design:
    """The standard server on ``guest``: all of it is up, or nothing."""
    up = net.place("Server", 1)
    lives = [values["section.mttf"]] * SECTIONS
    server = layer("server", values["section.mttr"], values["app.start"], lives)
    net.include("server layer", server, Below=guest, Up=up)
    causes = {
        **causes,
        **_GUEST,
        "section": "server_layer.Failed > 0",
        "program's start": "server_layer.Stopped > 0",
    }
    services = dict.fromkeys(SERVICES, "Server > 0")
    return _with_calls(net, values, up, _needing(services, also), causes)


def _needing(services: Mapping[str, str], also: Mapping[str, str] | None) -> dict[str, str]:
    """``services``, each of which needs what ``also`` says too."""
    if also is None:
        return dict(services)
    return {name: f"{text} and {also[name]}" for name, text in services.items()}


def _supervised(
    net: Module,
    values: Values,
    guest: Place,
    causes: Mapping[str, str],
    also: Mapping[str, str] | None = None,
) -> Design:
    """The server of actors on ``guest``: a service is there while the actors that it needs are."""
    alive = net.place("Alive", 1)
    net.include("tree", tree(values), Below=guest, Alive=alive)
    none_of = " + ".join(
        ("tree.transport.transportRestarting", "tree.transport.Down", "tree.core.Down")
    )
    common = f"Alive > 0 and {none_of} == 0"
    calls_need = f"{common} and tree.core.locationRestarting == 0"
    proxied = "tree.core.proxyRestarting == 0"
    services = {
        "registration": f"{calls_need} and tree.core.registrarRestarting == 0",
        "new-calls": f"{calls_need} and {proxied}",
        "established-calls": f"{common} and {proxied}",
    }
    restarting = " + ".join(
        ("tree.transport.transportRestarting", *(f"tree.core.{each}Restarting" for each in CORE))
    )
    causes = {
        **causes,
        **_GUEST,
        "program's start": "tree.Stopped > 0",
        "group's restart": "tree.transport.Down + tree.core.Down > 0",
        "actor's restart": f"{restarting} > 0",
    }
    return _with_calls(net, values, alive, _needing(services, also), causes)


def _with_calls(
    net: Module,
    values: Values,
    serving: Place,
    services: Mapping[str, str],
    causes: Mapping[str, str],
) -> Design:
    """Established calls are there while they are served, and none that was lost is missed."""
    lost = net.place("Lost")
    net.include("calls", calls(values["call.mean"]), Serving=serving, Lost=lost)
    last = "established-calls"
    services = {**services, last: f"{services[last]} and Lost == 0"}
    return Design(net.name, net, services, {**causes, "lost calls": "Lost > 0"})

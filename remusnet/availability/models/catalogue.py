"""What ships, by name: parts to include in a net of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from remusnet.availability.models.designs import SECTIONS, standby_lives
from remusnet.availability.models.hosts import active_standby, remus
from remusnet.availability.models.parameters import Values
from remusnet.availability.models.parts import calls, layer, tree
from remusnet.availability.module import Module


def _layer(name: str) -> Callable[[Values], Module]:
    def made(values: Values) -> Module:
        mttr = values[f"{name}.mttr"]
        boot = mttr if name == "host" else values[f"{name}.boot"]
        return layer(name, mttr, boot, [values[f"{name}.mttf"]])

    return made


def _server(values: Values) -> Module:
    lives = [values["section.mttf"]] * SECTIONS
    return layer("server", values["section.mttr"], values["app.start"], lives)


PARTS: Final[Mapping[str, Callable[[Values], Module]]] = {
    "host": _layer("host"),
    "hypervisor": _layer("hypervisor"),
    "guest": _layer("guest"),
    "server": _server,
    "actors": tree,
    "calls": lambda values: calls(values["call.mean"]),
    "remus": remus,
    "active-standby": lambda values: active_standby(values, standby_lives(values)),
}
"""Made of the designs' parameters; docs/reference/model-file.md has their ports."""

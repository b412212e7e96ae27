"""A net as the modules that it is made of, each once, in the order in which they are met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remusnet.availability.module import Module


@dataclass(frozen=True, slots=True)
class Shown:
    """A module with the ``name`` that tells it from others, and how often it is in the net.

    ``inside``: the name of the module behind each inclusion. ``at``: one path that leads to it,
    empty for the net itself.
    """

    name: str
    module: Module
    inside: Mapping[str, str]
    times: int
    at: str


def outline(net: Module) -> list[Shown]:
    """The net first, then each different module that it, or one of them, includes."""
    order: dict[int, Module] = {id(net): net}
    paths = {id(net): ""}
    waiting = [net]
    while waiting:
        module = waiting.pop(0)
        for name, inclusion in module.inclusions.items():
            inner = inclusion.module
            if id(inner) not in order:
                order[id(inner)] = inner
                above = paths[id(module)]
                paths[id(inner)] = f"{above}.{name}" if above else name
                waiting.append(inner)
    names = _names(order)
    times = _times(net, order)
    return [
        Shown(
            names[key],
            module,
            {name: names[id(each.module)] for name, each in module.inclusions.items()},
            times[key],
            paths[key],
        )
        for key, module in order.items()
    ]


def _names(order: Mapping[int, Module]) -> dict[int, str]:
    """Modules may share a name: the second one is ``actor (2)``."""
    seen: dict[str, int] = {}
    found = {}
    for key, module in order.items():
        number = seen[module.name] = seen.get(module.name, 0) + 1
        found[key] = module.name if number == 1 else f"{module.name} ({number})"
    return found


def _times(net: Module, order: Mapping[int, Module]) -> dict[int, int]:
    """How often each is in the net: once for each way that leads to it."""
    found = dict.fromkeys(order, 0)

    def above(module: Module) -> list[int]:
        return [id(each.module) for each in module.inclusions.values()]

    # A module that includes others is counted first; a module never includes itself.
    left = dict.fromkeys(order, 0)
    for module in order.values():
        for key in above(module):
            left[key] += 1
    found[id(net)] = 1
    ready = [key for key, count in left.items() if not count]
    while ready:
        key = ready.pop()
        for inner in above(order[key]):
            found[inner] += found[key]
            left[inner] -= 1
            if not left[inner]:
                ready.append(inner)
    return found

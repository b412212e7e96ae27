"""How large a net becomes when all that its modules include is put in, without doing it."""

from __future__ import annotations

import math
from typing import Final

from remusnet.availability.module import Module
from remusnet.availability.net import Definition, Variable

MOST: Final = 500_000
"""Places by colour, and transitions by binding: some seconds, and less than 1 GiB."""


class Sizes:
    """Sizes and depths of modules, each worked out once, from those that it includes."""

    def __init__(self) -> None:
        # The modules too: an identifier is only one while its object is there.
        self._known: dict[int, tuple[Module, int, int]] = {}

    def size(self, module: Module) -> int:
        """Places by colour and transitions by binding, of it and of all that it includes."""
        return self._of(module)[1]

    def depth(self, module: Module) -> int:
        """How many modules are in each other: 1 where it includes none."""
        return self._of(module)[2]

    def _of(self, module: Module) -> tuple[Module, int, int]:
        if id(module) not in self._known:
            inner = [self._of(each.module) for each in module.inclusions.values()]
            own = sum(len(place.colours) for place in module.places.values())
            own += sum(map(_bindings, module.transitions.values()))
            self._known[id(module)] = (
                module,
                own + sum(size for _, size, _ in inner),
                1 + max((depth for _, _, depth in inner), default=0),
            )
        return self._known[id(module)]


def _bindings(definition: Definition) -> int:
    choices = {
        arc.colour.name: len(arc.place.colours)
        for arc in definition.arcs
        if isinstance(arc.colour, Variable)
    }
    return math.prod(choices.values())

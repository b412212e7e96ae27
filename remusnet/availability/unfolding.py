"""A module unfolded: each place and colour one slot of a vector, each transition its modes.

A mode is a transition with colours bound to its variables; each has a clock of its own. What
simulates or solves a net knows only slots and modes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from remusnet.availability.distributions import Distribution
from remusnet.availability.expressions import Colour, Expression, Marking, Scope, compiled, spelled
from remusnet.availability.module import Module
from remusnet.availability.net import PLAIN, Arc, ArcKind, Definition, Memory, Servers, Variable
from remusnet.errors import InvalidInput, quoted, suggestion

_MOST_MODES = 1_000_000


@dataclass(frozen=True, slots=True)
class Mode:
    """A transition with its colours bound. ``distribution`` is None where it is immediate.

    ``takes``, ``puts``: slots with counts, ascending; ``change``: their difference, without zeros;
    ``inhibitors``: slots whose sum must stay below a count; ``slots``: what enabling looks at.
    """

    name: str
    transition: str
    distribution: Distribution | None
    memory: Memory
    infinite: bool
    priority: int
    weight: float
    takes: tuple[tuple[int, int], ...]
    change: tuple[tuple[int, int], ...]
    inhibitors: tuple[tuple[tuple[int, ...], int], ...]
    guard: Expression | None
    slots: frozenset[int]

    def degree(self, marking: Marking) -> int:
        """How many times it is enabled; at most 1 with a single server.

        Raises InvalidInput, which names it, where the guard cannot be computed.
        """
        most = 1 if not self.infinite else 1 << 60
        for slot, count in self.takes:
            if marking[slot] < count:
                return 0
            if self.infinite:
                most = min(most, marking[slot] // count)
        for slots, count in self.inhibitors:
            if sum(marking[slot] for slot in slots) >= count:
                return 0
        if self.guard is not None and not self.guard.value(marking):
            return 0
        return most


@dataclass(frozen=True, slots=True)
class Net:
    """An unfolded module: ``places`` by path and colour, ``transitions`` by path."""

    name: str
    slots: tuple[str, ...]
    initial: tuple[int, ...]
    modes: tuple[Mode, ...]
    places: Mapping[str, Mapping[Colour, int]]
    transitions: Mapping[str, tuple[int, ...]]

    def expression(self, text: str, where: str = "measure") -> Expression:
        """``text`` as a function of this net's markings. Raises InvalidInput."""
        return compiled(text, Scope(self.places), where)

    def modes_of(self, transition: str) -> tuple[int, ...]:
        """The modes of the transition at that path. Raises InvalidInput for an unknown one."""
        known = {spelled(each): modes for each, modes in self.transitions.items()}
        if spelled(transition) not in known:
            hint = suggestion(transition, known)
            raise InvalidInput(f"net {self.name}: no transition {quoted(transition)}{hint}")
        return known[spelled(transition)]

    def shown(self, marking: Marking) -> str:
        """A marking for a message: the places that have tokens."""
        parts = [
            name if count == 1 else f"{count} {name}"
            for name, count in zip(self.slots, marking, strict=True)
            if count
        ]
        return ", ".join(parts[:12]) + (", ..." if len(parts) > 12 else "") or "no token"


def unfolded(module: Module) -> Net:
    """The net that ``module`` is, with all that it includes.

    Raises InvalidInput, which names module, place and transition: for unbound ports, guards that
    are no expressions, colours that a place does not have, transitions that take nothing and so
    never stop.
    """
    return _Unfolding(module).net()


@dataclass(slots=True)
class _Unfolding:
    module: Module
    slots: list[str] = field(default_factory=list)
    initial: list[int] = field(default_factory=list)
    modes: list[Mode] = field(default_factory=list)
    places: dict[str, dict[Colour, int]] = field(default_factory=dict)
    transitions: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def net(self) -> Net:
        self._module(self.module, "", {})
        return Net(
            self.module.name,
            tuple(self.slots),
            tuple(self.initial),
            tuple(self.modes),
            self.places,
            self.transitions,
        )

    def _module(self, module: Module, prefix: str, ports: Mapping[str, dict[Colour, int]]) -> None:
        for place in module.places.values():
            path = f"{prefix}{place.name}"
            if place.port:
                if place.name not in ports:
                    raise InvalidInput(
                        f"module {prefix.rstrip('.') or module.name}: "
                        f"port {quoted(place.name)} is left open"
                    )
                self.places[spelled(path)] = ports[place.name]
                continue
            colours = {}
            for colour in place.colours:
                colours[colour] = len(self.slots)
                self.slots.append(path if colour == PLAIN else f"{path}[{colour}]")
                self.initial.append(place.tokens.get(colour, 0))
            self.places[spelled(path)] = colours
        for inclusion in module.inclusions.values():
            bound = {
                port: self.places[spelled(f"{prefix}{place.name}")]
                for port, place in inclusion.bindings.items()
            }
            self._module(inclusion.module, f"{prefix}{inclusion.name}.", bound)
        for definition in module.transitions.values():
            self._transition(definition, prefix)

    def _transition(self, definition: Definition, prefix: str) -> None:
        path = f"{prefix}{definition.name}"
        where = f"module {prefix.rstrip('.') or self.module.name}, transition {definition.name}"
        if not definition.arcs:
            raise InvalidInput(f"{where}: it takes and puts nothing")
        first = len(self.modes)
        for binding in _bindings(definition, where):
            mode = self._mode(definition, prefix, path, where, binding)
            if mode is not None:
                self.modes.append(mode)
        if len(self.modes) > _MOST_MODES:
            raise InvalidInput(f"{where}: more than {_MOST_MODES} transitions when unfolded")
        self.transitions[path] = tuple(range(first, len(self.modes)))

    def _mode(
        self,
        definition: Definition,
        prefix: str,
        path: str,
        where: str,
        binding: Mapping[str, Colour],
    ) -> Mode | None:
        takes: dict[int, int] = {}
        change: dict[int, int] = {}
        inhibitors: list[tuple[tuple[int, ...], int]] = []
        for arc in definition.arcs:
            colours = self.places[spelled(f"{prefix}{arc.place.name}")]
            if arc.kind == ArcKind.INHIBITS:
                bare = arc.colour is None
                slots = tuple(colours.values()) if bare else (colours[_colour(arc, binding)],)
                inhibitors.append((slots, arc.count))
                continue
            colour = _colour(arc, binding)
            if colour not in colours:
                raise InvalidInput(
                    f"{where}: place {arc.place.name} has no colour {quoted(colour)}"
                )
            slot, sign = colours[colour], -1 if arc.kind == ArcKind.TAKES else 1
            change[slot] = change.get(slot, 0) + sign * arc.count
            if sign < 0:
                takes[slot] = takes.get(slot, 0) + arc.count
        guard = None
        if definition.guard is not None:
            scope = Scope(self.places, spelled(prefix), binding)
            guard = compiled(definition.guard, scope, f"{where}: its guard")
            if not guard.slots and not guard.value(()):
                return None  # these colours never fire it
        infinite = definition.servers == Servers.INFINITE
        if infinite and not takes:
            raise InvalidInput(f"{where}: infinitely many servers, and it takes nothing")
        bound = ", ".join(f"{name}={colour}" for name, colour in binding.items())
        looked = {*takes, *(slot for slots, _ in inhibitors for slot in slots)}
        return Mode(
            name=f"{path}[{bound}]" if bound else path,
            transition=path,
            distribution=definition.distribution,
            memory=definition.memory,
            infinite=infinite,
            priority=definition.priority,
            weight=definition.weight,
            takes=tuple(sorted(takes.items())),
            change=tuple(sorted((slot, by) for slot, by in change.items() if by)),
            inhibitors=tuple(inhibitors),
            guard=guard,
            slots=frozenset(looked | (guard.slots if guard else set())),
        )


def _bindings(definition: Definition, where: str) -> Iterator[dict[str, Colour]]:
    """Every way to bind the variables: each to the colours that all its places have."""
    choices: dict[str, tuple[Colour, ...]] = {}
    for arc in definition.arcs:
        if isinstance(arc.colour, Variable) and arc.colour.colours is None:
            known = choices.get(arc.colour.name, arc.place.colours)
            choices[arc.colour.name] = tuple(c for c in known if c in arc.place.colours)
    for arc in definition.arcs:
        if isinstance(arc.colour, Variable) and arc.colour.name not in choices:
            raise InvalidInput(
                f"{where}: the variable {quoted(arc.colour.name)} is bound by no plain arc"
            )
    for colours in itertools.product(*choices.values()):
        yield dict(zip(choices, colours, strict=True))


def _colour(arc: Arc, binding: Mapping[str, Colour]) -> Colour:
    if isinstance(arc.colour, Variable):
        colour = binding[arc.colour.name]
        return arc.colour.colours.get(colour, colour) if arc.colour.colours else colour
    return PLAIN if arc.colour is None else arc.colour

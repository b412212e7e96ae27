"""How a net is built: modules with places, transitions and ports, which include other modules.

    section = Module("section")
    running = section.place("running", 1)
    failed = section.place("failed")
    section.timed("fail", Exponential(30 * DAY)).takes(running).puts(failed)
    section.timed("repair", Uniform(30, 300)).takes(failed).puts(running)

A port is a place that the including module gives: ``server.include("a", section, alarm=place)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from remusnet.availability.distributions import Distribution
from remusnet.availability.net import (
    PLAIN,
    Arc,
    ArcKind,
    Definition,
    Memory,
    Place,
    Servers,
    Variable,
)
from remusnet.errors import InvalidInput, quoted, suggestion

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
YEAR: Final = 365.25 * DAY

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,79}", re.ASCII)
_MOST_TOKENS = 1_000_000


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A module within another one; ``bindings``: the outer place for each of its ports."""

    name: str
    module: Module
    bindings: Mapping[str, Place]


class Module:
    """Places, transitions and included modules under one name.

    Every method raises InvalidInput, with the module's and the place's or transition's name, for
    what cannot be: a name taken twice, a place of another module, tokens of an unknown colour.
    """

    def __init__(self, name: str) -> None:
        self.name = _named(name, "module", "")
        self.places: dict[str, Place] = {}
        self.transitions: dict[str, Definition] = {}
        self.inclusions: dict[str, Inclusion] = {}
        self._taken: set[str] = set()

    def place(
        self,
        name: str,
        tokens: int | Mapping[str, int] = 0,
        *,
        colours: tuple[str, ...] = (PLAIN,),
    ) -> Place:
        """A place with so many ``tokens`` at the start; with ``colours``, by colour."""
        counts = {PLAIN: tokens} if isinstance(tokens, int) and colours == (PLAIN,) else tokens
        if isinstance(counts, int):
            counts = {colours[0]: counts} if counts else {}
        where = f"module {self.name}, place {name}"
        for colour, count in counts.items():
            _known_colour(colour, colours, where)
            if not 0 <= count <= _MOST_TOKENS:
                raise InvalidInput(f"{where}: {count} tokens; expected 0 to {_MOST_TOKENS}")
        return self._add(Place(self.name, name, colours, dict(counts)))

    def port(self, name: str, *, colours: tuple[str, ...] = (PLAIN,)) -> Place:
        """A place that the including module gives."""
        return self._add(Place(self.name, name, colours, {}, port=True))

    def timed(
        self,
        name: str,
        distribution: Distribution,
        *,
        memory: Memory = Memory.ENABLING,
        servers: Servers = Servers.SINGLE,
    ) -> TransitionBuilder:
        """A transition that fires when it was enabled for as long as ``distribution`` says."""
        return self._transition(Definition(name, distribution, memory=memory, servers=servers))

    def immediate(self, name: str, *, priority: int = 1, weight: float = 1.0) -> TransitionBuilder:
        """A transition that takes no time: the highest priority first, then by ``weight``."""
        where = f"module {self.name}, transition {name}"
        if not 0 < weight < float("inf"):
            raise InvalidInput(f"{where}: weight {weight!r}; expected more than 0")
        return self._transition(Definition(name, None, priority=priority, weight=weight))

    def include(self, name: str, module: Module, **bindings: Place) -> None:
        """Make ``module`` a part of this one, under ``name``; ``bindings`` are its ports' places.

        A port whose name is no word is bound by its name with ``_`` for what a word cannot have.
        """
        where = f"module {self.name}, included {name}"
        self._free(_named(name, "module", f"module {self.name}, "))
        ports = {_word(place.name): place for place in module.places.values() if place.port}
        for port, place in bindings.items():
            if port not in ports:
                raise InvalidInput(f"{where}: no port {quoted(port)}{suggestion(port, ports)}")
            self._own(place, where)
            if place.colours != ports[port].colours:
                raise InvalidInput(
                    f"{where}: port {ports[port].name} and place {place.name} differ in colours"
                )
        for port, inner in ports.items():
            if port not in bindings:
                raise InvalidInput(f"{where}: port {quoted(inner.name)} is left open")
        bound = {ports[port].name: place for port, place in bindings.items()}
        self._taken.add(_word(name))
        self.inclusions[name] = Inclusion(name, module, bound)

    def _add(self, place: Place) -> Place:
        self._free(_named(place.name, "place", f"module {self.name}, "))
        if not place.colours or len(set(place.colours)) != len(place.colours):
            raise InvalidInput(f"module {self.name}, place {place.name}: colours must be distinct")
        self._taken.add(_word(place.name))
        self.places[place.name] = place
        return place

    def _transition(self, definition: Definition) -> TransitionBuilder:
        self._free(_named(definition.name, "transition", f"module {self.name}, "))
        self._taken.add(_word(definition.name))
        self.transitions[definition.name] = definition
        return TransitionBuilder(self, definition)

    def _free(self, name: str) -> None:
        if _word(name) in self._taken:
            raise InvalidInput(f"module {self.name}: the name {quoted(name)} is taken twice")

    def _own(self, place: Place, where: str) -> None:
        if self.places.get(place.name) is not place:
            raise InvalidInput(f"{where}: place {quoted(place.name)} is not of this module")


class TransitionBuilder:
    """What a transition takes, puts and asks for; every method gives the builder back."""

    def __init__(self, module: Module, definition: Definition) -> None:
        self._module, self._definition = module, definition

    def takes(
        self, place: Place, count: int = 1, colour: str | Variable | None = None
    ) -> TransitionBuilder:
        """Take ``count`` tokens from ``place``; it is enabled only while they are there."""
        return self._arc(ArcKind.TAKES, place, count, colour)

    def puts(
        self, place: Place, count: int = 1, colour: str | Variable | None = None
    ) -> TransitionBuilder:
        """Put ``count`` tokens into ``place``."""
        return self._arc(ArcKind.PUTS, place, count, colour)

    def needs(
        self, place: Place, count: int = 1, colour: str | Variable | None = None
    ) -> TransitionBuilder:
        """Be enabled only while ``place`` has ``count`` tokens, which stay there."""
        return self.takes(place, count, colour).puts(place, count, colour)

    def inhibited_by(
        self, place: Place, count: int = 1, colour: str | None = None
    ) -> TransitionBuilder:
        """Be enabled only while ``place`` has fewer than ``count`` tokens (of ``colour``)."""
        return self._arc(ArcKind.INHIBITS, place, count, colour)

    def when(self, guard: str) -> TransitionBuilder:
        """Be enabled only while the expression ``guard`` holds."""
        self._definition.guard = guard
        return self

    def _arc(
        self, kind: ArcKind, place: Place, count: int, colour: str | Variable | None
    ) -> TransitionBuilder:
        where = f"module {self._module.name}, transition {self._definition.name}"
        self._module._own(place, where)
        if not 1 <= count <= _MOST_TOKENS:
            raise InvalidInput(f"{where}: an arc of {count} tokens; expected 1 or more")
        plain = place.colours == (PLAIN,)
        if isinstance(colour, str) or (colour is None and not plain and kind != ArcKind.INHIBITS):
            _known_colour(colour or PLAIN, place.colours, f"{where}, place {place.name}")
        self._definition.arcs.append(Arc(kind, place, count, colour))
        return self


def _word(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _named(name: str, what: str, where: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{where}{what} {quoted(name)}: expected a letter, then letters, digits, spaces, - or _"
        )
    return name


def _known_colour(colour: str, colours: tuple[str, ...], where: str) -> None:
    if colour not in colours:
        known = ", ".join(map(repr, colours))
        raise InvalidInput(f"{where}: unknown colour {quoted(colour)}; it has {known}")

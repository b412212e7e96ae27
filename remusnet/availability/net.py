"""Nets as values: places with coloured tokens, arcs, transitions, and what they are called.

What `remusnet.availability.module` builds, and `remusnet.availability.unfolding` turns into
numbers. Terms are those of stochastic coloured Petri nets (Hlaváček 2014, 5.5; Ajmone Marsan et
al. 1995).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from remusnet.availability.distributions import Distribution

PLAIN: Final = ""
"""The colour of tokens that have none."""


class Memory(StrEnum):
    """What a timed transition's clock does when it is disabled, or when another one fires."""

    RESAMPLE = "resample"
    """Begins anew whenever any transition of the net has fired."""
    AGE = "age"
    """Stops while disabled, and goes on where it stopped."""
    ENABLING = "enabling"
    """Runs on while enabled; disabling discards it."""


class Servers(StrEnum):
    """How many of its enablings a transition works on at once."""

    SINGLE = "single"
    INFINITE = "infinite"


@dataclass(frozen=True, slots=True)
class Variable:
    """A colour that an arc binds when its transition fires; ``colours`` maps it on the way."""

    name: str
    colours: Mapping[str, str] | None = None

    def to(self, colours: Mapping[str, str]) -> Variable:
        """The colour that ``colours`` has for the bound one: an arc's expression."""
        return Variable(self.name, colours)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Holds tokens. ``port``: it is the including module's place of that name."""

    module: str
    name: str
    colours: tuple[str, ...]
    tokens: Mapping[str, int]
    port: bool = False


class ArcKind(StrEnum):
    """What an arc does when its transition fires, or what it asks before."""

    TAKES = "takes"
    PUTS = "puts"
    INHIBITS = "inhibits"


@dataclass(frozen=True, slots=True)
class Arc:
    """``count`` tokens of ``colour``; None: the plain one (of an inhibitor: any)."""

    kind: ArcKind
    place: Place
    count: int
    colour: str | Variable | None


@dataclass(slots=True)
class Definition:
    """A transition as it was written. ``distribution`` is None where it is immediate."""

    name: str
    distribution: Distribution | None
    memory: Memory = Memory.ENABLING
    servers: Servers = Servers.SINGLE
    priority: int = 1
    weight: float = 1.0
    guard: str | None = None
    arcs: list[Arc] = field(default_factory=list)

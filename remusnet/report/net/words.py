"""Arcs, times and tokens in words, as a model file would have them."""

from __future__ import annotations

from dataclasses import fields

from remusnet.availability.distributions import Deterministic, Distribution, Empirical
from remusnet.availability.models.parameters import shown_time
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

_TIMES = ("mean", "low", "high", "scale")


def time_words(distribution: Distribution) -> str:
    """``lognormal, mean 3d, sigma 0.4``; a constant time is that time alone."""
    if isinstance(distribution, Deterministic):
        return f"always {shown_time(distribution.mean)}"
    kind = type(distribution).__name__.lower()
    if isinstance(distribution, Empirical):
        many = len(distribution.values)
        return f"{kind}, {many} values, mean {shown_time(distribution.mean)}"
    parts = [kind]
    for each in fields(distribution):  # type: ignore[arg-type]
        value = getattr(distribution, each.name)
        shown = shown_time(value) if each.name in _TIMES and value else f"{value:g}"
        parts.append(f"{each.name} {shown}")
    return ", ".join(parts)


def kind_words(definition: Definition) -> str:
    """What a transition is: its time, and what is unusual about it."""
    if definition.distribution is None:
        parts = ["immediate"]
        if definition.priority != 1:
            parts.append(f"priority {definition.priority}")
        if definition.weight != 1.0:
            parts.append(f"weight {definition.weight:.4g}")
        return ", ".join(parts)
    parts = [time_words(definition.distribution)]
    if definition.memory != Memory.ENABLING:
        parts.append(f"memory {definition.memory}")
    if definition.servers != Servers.SINGLE:
        parts.append(f"{definition.servers} servers")
    return ", ".join(parts)


def tokens_words(place: Place) -> str:
    """``port``, ``2``, ``2 red, 1 green``."""
    coloured = place.colours != (PLAIN,)
    if place.port:
        return f"port of {', '.join(place.colours)}" if coloured else "port"
    if not coloured:
        return str(place.tokens.get(PLAIN, 0))
    return ", ".join(f"{place.tokens.get(each, 0)} {each}" for each in place.colours)


def arc_words(arc: Arc) -> str:
    """``2 Up``, ``Jobs['disk']``, ``Jobs[part]``."""
    count = f"{arc.count} " if arc.count != 1 else ""
    return f"{count}{arc.place.name}{colour_words(arc)}"


def colour_words(arc: Arc) -> str:
    """What of a place an arc means; nothing where its tokens are plain."""
    if isinstance(arc.colour, Variable):
        changes = arc.colour.colours
        to = f": {', '.join(f'{a} to {b}' for a, b in changes.items())}" if changes else ""
        return f"[{arc.colour.name}{to}]"
    return f"['{arc.colour}']" if arc.colour else ""


def arcs_by_verb(definition: Definition) -> dict[str, list[Arc]]:
    """The arcs of a transition: ``takes``, ``puts``, ``needs`` (both at once), ``not with``."""
    takes = [each for each in definition.arcs if each.kind == ArcKind.TAKES]
    puts = [each for each in definition.arcs if each.kind == ArcKind.PUTS]
    needs = []
    for each in list(takes):
        back = next((p for p in puts if _same(p, each)), None)
        if back is not None:
            needs.append(each)
            takes.remove(each)
            puts.remove(back)
    stops = [each for each in definition.arcs if each.kind == ArcKind.INHIBITS]
    return {"takes": takes, "puts": puts, "needs": needs, "inhibited by": stops}


def _same(one: Arc, other: Arc) -> bool:
    return (one.place, one.count, one.colour) == (other.place, other.count, other.colour)

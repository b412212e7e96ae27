"""Arcs of a model file: ``"Up"``, ``"2 Spare"``, ``"Calls['lost']"``, ``"Calls[c]"``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from remusnet.availability.net import PLAIN, Place, Variable
from remusnet.errors import suggestion
from remusnet.tables.documents import Unfit
from remusnet.tables.mistakes import shown

_TEXT = re.compile(
    r"""(?:([0-9]{1,7})\ +)?([A-Za-z][A-Za-z0-9 _-]*?)
        (?:\[(?:'([^']*)'|"([^"]*)"|([A-Za-z][A-Za-z0-9_]*))\])?""",
    re.ASCII | re.VERBOSE,
)
EXPECTED = (
    '"Place", "2 Place", "Place[\'colour\']", "Place[variable]" or { place, count, colour, '
    "variable, map }"
)
_KEYS = ("place", "count", "colour", "variable", "map")


@dataclass(frozen=True, slots=True)
class ArcText:
    """An arc that was read: ``colour`` None is that of plain tokens."""

    place: Place
    count: int
    colour: str | Variable | None


def read_arc(value: object, places: Mapping[str, Place], *, any_colour: bool = False) -> ArcText:
    """The arc that ``value`` is, to or from one of ``places``. Raises Unfit.

    ``any_colour``: it may leave open which colour of a place it means, as inhibitors do.
    """
    arc = _of_table(value, places) if isinstance(value, dict) else _of_text(value, places)
    if arc.colour is None and not any_colour and arc.place.colours != (PLAIN,):
        name = arc.place.name
        problem = f"an arc of place {name} without a colour"
        raise Unfit(problem, f"{name}['{arc.place.colours[0]}'] or {name}[variable]")
    return arc


def _of_text(value: object, places: Mapping[str, Place]) -> ArcText:
    found = _TEXT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise Unfit(f"invalid arc: {shown(value)}", EXPECTED)
    place = _place(found[2], places)
    colour = found[3] if found[3] is not None else found[4]
    meant: str | Variable | None = colour
    if found[5] is not None:
        meant = Variable(found[5])
    return ArcText(place, _count(int(found[1] or 1)), _coloured(place, meant))


def _of_table(table: Mapping[str, object], places: Mapping[str, Place]) -> ArcText:
    for key in table:
        if key not in _KEYS:
            raise Unfit(f"unknown key of an arc: {shown(key)}{suggestion(key, _KEYS)}", EXPECTED)
    name, count = table.get("place"), table.get("count", 1)
    colour, variable = table.get("colour"), table.get("variable")
    if not isinstance(name, str):
        raise Unfit("an arc without a place", EXPECTED)
    if not isinstance(count, int) or isinstance(count, bool):
        raise Unfit(f"invalid count: {shown(count)}", "a whole number of tokens")
    if colour is not None and not isinstance(colour, str):
        raise Unfit(f"invalid colour: {shown(colour)}", "a colour of the place")
    if variable is None and "map" in table:
        raise Unfit("a map without a variable", "variable, whose colours it maps")
    place = _place(name, places)
    if variable is None:
        return ArcText(place, _count(count), _coloured(place, colour))
    if not isinstance(variable, str) or not variable.isidentifier() or colour is not None:
        raise Unfit(f"invalid variable: {shown(variable)}", "a word, and no colour beside it")
    return ArcText(place, _count(count), Variable(variable, _map(table.get("map"), place)))


def _map(value: object, place: Place) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise Unfit(f"invalid map: {shown(value)}", 'colours by colour, as { red = "green" }')
    for colour in value.values():
        _coloured(place, colour)
    return dict(value)


def _place(name: str, places: Mapping[str, Place]) -> Place:
    if name not in places:
        known = ", ".join(places) if 0 < len(places) <= 12 else "a place of this module"
        raise Unfit(f"unknown place: {shown(name)}{suggestion(name, places)}", known)
    return places[name]


def _count(count: int) -> int:
    if not 1 <= count <= 1_000_000:
        raise Unfit(f"out of range: {shown(count)} tokens", "1 to 1000000")
    return count


def _coloured(place: Place, colour: str | Variable | None) -> str | Variable | None:
    if isinstance(colour, Variable):
        if place.colours == (PLAIN,):
            raise Unfit(f"place {place.name} has no colours", "its name alone")
        return colour
    if colour is not None and colour not in place.colours:
        problem = f"unknown colour of place {place.name}: {shown(colour)}"
        known = [each for each in place.colours if each]
        expected = f"one of {', '.join(known)}" if known else "none: its tokens are plain"
        raise Unfit(f"{problem}{suggestion(colour, known)}", expected)
    return colour

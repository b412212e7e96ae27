"""A transition of a model file: its arcs, its time, and when it may fire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from remusnet.availability.expressions import Scope, compiled
from remusnet.availability.file.arcs import EXPECTED, ArcText, read_arc
from remusnet.availability.file.names import Names
from remusnet.availability.file.quantities import value_of
from remusnet.availability.file.times import read_time
from remusnet.availability.module import Module, TransitionBuilder
from remusnet.availability.net import Memory, Place, Servers, Variable
from remusnet.errors import InvalidInput
from remusnet.tables.documents import Unfit
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import shown

_ARCS = ("takes", "puts", "needs", "inhibited-by")
_MOST_ARCS = 1000


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard's text, a colour for each variable that it may name, and where mistakes go."""

    text: str
    bound: Mapping[str, str]
    fields: Fields


def read_transition(
    module: Module, name: str, fields: Fields, parameters: Mapping[str, float]
) -> tuple[Guard, ...]:
    """Add to ``module`` the transition that ``fields`` describe; mistakes are noted there.

    Its guard, if it has one, is not looked at yet: it may name what is included later.
    """
    known = len(fields.mistakes)
    builder = _builder(module, name, fields, parameters)
    arcs = {kind: _arcs(fields, kind, module.places) for kind in _ARCS}
    guard = fields.text("when", "", "an expression over places") if fields.has("when") else ""
    if not any(arcs.values()) and len(fields.mistakes) == known:
        fields.mistake("", "a transition without arcs", "takes, puts or needs")
    fields.finish()
    guards = (Guard(guard, _variables(arcs), fields),) if guard else ()
    if builder is None or len(fields.mistakes) != known:
        return guards
    adding: dict[str, Callable[[Place, int, str | Variable | None], object]] = {
        "takes": builder.takes,
        "puts": builder.puts,
        "needs": builder.needs,
    }
    for kind, found in arcs.items():
        for arc in found:
            if kind in adding:
                adding[kind](arc.place, arc.count, arc.colour)
            else:
                assert not isinstance(arc.colour, Variable)
                builder.inhibited_by(arc.place, arc.count, arc.colour)
    if guard:
        builder.when(guard)
    return guards


def check_guards(guards: Iterable[Guard], module: Module) -> None:
    """Note the ``guards`` that are no expressions of the places of ``module``."""
    names = Names(module)
    for each in guards:
        try:
            compiled(each.text, Scope(names, "", each.bound), "")
        except InvalidInput as error:
            problem = str(error).removeprefix(": ")
            each.fields.mistake("when", problem, "an expression over places")


def _variables(arcs: Mapping[str, tuple[ArcText, ...]]) -> dict[str, str]:
    """One colour for each variable: enough to see whether names are right."""
    return {
        arc.colour.name: arc.place.colours[0]
        for found in arcs.values()
        for arc in found
        if isinstance(arc.colour, Variable)
    }


def _builder(
    module: Module, name: str, fields: Fields, parameters: Mapping[str, float]
) -> TransitionBuilder | None:
    timed = fields.has("time")
    for key in ("priority", "weight") if timed else ("memory", "servers"):
        if fields.has(key):
            whose = "an immediate transition" if timed else "a timed transition"
            expected = "no time beside it" if timed else "a time beside it"
            fields.mistake(key, f"only {whose} has it", expected)
    memory = fields.word("memory", Memory.ENABLING, Memory)
    servers = fields.word("servers", Servers.SINGLE, Servers)
    priority = fields.whole("priority", 1, least=1, most=1000)
    weight = fields.read("weight", 1.0, lambda each: _weight(each, parameters), _WEIGHT)
    time = read_time(fields, "time", parameters) if timed else None
    if weight is None or (timed and time is None):
        return None
    try:
        if time is not None:
            return module.timed(name, time, memory=memory, servers=servers)
        return module.immediate(name, priority=priority, weight=weight)
    except InvalidInput as error:
        note(fields, "", error)
        return None


_WEIGHT = "a number of more than 0, or one that parameters give"


def _weight(value: object, parameters: Mapping[str, float]) -> float:
    found = value_of(value, parameters, _WEIGHT)
    if not found > 0:
        raise Unfit(f"out of range: {shown(value)}", _WEIGHT)
    return found


def _arcs(fields: Fields, key: str, places: Mapping[str, Place]) -> tuple[ArcText, ...]:
    value = fields.table.get(key, [])
    items = value if isinstance(value, list) else [value]
    fields.read(key, (), lambda _: (), EXPECTED)
    if len(items) > _MOST_ARCS:
        fields.mistake(key, f"too many: {len(items)}", f"at most {_MOST_ARCS} arcs")
        return ()
    found = []
    for number, item in enumerate(items, 1):
        try:
            arc = read_arc(item, places, any_colour=key == "inhibited-by")
            if key == "inhibited-by" and isinstance(arc.colour, Variable):
                raise Unfit("an inhibitor of a variable colour", "a colour, or none for any")
            found.append(arc)
        except Unfit as error:
            in_list = number if isinstance(value, list) else None
            fields.mistake(key, error.problem, error.expected, in_list)
    return tuple(found)


def note(fields: Fields, key: str, error: InvalidInput) -> None:
    """Note what building a net has refused."""
    problem, _, expected = str(error).partition("; expected ")
    if not expected:
        problem, _, expected = str(error).partition(": expected ")
    fields.mistake(key, problem, expected or "a net that can be built")

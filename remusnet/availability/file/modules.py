"""The modules of a model file: places, ports, transitions, and what each includes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from remusnet.availability.file.nested import flattened
from remusnet.availability.file.quantities import value_of
from remusnet.availability.file.size import MOST, Sizes
from remusnet.availability.file.transitions import Guard, check_guards, note, read_transition
from remusnet.availability.models.catalogue import PARTS
from remusnet.availability.models.numbers import Numbers
from remusnet.availability.models.parameters import PARAMETERS, Values
from remusnet.availability.module import Module
from remusnet.availability.net import PLAIN, Place
from remusnet.errors import InvalidInput, suggestion
from remusnet.tables.documents import Unfit, key_path
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import shown

NET = "net"
_MOST_TOKENS = 1_000_000
_MOST_COLOURS = 1000
_MOST_COUNT = 100_000
_MOST_BUILT = 2000
_DEEPEST = 40
_TOKENS = f"a whole number of tokens, 0 to {_MOST_TOKENS}"


class Modules:
    """Builds the modules that the tables ``modules`` describe; mistakes go to one list."""

    def __init__(self, modules: Mapping[str, dict[str, Any]], mistakes: Fields) -> None:
        self._tables = modules
        self._top = mistakes
        self._built: dict[object, Module | None] = {}
        self._sizes = Sizes()

    def net(self, table: dict[str, Any], title: str, numbers: Numbers) -> Module | None:
        """The net of the table ``[net]``; None where a mistake leaves nothing to go on with."""
        for name, each in self._tables.items():
            fields = Fields(each, f"module.{name}", self._top.mistakes)
            self._module(name, fields, numbers, ())
        return self._module(title, Fields(table, NET, self._top.mistakes), numbers, ())

    def _module(
        self, name: str, fields: Fields, numbers: Numbers, trail: tuple[str, ...]
    ) -> Module | None:
        key = (fields.path, numbers.key)
        if key not in self._built:
            self._built[key] = None  # of a module that is being built, or has mistakes
            self._built[key] = self._new(name, fields, numbers, trail)
        return self._built[key]

    def _new(
        self, name: str, fields: Fields, numbers: Numbers, trail: tuple[str, ...]
    ) -> Module | None:
        if len(self._built) > _MOST_BUILT or len(trail) > _DEEPEST:
            expected = f"at most {_MOST_BUILT} different modules, {_DEEPEST} deep"
            fields.mistake("", "too many modules, or too deep in each other", expected)
            return None
        try:
            module = Module(name)
        except InvalidInput as error:
            note(fields, "", error)
            return None
        self._places(module, fields, numbers)
        self._inclusions(module, fields, numbers, (*trail, fields.path))
        self._transitions(module, fields, numbers)
        fields.finish()
        if self._sizes.size(module) > MOST or self._sizes.depth(module) > _DEEPEST:
            expected = f"at most {MOST} places and transitions, {_DEEPEST} modules deep"
            fields.mistake("", "too large when its modules are put in", expected)
            return None
        return module

    def _places(self, module: Module, fields: Fields, numbers: Numbers) -> None:
        places = fields.inner("places")
        if places is None:
            return
        for name, value in places.table.items():
            try:
                if isinstance(value, dict):
                    inner = places.inner(name)
                    assert inner is not None
                    self._place_of_table(module, name, inner, numbers)
                elif value == "port":
                    module.port(name)
                else:
                    module.place(name, _tokens(value, numbers))
            except Unfit as error:
                places.mistake(name, error.problem, error.expected)
                _stand_in(module, name)
            except InvalidInput as error:
                note(places, name, error)

    def _place_of_table(self, module: Module, name: str, fields: Fields, numbers: Numbers) -> None:
        colours = fields.texts("colours", "a list of words") or (PLAIN,)
        is_port = fields.flag("port", False)
        wrong = [each for each in colours if (each and not each.isprintable()) or len(each) > 40]
        if len(colours) > _MOST_COLOURS or wrong or (fields.has("colours") and "" in colours):
            fields.mistake("colours", "invalid colours", f"at most {_MOST_COLOURS} short words")
            return
        value = fields.table.get("tokens", 0)
        tokens: dict[str, int] | int
        if isinstance(value, dict):
            inner = fields.inner("tokens")
            assert inner is not None
            tokens = {}
            for colour, count in inner.table.items():
                if colour not in colours:
                    problem = f"unknown colour: {shown(colour)}{suggestion(colour, colours)}"
                    inner.mistake(colour, problem, f"one of {', '.join(map(shown, colours))}")
                    continue
                try:
                    tokens[colour] = _tokens(count, numbers)
                except Unfit as error:
                    inner.mistake(colour, error.problem, error.expected)
        else:
            tokens = fields.read("tokens", 0, lambda each: _tokens(each, numbers), _TOKENS) or 0
            if tokens and colours != (PLAIN,):
                fields.mistake("tokens", "tokens without a colour", "counts by colour")
                tokens = 0
        if is_port and tokens:
            fields.mistake("tokens", "a port has no tokens of its own", "them in the place bound")
            tokens = 0
        fields.finish()
        if is_port:
            module.port(name, colours=colours)
        else:
            module.place(name, tokens, colours=colours)

    def _transitions(self, module: Module, fields: Fields, numbers: Numbers) -> None:
        transitions = fields.inner("transitions")
        if transitions is None:
            return
        guards: list[Guard] = []
        for name in transitions.table:
            inner = transitions.inner(name)
            if inner is not None:
                guards += read_transition(module, name, inner, numbers)
        check_guards(guards, module)

    def _inclusions(
        self, module: Module, fields: Fields, numbers: Numbers, trail: tuple[str, ...]
    ) -> None:
        included = fields.inner("include")
        if included is None:
            return
        for name, value in included.table.items():
            inner: Fields | None
            if isinstance(value, str):
                path = key_path(included.path, name)
                inner = Fields({"module": value}, path, included.mistakes)
            else:
                inner = included.inner(name)
            if inner is not None:
                self._include(module, name, inner, numbers, trail)

    def _include(
        self,
        module: Module,
        name: str,
        fields: Fields,
        numbers: Numbers,
        trail: tuple[str, ...],
    ) -> None:
        known = len(fields.mistakes)
        if fields.has("module") == fields.has("part"):
            fields.mistake("", "neither a module nor a part, or both", "one of the two")
            return
        given = self._local(fields, numbers)
        count = fields.whole("count", 1, least=1, most=_MOST_COUNT)
        is_part = fields.has("part")
        key = "part" if is_part else "module"
        word = fields.one_of(key, None, PARTS if is_part else self._tables or ("(none)",))
        inner: Module | None = None
        if len(fields.mistakes) == known:
            if is_part:
                inner = PARTS[word](Values(numbers.with_local(given)))
            else:
                path = f"module.{word}"
                if path in trail:
                    way = " -> ".join(each.rpartition(".")[2] for each in (*trail, path))
                    fields.mistake("module", f"it includes itself: {way}", "another one")
                    return
                table = Fields(self._tables[word], path, fields.mistakes)
                inner = self._module(word, table, numbers.with_local(given), trail)
        ports = fields.inner("ports")
        fields.finish()
        if inner is None:
            return
        bound = _bound(module, inner, fields, ports)
        if bound is None:
            return
        names = [name] if not fields.has("count") else [f"{name}{i}" for i in range(1, count + 1)]
        if self._sizes.size(inner) * len(names) > MOST:
            fields.mistake("count", "too large when its modules are put in", f"at most {MOST}")
            return
        try:
            for each in names:
                module.include(each, inner, **bound)
        except InvalidInput as error:
            note(fields, "", error)

    def _local(self, fields: Fields, numbers: Numbers) -> dict[str, float]:
        """What an inclusion sets of the parameters that its module uses."""
        table = fields.inner("set")
        found: dict[str, float] = {}
        if table is None:
            return found
        for name, value in flattened(table.table).items():
            if name not in numbers:
                problem = f"unknown parameter{suggestion(name, numbers)}"
                table.mistake(name, problem, "one of [parameters], or of those that ship")
                continue
            expected = PARAMETERS[name].default if name in PARAMETERS else "4h"
            try:
                found[name] = value_of(value, numbers, f"a value such as {expected}")
            except Unfit as error:
                table.mistake(name, error.problem, error.expected)
        return found


def _stand_in(module: Module, name: str) -> None:
    """A place for one that has a mistake: what names it is no mistake."""
    with suppress(InvalidInput):
        module.place(name)


def _bound(
    module: Module, inner: Module, fields: Fields, ports: Fields | None
) -> dict[str, Place] | None:
    """The outer place for each port of ``inner``; None where there are mistakes."""
    there = {each.name: each for each in inner.places.values() if each.port}
    bound: dict[str, Place] = {}
    known = len(fields.mistakes)
    for name, value in ({} if ports is None else ports.table).items():
        assert ports is not None
        if name not in there:
            expected = f"one of {', '.join(there)}" if there else "none: it has no ports"
            ports.mistake(name, f"unknown port{suggestion(name, there)}", expected)
        elif not isinstance(value, str) or value not in module.places:
            hint = suggestion(value, module.places) if isinstance(value, str) else ""
            ports.mistake(
                name, f"unknown place: {shown(value)}{hint}", "a place of the module around it"
            )
        elif module.places[value].colours != there[name].colours:
            ports.mistake(name, f"place {value} has other colours", "those of the port")
        else:
            bound[name] = module.places[value]
    given = {} if ports is None else ports.table
    for name in there:
        if name not in given:
            problem = f"port {name} of module {inner.name} is left open"
            fields.mistake("ports", problem, f"{name} = a place of the module around it")
    if len(fields.mistakes) != known:
        return None
    return {"".join(c if c.isalnum() else "_" for c in name): each for name, each in bound.items()}


def _tokens(value: object, numbers: Mapping[str, float]) -> int:
    found = value_of(value, numbers, _TOKENS)
    if found != int(found) or not 0 <= found <= _MOST_TOKENS:
        raise Unfit(f"out of range: {shown(value)}", _TOKENS)
    return int(found)

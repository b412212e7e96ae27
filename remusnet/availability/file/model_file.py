"""model.toml: what makes a `Model`, or every mistake in it at once.

docs/reference/model-file.md has every key.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from remusnet.availability.expressions import Scope, compiled
from remusnet.availability.file.modules import Modules
from remusnet.availability.file.names import Names, has_transition, transition_names
from remusnet.availability.file.nested import flattened
from remusnet.availability.file.quantities import NAME, value_of
from remusnet.availability.file.run_keys import read_plan
from remusnet.availability.measures import Measure, MeasureKind
from remusnet.availability.model import Blueprint, Given, Model, Plan, Service
from remusnet.availability.models.library import READY, ready
from remusnet.availability.models.numbers import Numbers
from remusnet.availability.models.parameters import (
    PARAMETERS,
    Parameter,
    Unit,
    settings_of,
)
from remusnet.availability.module import Module
from remusnet.errors import InvalidInput, suggestion
from remusnet.tables.documents import Unfit, parse
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import Mistake, MistakenFile, shown

_KINDS = ("availability", "probability", "mean", "rate")
_MOST_PARAMETERS = 1000
_MOST_ASKED = 200
_VALUE = 'a time such as "4h", a share such as "1%", or a number'


class ModelFileError(MistakenFile):
    """A model.toml with mistakes."""


def load(text: str, origin: str, settings: Iterable[str] = ()) -> Blueprint:
    """What makes the model that ``text`` describes, with ``settings`` (``host.mttr=4h``) in it.

    ``origin``: the file's name, for messages. Raises ModelFileError with every mistake,
    InvalidInput for a setting that is none.
    """
    found = parse(text)
    if isinstance(found, Mistake):
        raise ModelFileError(origin, (found,))
    reading = _Reading(found, origin)
    mistakes: list[Mistake] = []
    known = {**PARAMETERS, **reading.parameters(mistakes)}
    numbers = {**reading.numbers(known, mistakes), **settings_of(settings, known)}
    return reading.blueprint(known, numbers, mistakes)


class _Reading:
    """One reading of the tables; it is read again for other values of its parameters."""

    def __init__(self, table: dict[str, Any], origin: str) -> None:
        self._table, self._origin = table, origin

    def parameters(self, mistakes: list[Mistake]) -> dict[str, Parameter]:
        """The file's own parameters, with 1 for what has a mistake."""
        top = Fields(self._table, "", mistakes)
        fields = top.inner("parameters")
        found: dict[str, Parameter] = {}
        for name, value in (
            {} if fields is None else flattened(fields.table, leaf="value")
        ).items():
            try:
                found[name] = _parameter(name, value)
            except Unfit as error:
                mistakes.append(Mistake(f"parameters.{name}", error.problem, error.expected))
                found[name] = Parameter(name, "1", Unit.NUMBER, "", "")
        if len(found) > _MOST_PARAMETERS:
            top.mistake("parameters", f"too many: {len(found)}", f"at most {_MOST_PARAMETERS}")
        return found

    def numbers(self, known: Mapping[str, Parameter], mistakes: list[Mistake]) -> dict[str, float]:
        """The values of all ``known`` parameters, as ``[set]`` has them."""
        top = Fields(self._table, "", mistakes)
        numbers = {name: each.read(each.default) for name, each in known.items()}
        fields = top.inner("set")
        for name, value in ({} if fields is None else flattened(fields.table)).items():
            if name not in PARAMETERS:
                own = name in known
                problem = "an own parameter" if own else "unknown parameter"
                expected = "its value in [parameters]" if own else "a parameter that ships"
                problem += suggestion(name, PARAMETERS)
                mistakes.append(Mistake(f"set.{name}", problem, expected))
                continue
            try:
                numbers[name] = known[name].read(value if isinstance(value, str) else str(value))
            except InvalidInput as error:
                problem, _, expected = str(error).removeprefix(f"{name}: ").partition("; expected ")
                mistakes.append(Mistake(f"set.{name}", problem, expected))
        return numbers

    def blueprint(
        self,
        known: Mapping[str, Parameter],
        numbers: Mapping[str, float],
        mistakes: list[Mistake],
    ) -> Blueprint:
        """The blueprint. Raises ModelFileError: for ``mistakes`` too, which were found before."""
        used: set[str] = set()

        def make(changes: Mapping[str, float]) -> Model:
            found, _, _ = self._read(Numbers({**numbers, **changes}, used=used), [])
            return found

        model, plan, description = self._read(Numbers(numbers, used=used), mistakes)
        given = {
            name: Given(each, numbers[name])
            for name, each in known.items()
            if name in used or name not in PARAMETERS
        }
        return Blueprint(model.name, description, given, make, plan)

    def _read(self, numbers: Numbers, mistakes: list[Mistake]) -> tuple[Model, Plan, str]:
        top = Fields(self._table, "", mistakes)
        title = top.text("name", "model", "a name", most=64)
        description = top.text("description", "", "one line of at most 500 characters")
        base = self._design(top, numbers) if top.has("design") else None
        net = base.net if base is not None else self._net(top, title, numbers)
        measures = self._measures(top, net)
        causes = dict(base.causes) if base is not None else {}
        causes.update(self._causes(top, net))
        plan = read_plan(top.inner("run"), net)
        for key in ("parameters", "set"):
            top.inner(key)
        top.finish()
        names = {each.name for each in measures}
        asked = () if base is None else tuple(m for m in base.measures if m.name not in names)
        if net is not None and not asked and not measures and not mistakes:
            top.mistake("measure", "nothing is asked", '[[measure]], as availability = "Up > 0"')
        self._raise(mistakes)
        assert net is not None
        name = title if top.has("name") or base is None else base.name
        return Model(name, net, (*asked, *measures), causes), plan, description

    def _design(self, top: Fields, numbers: Numbers) -> Model | None:
        for key in ("net", "module"):
            if top.has(key):
                top.mistake(key, "beside a design", "one of the two")
                top.inner(key)
        word = top.one_of("design", None, READY)
        return None if any(each.path == "design" for each in top.mistakes) else ready(word, numbers)

    def _net(self, top: Fields, title: str, numbers: Numbers) -> Module | None:
        fields = top.inner("net")
        modules = top.inner("module")
        if fields is None:
            top.mistake("net", "neither a net nor a design", '[net], or design = "actors"')
            return None
        tables: dict[str, dict[str, Any]] = {}
        for name, each in ({} if modules is None else modules.table).items():
            assert modules is not None
            if modules.inner(name) is not None:
                tables[name] = each
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in title).strip(
            "-0123456789"
        )
        return Modules(tables, top).net(fields.table, name or "net", numbers)

    def _measures(self, top: Fields, net: Module | None) -> tuple[Measure, ...]:
        found: dict[str, Measure] = {}
        names = Names(net) if net is not None else None
        for fields in _at_most(top, "measure"):
            name = fields.text("name", None, "a name", most=64)
            kinds = [each for each in _KINDS if fields.has(each)]
            if len(kinds) != 1:
                fields.mistake("", f"{len(kinds) or 'none'} of {', '.join(_KINDS)}", "one of them")
            texts = {kind: fields.text(kind, None, "an expression", most=2000) for kind in kinds}
            fields.finish()
            if name in found:
                fields.mistake("name", f"{shown(name)} is there twice", "each once")
            if len(kinds) != 1 or not texts[kinds[0]] or net is None or names is None:
                continue
            kind, text = kinds[0], texts[kinds[0]]
            if kind == "rate":
                _check_transition(fields, text, net)
            else:
                _check_expression(fields, kind, text, names)
            if kind == "availability":
                found[name] = Service(name, text)
            else:
                found[name] = Measure(name, text, MeasureKind(kind))
        return tuple(found.values())

    def _causes(self, top: Fields, net: Module | None) -> dict[str, str]:
        found: dict[str, str] = {}
        names = Names(net) if net is not None else None
        for fields in _at_most(top, "cause"):
            name = fields.text("name", None, "a name", most=64)
            text = fields.text("when", None, "an expression over places", most=2000)
            fields.finish()
            if text and names is not None:
                _check_expression(fields, "when", text, names)
            found[name] = text
        return found

    def _raise(self, mistakes: list[Mistake]) -> None:
        # A module that is included twice is read twice.
        if mistakes:
            raise ModelFileError(self._origin, tuple(dict.fromkeys(mistakes)))


def _parameter(name: str, value: object) -> Parameter:
    meaning = source = ""
    if isinstance(value, dict):
        for key in value:
            if key not in ("value", "meaning", "source"):
                hint = suggestion(key, ("value", "meaning", "source"))
                raise Unfit(f"unknown key: {shown(key)}{hint}", "value, meaning, source")
        texts = [value.get("meaning", ""), value.get("source", "")]
        if any(not isinstance(each, str) or not each.isprintable() for each in texts):
            raise Unfit("meaning or source is no line of text", "text")
        meaning, source = texts
        value = value.get("value")
    if not NAME.fullmatch(name) or any(keyword.iskeyword(each) for each in name.split(".")):
        raise Unfit(f"invalid name: {shown(name)}", "words between dots, as disk.mttf")
    if name in PARAMETERS:
        raise Unfit("the name of a parameter that ships", "another name, or [set]")
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, str):
        for unit in (Unit.TIME, Unit.SHARE):
            found = Parameter(name, text.strip(), unit, meaning, source)
            try:
                found.read(text)
            except InvalidInput:
                continue
            if unit == Unit.TIME or "%" in text:
                return found
    value_of(value, {}, _VALUE)  # raises for what is no number
    number = Parameter(name, text.strip(), Unit.NUMBER, meaning, source)
    try:
        number.read(text)
    except InvalidInput:
        raise Unfit(f"invalid value: {shown(value)}", _VALUE) from None
    return number


def _at_most(top: Fields, key: str) -> Iterator[Fields]:
    """The tables ``[[key]]``, unless there are too many: each expression costs milliseconds."""
    found = list(top.inners(key))
    if len(found) > _MOST_ASKED:
        top.mistake(key, f"too many: {len(found)}", f"at most {_MOST_ASKED}")
        return
    yield from found


def _check_expression(fields: Fields, key: str, text: str, names: Names) -> None:
    try:
        compiled(text, Scope(names), "")
    except InvalidInput as error:
        fields.mistake(key, str(error).removeprefix(": "), "an expression over places")


def _check_transition(fields: Fields, text: str, net: Module) -> None:
    if not has_transition(net, text):
        hint = suggestion(text, transition_names(net))
        fields.mistake("rate", f"no transition {shown(text)}{hint}", "a transition's path")

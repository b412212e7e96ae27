"""``[run]`` of a model file: how its measures are worked out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from remusnet.availability.expressions import Scope, compiled
from remusnet.availability.file.names import Names
from remusnet.availability.file.quantities import value_of
from remusnet.availability.measures import Method
from remusnet.availability.model import Budget, Plan
from remusnet.availability.models.parameters import parse_time
from remusnet.availability.module import Module
from remusnet.availability.phases import Phases
from remusnet.errors import InvalidInput
from remusnet.tables.documents import Unfit
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import shown

_ERROR = 'a share such as "1%", more than 0, at most 50%'
FEWEST_EVENTS: Final = 1_000
LARGEST_BUDGET: Final = 10**12
_BUDGET = 'events, 1000 to 1e12, such as "5M", or a time, such as "60s"'
_AT = 'times from the start, such as ["1h", "1d"], at most 1000'
_MOST_MOMENTS = 1000
_EVENTS = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?(?:e[0-9]{1,2})?)([kMG]?)")
_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


def read_plan(fields: Fields | None, net: Module | None) -> Plan:
    """The plan for ``net``; the usual one where there is no ``[run]``."""
    if fields is None:
        return Plan()
    plain = Plan()
    error = fields.read("relative-error", plain.relative_error, _relative_error, _ERROR)
    plan = Plan(
        relative_error=plain.relative_error if error is None else error,
        seed=fields.whole("seed", plain.seed, least=0, most=2**63 - 1),
        budget=fields.read("budget", plain.budget, _budget, _BUDGET) or plain.budget,
        method=_method(fields),
        rare=fields.text("rare", "", "an expression over places") or None,
    )
    plan = replace(plan, at=fields.read("at", (), _moments, _AT) or ())
    moments = fields.whole("phases", 0, least=2, most=3)
    if moments:
        plan = replace(plan, phases=Phases(moments))
    if plan.rare is not None and net is not None:
        try:
            compiled(plan.rare, Scope(Names(net)), "")
        except InvalidInput as wrong:
            fields.mistake("rare", str(wrong).removeprefix(": "), "an expression over places")
    fields.finish()
    return plan


def parse_moments(texts: Iterable[str]) -> tuple[float, ...]:
    """Times from the start, in seconds, rising, of ``"1h"`` and so on. Raises InvalidInput."""
    try:
        return _moments(list(texts))
    except Unfit as error:
        raise InvalidInput(f"--at: {error.problem}; expected {error.expected}") from None


def _moments(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) > _MOST_MOMENTS:
        raise Unfit(f"invalid times: {shown(value)}", _AT)
    found = set()
    for each in value:
        try:
            found.add(parse_time(each if isinstance(each, str) else str(each)))
        except InvalidInput:
            raise Unfit(f"invalid time: {shown(each)}", _AT) from None
    return tuple(sorted(found))


def _method(fields: Fields) -> Method | None:
    word = fields.one_of("method", "", [each.value for each in Method])
    return Method(word) if word else None


def parse_relative_error(text: str) -> float:
    """A share of ``"1%"`` or ``"0.01"``. Raises InvalidInput."""
    try:
        return _relative_error(text)
    except Unfit as error:
        raise InvalidInput(f"--relative-error: {error.problem}; expected {_ERROR}") from None


def parse_budget(text: str) -> Budget:
    """Events of ``"5000000"``, ``"5e6"`` or ``"5M"``, seconds of ``"60s"``. Raises InvalidInput."""
    try:
        return _budget(text)
    except Unfit as error:
        raise InvalidInput(f"--budget: {error.problem}; expected {error.expected}") from None


def _budget(value: object) -> Budget:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise Unfit(f"invalid budget: {shown(value)}", _BUDGET)
    found = _EVENTS.fullmatch(text.strip())
    if found is None:
        try:
            return Budget(seconds=parse_time(text))
        except InvalidInput:
            raise Unfit(f"invalid budget: {shown(value)}", _BUDGET) from None
    events = float(found[1]) * _FACTORS[found[2]]
    if not FEWEST_EVENTS <= events <= LARGEST_BUDGET:
        raise Unfit(f"out of range: {shown(value)}", _BUDGET)
    return Budget(events=int(events))


def _relative_error(value: object) -> float:
    found = value_of(value, {}, _ERROR)
    if not 0 < found <= 0.5:
        raise Unfit(f"out of range: {shown(value)}", _ERROR)
    return found

"""``[run]`` of a model file: how its measures are worked out."""

from __future__ import annotations

from typing import Final

from remusnet.availability.file.quantities import value_of
from remusnet.availability.measures import Method
from remusnet.availability.model import Plan
from remusnet.availability.sampling import MOST_EVENTS
from remusnet.errors import InvalidInput
from remusnet.tables.documents import Unfit
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import shown

_ERROR = 'a share such as "1%", more than 0, at most 50%'
FEWEST_EVENTS: Final = 1_000
LARGEST_BUDGET: Final = 10**12
_BUDGET = f"a number of events, {FEWEST_EVENTS} to {LARGEST_BUDGET:.0e}"


def read_plan(fields: Fields | None) -> Plan:
    """The plan; the usual one where there is no ``[run]``."""
    if fields is None:
        return Plan()
    plain = Plan()
    error = fields.read("relative-error", plain.relative_error, _relative_error, _ERROR)
    plan = Plan(
        relative_error=plain.relative_error if error is None else error,
        seed=fields.whole("seed", plain.seed, least=0, most=2**63 - 1),
        most_events=fields.whole("budget", MOST_EVENTS, least=FEWEST_EVENTS, most=LARGEST_BUDGET),
        method=_method(fields),
    )
    fields.finish()
    return plan


def _method(fields: Fields) -> Method | None:
    word = fields.one_of("method", "", [each.value for each in Method])
    return Method(word) if word else None


def parse_relative_error(text: str) -> float:
    """A share of ``"1%"`` or ``"0.01"``. Raises InvalidInput."""
    try:
        return _relative_error(text)
    except Unfit as error:
        raise InvalidInput(f"--relative-error: {error.problem}; expected {_ERROR}") from None


def parse_budget(text: str) -> int:
    """Events of ``"5000000"``, ``"5e6"`` or ``"5M"``. Raises InvalidInput."""
    factor = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1:], 1.0)
    try:
        number = float(text.rstrip("kMG")) * factor
    except ValueError:
        number = 0.0
    if not FEWEST_EVENTS <= number <= LARGEST_BUDGET:
        raise InvalidInput(f"--budget: invalid number: {shown(text)}; expected {_BUDGET}")
    return int(number)


def _relative_error(value: object) -> float:
    found = value_of(value, {}, _ERROR)
    if not 0 < found <= 0.5:
        raise Unfit(f"out of range: {shown(value)}", _ERROR)
    return found

"""A time of a scenario file that may vary: by chance, or with what the guest writes."""

from __future__ import annotations

from remusnet.scenario.quantity import (
    Constant,
    Exponential,
    Growing,
    Normal,
    Quantity,
    Uniform,
)
from remusnet.tables.fields import Fields

DEFAULT_WORKING_SET = 1 << 40
"""Bytes; more than any guest has, so no limit unless the file names one."""
_DISTRIBUTIONS = ("uniform", "normal", "exponential")


def read_quantity(fields: Fields, key: str, default: int) -> Quantity:
    """A time, or a table that says how it varies; see docs/reference/scenario-file.md."""
    if not isinstance(fields.table.get(key), dict):
        return Constant(fields.duration(key, default))
    inner = fields.inner(key)
    assert inner is not None
    found = _varying(inner)
    inner.finish()
    return found


def _varying(fields: Fields) -> Quantity:
    """A quantity from its table: ``distribution`` by chance, ``dirty-rate`` with the load."""
    if fields.has("dirty-rate"):
        return Growing(
            fields.duration("base", 0),
            fields.rate("dirty-rate", None),
            fields.rate("through", None),
            fields.size("working-set", DEFAULT_WORKING_SET, least=1, most=DEFAULT_WORKING_SET),
        )
    if not fields.has("distribution"):
        problem = "neither a distribution nor a dirty-rate"
        fields.mistake(
            "", problem, 'a time, { distribution = "normal", ... } or { dirty-rate, ... }'
        )
    match fields.one_of("distribution", _DISTRIBUTIONS[0], _DISTRIBUTIONS):
        case "uniform":
            low = fields.duration("low", 0)
            high = fields.duration("high", None)
            if high < low:
                fields.mistake("high", "less than low", "a time no shorter than low")
                high = low
            return Uniform(low, high)
        case "normal":
            return Normal(fields.duration("mean", None), fields.duration("deviation", None))
        case _:
            mean, least = fields.duration("mean", None), fields.duration("least", 0)
            if mean < least:
                fields.mistake("mean", "less than least", "a time no shorter than least")
            return Exponential(max(mean, least), least)

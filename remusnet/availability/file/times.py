"""How long a transition takes, as a model file writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from remusnet.availability.distributions import (
    Deterministic,
    Distribution,
    Empirical,
    Erlang,
    Exponential,
    Lognormal,
    Uniform,
    Weibull,
)
from remusnet.availability.file.quantities import value_of
from remusnet.errors import InvalidInput
from remusnet.tables.documents import Unfit
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import shown

LONGEST_S: Final = 1e15
_NUMBER_ALONE = re.compile(r"-?[0-9.]+(?:e-?[0-9]+)?")
_MOST_VALUES = 100_000
_KINDS = (
    "exponential", "lognormal", "weibull", "uniform", "deterministic", "erlang", "empirical",
)  # fmt: skip
EXPECTED: Final = 'a time such as "4h", or { distribution = "exponential", mean = "4h" }'
_TIME = 'a time with its unit, such as "4h", or a parameter\'s name'


def seconds(value: object, parameters: Mapping[str, float]) -> float:
    """A time of 0 or more seconds. Raises Unfit."""
    if not isinstance(value, str) or _NUMBER_ALONE.fullmatch(value.strip()):
        raise Unfit(f"invalid time: {shown(value)}", _TIME)
    found = value_of(value, parameters, _TIME)
    if found < 0:
        raise Unfit(f"a negative time: {shown(value)}", "more than 0")
    if found > LONGEST_S:
        raise Unfit(f"out of range: {shown(value)}", "at most 30 million years")
    return found


def read_time(fields: Fields, key: str, parameters: Mapping[str, float]) -> Distribution | None:
    """The distribution under ``key``: a constant, or a table. None where it is a mistake."""
    if not isinstance(fields.table.get(key), dict):
        constant = fields.read(key, None, lambda each: _more(each, parameters), EXPECTED)
        return None if constant is None else Deterministic(constant)
    inner = fields.inner(key)
    assert inner is not None
    known = len(fields.mistakes)
    found = _Distribution(inner, parameters).found()
    inner.finish()
    return found if len(fields.mistakes) == known else None


def _more(value: object, parameters: Mapping[str, float]) -> float:
    found = seconds(value, parameters)
    if not found:
        raise Unfit(f"out of range: {shown(value)}", "more than 0")
    return found


class _Distribution:
    def __init__(self, fields: Fields, parameters: Mapping[str, float]) -> None:
        self._fields, self._parameters = fields, parameters

    def found(self) -> Distribution | None:
        fields = self._fields
        kind = fields.one_of("distribution", None, _KINDS)
        if not isinstance(fields.table.get("distribution"), str):
            return None
        try:
            return self._made(kind)
        except InvalidInput as error:
            problem, _, expected = str(error).partition("; expected ")
            fields.mistake("", problem, expected or "another one")
            return None

    def _made(self, kind: str) -> Distribution:
        match kind:
            case "exponential":
                return Exponential(self._time("mean"))
            case "lognormal":
                return Lognormal(self._time("mean"), self._number("sigma", 1e-6, 5))
            case "weibull":
                return self._weibull()
            case "uniform":
                return self._uniform()
            case "deterministic":
                return Deterministic(self._time("mean"))
            case "erlang":
                return Erlang(
                    self._time("mean"), self._fields.whole("shape", None, least=1, most=100)
                )
            case _:
                return self._empirical()

    def _weibull(self) -> Distribution:
        shape = self._number("shape", 0.1, 100)
        if not self._fields.has("mean"):
            return Weibull(self._time("scale"), shape)
        mean = self._time("mean")
        return Weibull(mean / Weibull(1.0, shape).mean, shape)

    def _uniform(self) -> Distribution:
        low, high = self._time("low", zero=True), self._time("high")
        if high <= low and self._fields.has("low") and self._fields.has("high"):
            self._fields.mistake("high", "not more than low", "a time longer than low")
            return Deterministic(1.0)
        return Uniform(low, high)

    def _empirical(self) -> Distribution:
        expected = 'a list of times, such as ["1.2s", "900ms"]'

        def read(value: object) -> tuple[float, ...]:
            if not isinstance(value, list) or not 0 < len(value) <= _MOST_VALUES:
                raise Unfit(f"invalid values: {shown(value)}", expected)
            return tuple(_more(each, self._parameters) for each in value)

        return Empirical(self._fields.read("values", None, read, expected) or (1.0,))

    def _time(self, key: str, *, zero: bool = False) -> float:
        def read(value: object) -> float:
            return (seconds if zero else _more)(value, self._parameters)

        found = self._fields.read(key, None, read, _TIME)
        return 1.0 if found is None else found

    def _number(self, key: str, least: float, most: float) -> float:
        expected = f"a number, {least:g} to {most:g}"

        def read(value: object) -> float:
            found = value_of(value, self._parameters, expected)
            if not least <= found <= most:
                raise Unfit(f"out of range: {shown(value)}", expected)
            return found

        found = self._fields.read(key, None, read, expected)
        return 1.0 if found is None else found

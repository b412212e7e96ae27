"""Options for times, rates and sizes: what ``remusnet.units`` reads, and whose value it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from remusnet.errors import InvalidInput
from remusnet.units import parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    _ParamType = click.ParamType[int]
else:
    _ParamType = click.ParamType  # older clicks have no type parameter


class QuantityType(_ParamType):
    """An integer that ``parse`` reads from text. Converting raises InvalidInput, with the option.

    A default may be given as an integer of the base unit, or as text.
    """

    def __init__(self, name: str, parse: Callable[[str], int]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number that ``value`` stands for."""
        if isinstance(value, int):
            return value
        try:
            return self._parse(value)
        except InvalidInput as error:
            option = f"{param.opts[0]}: " if param is not None else ""
            raise InvalidInput(f"{option}{error}") from None


DURATION = QuantityType("time", parse_duration)
"""``400ms``, ``1.5s``: nanoseconds."""
RATE = QuantityType("rate", parse_rate)
"""``1gbit``: bits a second."""
SIZE = QuantityType("size", parse_size)
"""``10000000``, ``10MB``, ``256KiB``: bytes."""

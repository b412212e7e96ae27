"""Options for times, rates and sizes: what ``remusnet.units`` reads, and whose value it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from remusnet.errors import InvalidInput
from remusnet.units import parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    _ParamType = click.ParamType[int]
else:
    _ParamType = click.ParamType  # older clicks have no type parameter

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class QuantityType(_ParamType):
    """An integer that ``parse`` reads from text. Converting raises InvalidInput, with the option.

    A default may be given as an integer of the base unit, or as text. ``examples`` and ``units``:
    what a shell offers, the usual ones first.
    """

    def __init__(
        self, name: str, parse: Callable[[str], int], examples: str = "", units: str = ""
    ) -> None:
        self.name = name
        self._parse = parse
        self._examples = examples.split()
        self._units = units.split()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number that ``value`` stands for."""
        if isinstance(value, int):
            return value
        try:
            return self._parse(value)
        except InvalidInput as error:
            option = f"{param.opts[0]}: " if param is not None else ""
            raise InvalidInput(f"{option}{error}") from None

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Usual values; behind a number, its units."""
        found = _NUMBER.match(incomplete)
        number = found[0] if found else ""
        words = [number + unit for unit in self._units] if number else self._examples
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


DURATION = QuantityType("time", parse_duration, "50ms 100ms 200ms 400ms 1s", "ms s us ns min")
"""``400ms``, ``1.5s``: nanoseconds."""
RATE = QuantityType("rate", parse_rate, "100mbit 1gbit 10gbit", "mbit gbit kbit bit tbit")
"""``1gbit``: bits a second."""
SIZE = QuantityType("size", parse_size, "256KiB 10MB 50MB", "MB kB GB B MiB KiB GiB")
"""``10000000``, ``10MB``, ``256KiB``: bytes."""

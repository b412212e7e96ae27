"""Numbers as a model file writes them: with units, parameters' names and arithmetic.

``"4h"``, ``"host.mttf / 6"``, ``"1 - sticky"``: times are seconds, ``%`` is a hundredth.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from remusnet.availability.models.parameters import UNITS
from remusnet.errors import suggestion
from remusnet.tables.documents import Unfit
from remusnet.tables.mistakes import shown

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*", re.ASCII)
_LONGEST = 200
_WITH_UNIT = re.compile(
    r"(?<![\w.])([0-9]{1,15}(?:\.[0-9]{1,20})?(?:e-?[0-9]{1,3})?)[ ]*([a-z]+|%)(?![\w.%])", re.ASCII
)
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value_of(value: object, parameters: Mapping[str, float], expected: str) -> float:
    """The number that ``value`` is: itself, or what its text comes to.

    Raises Unfit, with what is ``expected``, for anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) <= 1e18:  # NaN is in no range
            raise Unfit(f"out of range: {shown(value)}", expected)
        return float(value)
    if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST:
        raise Unfit(f"invalid value: {shown(value)}", expected)
    try:
        tree = ast.parse(_WITH_UNIT.sub(_in_seconds, value.strip()), mode="eval")
        number = _Reading(value, parameters, expected).number(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Unfit(f"invalid value: {shown(value)}", expected) from None
    except ArithmeticError:
        raise Unfit(f"no number: {shown(value)}", expected) from None
    if not math.isfinite(number):
        raise Unfit(f"no number: {shown(value)}", expected)
    return number


def _in_seconds(found: re.Match[str]) -> str:
    factor = 0.01 if found[2] == "%" else UNITS.get(found[2])
    return found[0] if factor is None else f"({float(found[1]) * factor!r})"


class _Reading:
    """Arithmetic over parameters, and nothing else of Python's."""

    def __init__(self, text: str, parameters: Mapping[str, float], expected: str) -> None:
        self._text, self._parameters, self._expected = text, parameters, expected

    def number(self, node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return float(value)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -self.number(inner)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](self.number(left), self.number(right))
            case ast.Name() | ast.Attribute():
                return self._parameter(ast.unparse(node))
            case _:
                raise Unfit(f"invalid value: {shown(self._text)}", self._expected)

    def _parameter(self, name: str) -> float:
        if name not in self._parameters:
            hint = suggestion(name, self._parameters)
            raise Unfit(f"unknown parameter: {shown(name)}{hint}", self._expected)
        return self._parameters[name]

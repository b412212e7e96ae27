"""Expressions as codes of a small stack machine, which `remusnet.availability.kernel` runs.

It computes with floats, which hold every count of tokens exactly.
"""

from __future__ import annotations

import ast
from typing import Final

from remusnet.availability import layout
from remusnet.availability.expressions import Expression

_MOST_WHOLE = 2**53
_BINARY: Final[dict[type, int]] = {
    ast.Add: layout.ADD,
    ast.Sub: layout.SUBTRACT,
    ast.Mult: layout.MULTIPLY,
    ast.Div: layout.DIVIDE,
    ast.FloorDiv: layout.FLOOR,
    ast.Mod: layout.MODULO,
    ast.Eq: layout.EQUAL,
    ast.NotEq: layout.UNEQUAL,
    ast.Lt: layout.LESS,
    ast.LtE: layout.AT_MOST,
    ast.Gt: layout.MORE,
    ast.GtE: layout.AT_LEAST,
}
_FOLDED: Final[dict[str, int]] = {"min": layout.MINIMUM, "max": layout.MAXIMUM}


class NotCompilable(Exception):
    """The expression computes with texts, or with numbers that a float doesn't hold."""


class Codes:
    """Codes of expressions, one after the other; ``numbers`` gets their constants."""

    def __init__(self, numbers: list[float]) -> None:
        self._numbers = numbers
        self._known: dict[str, int] = {}

    def of(self, expression: Expression) -> list[int]:
        """The code: pairs of an operation and its argument. Raises NotCompilable."""
        code = self._node(expression.tree)
        if _deepest(code) > layout.MOST_STACK:
            raise NotCompilable
        return code

    def _node(self, node: ast.expr) -> list[int]:
        match node:
            case ast.Constant():
                return self._constant(node.value)
            case ast.Subscript(slice=ast.Constant(value=int(slot))):
                return [layout.TOKENS, slot]
            case ast.UnaryOp():
                sign = isinstance(node.op, ast.USub)
                return [*self._node(node.operand), layout.NEGATE if sign else layout.NOT, 0]
            case ast.BinOp():
                operation = _BINARY[type(node.op)]
                return [*self._node(node.left), *self._node(node.right), operation, 0]
            case ast.Compare():
                return self._compare(node)
            case ast.BoolOp():
                operation = layout.AND if isinstance(node.op, ast.And) else layout.OR
                return _chained([self._node(each) for each in node.values], operation)
            case ast.IfExp():
                kept, other = self._node(node.body), self._node(node.orelse)
                kept += [layout.JUMP, len(other)]
                return [*self._node(node.test), layout.UNLESS, len(kept), *kept, *other]
            case ast.Call(func=ast.Name(id=name)):
                first, *others = (self._node(each) for each in node.args)
                for each in others:
                    first += [*each, _FOLDED[name], 0]
                return first
        raise NotCompilable

    def _compare(self, node: ast.Compare) -> list[int]:
        sides = [node.left, *node.comparators]
        if any(isinstance(each, ast.Constant) and isinstance(each.value, str) for each in sides):
            return self._constant(_texts_compared(node))
        links = [
            [*self._node(left), *self._node(right), _BINARY[type(operation)], 0]
            for left, operation, right in zip(sides[:-1], node.ops, sides[1:], strict=True)
        ]
        return _chained(links, layout.AND)

    def _constant(self, value: object) -> list[int]:
        if not isinstance(value, bool | int | float) or abs(value) > _MOST_WHOLE:
            raise NotCompilable
        number = float(value).hex()  # which tells 0.0 from -0.0
        if number not in self._known:
            self._known[number] = len(self._numbers)
            self._numbers.append(float(value))
        return [layout.CONSTANT, self._known[number]]


def _texts_compared(node: ast.Compare) -> bool:
    """A comparison of constants, as of a bound colour with another one."""
    sides = (node.left, *node.comparators)
    if not all(isinstance(each, ast.Constant) for each in sides):
        raise NotCompilable
    code = compile(ast.fix_missing_locations(ast.Expression(node)), "<expression>", "eval")
    try:
        return bool(eval(code, {"__builtins__": {}}))  # constants only
    except TypeError:  # it is a mistake of the user's, which the expression itself tells
        raise NotCompilable from None


def _chained(parts: list[list[int]], operation: int) -> list[int]:
    """``and``, ``or``: the first part that decides is the value, the others are not looked at."""
    code = parts[-1]
    for part in reversed(parts[:-1]):
        code = [*part, operation, len(code), *code]
    return code


def _deepest(code: list[int]) -> int:
    """No more values than this are ever on the stack."""
    return sum(operation in (layout.CONSTANT, layout.TOKENS) for operation in code[::2])

"""How near a marking is to a rare event, step by step: where `splitting` multiplies its trials.

An event is an expression, ``hosts.failed >= 2``. What it compares with a number is how far away it
is: from no failed host it takes two steps. ``and`` adds the steps of its parts, ``or`` counts those
of the nearest.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Final

from remusnet.availability.expressions import Expression, of_tree
from remusnet.availability.unfolding import Net
from remusnet.errors import InvalidInput, quoted

_MOST_LEVELS: Final = 64

_OPPOSITE: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.GtE: ast.Lt,
    ast.Lt: ast.GtE,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_TURNED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.GtE: ast.LtE,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.Lt: ast.Gt,
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
}


@dataclass(frozen=True, slots=True)
class Importance:
    """``level``: the steps that were taken, a number; ``top`` of them make the event."""

    level: Expression
    top: int


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps taken, as an expression, of ``top``."""

    taken: ast.expr
    top: int


def importance(net: Net, text: str) -> Importance:
    """The steps to the event ``text``, where it does not hold at the start.

    Raises InvalidInput for one that does, and for one that says nothing of how far away it is.
    """
    where = "rare event"
    seen = net.expression(text, where)
    if seen.value(net.initial):
        raise InvalidInput(f"{where}: {quoted(text)} holds at the start: it is not rare")
    steps = _Reader(net, seen).steps(seen.tree)
    taken, top = steps.taken, max(1, steps.top)
    if top > _MOST_LEVELS:
        ahead = ast.BinOp(taken, ast.Mult(), ast.Constant(_MOST_LEVELS))
        taken, top = ast.BinOp(ahead, ast.FloorDiv(), ast.Constant(top)), _MOST_LEVELS
    return Importance(of_tree(taken, set(seen.slots), text, where), top)


class _Reader:
    def __init__(self, net: Net, seen: Expression) -> None:
        self._net, self._seen = net, seen

    def steps(self, node: ast.expr, negated: bool = False) -> _Steps:
        match node:
            case ast.UnaryOp(op=ast.Not()):
                return self.steps(node.operand, not negated)
            case ast.BoolOp():
                parts = [self.steps(each, negated) for each in node.values]
                both = isinstance(node.op, ast.And) != negated
                return self._all(parts) if both else self._nearest(parts)
            case ast.Compare(left=left, ops=[operation], comparators=[right]):
                return self._compared(left, type(operation), right, negated)
            case ast.Compare():
                sides = [node.left, *node.comparators]
                links: list[ast.expr] = [
                    ast.Compare(one, [operation], [other])
                    for one, operation, other in zip(sides, node.ops, sides[1:], strict=False)
                ]
                return self.steps(ast.BoolOp(ast.And(), links), negated)
        # A number of tokens that stands for a truth: there are some, or none.
        return self._compared(node, ast.LtE if negated else ast.Gt, ast.Constant(0), False)

    @staticmethod
    def _all(parts: list[_Steps]) -> _Steps:
        taken = parts[0].taken
        for each in parts[1:]:
            taken = ast.BinOp(taken, ast.Add(), each.taken)
        return _Steps(taken, sum(each.top for each in parts))

    @staticmethod
    def _nearest(parts: list[_Steps]) -> _Steps:
        top = min(each.top for each in parts)
        nearest: list[ast.expr] = [
            ast.BinOp(each.taken, ast.Sub(), ast.Constant(each.top - top)) for each in parts
        ]
        return _Steps(_call("max", ast.Constant(0), *nearest), top)

    def _compared(
        self, left: ast.expr, operation: type[ast.cmpop], right: ast.expr, negated: bool
    ) -> _Steps:
        if negated:
            operation = _OPPOSITE[operation]
        if _number(left) is not None:
            left, right, operation = right, left, _TURNED[operation]
        limit = _number(right)
        if limit is None:
            raise InvalidInput(
                f"{self._seen.where}: {quoted(self._seen.text)}: expected comparisons with "
                "numbers, as in 'hosts.failed >= 2'"
            )
        start = of_tree(left, set(self._seen.slots), self._seen.text, self._seen.where).value(
            self._net.initial
        )
        if operation is ast.NotEq:
            return _Steps(ast.Compare(left, [ast.NotEq()], [right]), int(start == limit))
        if operation is ast.Eq:
            operation = ast.GtE if start < limit else ast.LtE
        if operation in (ast.Gt, ast.GtE):
            goal = math.floor(limit) + 1 if operation is ast.Gt else math.ceil(limit)
            top, ahead = goal - start, _call("min", left, ast.Constant(goal))
            taken = ast.BinOp(ahead, ast.Sub(), ast.Constant(start))
        else:
            goal = math.ceil(limit) - 1 if operation is ast.Lt else math.floor(limit)
            top, ahead = start - goal, _call("max", left, ast.Constant(goal))
            taken = ast.BinOp(ast.Constant(start), ast.Sub(), ahead)
        if top <= 0:  # this part of the event holds from the start
            return _Steps(ast.Constant(0), 0)
        return _Steps(_call("max", ast.Constant(0), taken), math.ceil(top))


def _number(node: ast.expr) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    return None


def _call(name: str, *values: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(values), [])

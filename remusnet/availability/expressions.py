"""Guards and measures as text: ``host.up > 0 and not calls['lost']``.

An expression is a small part of Python: numbers, names of places (their count of tokens), one
colour of a place (``calls['lost']``), arithmetic, comparisons, ``and``, ``or``, ``not``, ``min``,
``max``. It is compiled once into a function of the marking, and says which slots it looks at.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from remusnet.errors import InvalidInput, quoted, suggestion

Marking = Sequence[int]
Colour = str

_LONGEST = 2000
_PLAIN_NODES = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Compare, ast.Eq, ast.NotEq,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.IfExp,
)  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., object]] = {"min": min, "max": max}


def spelled(name: str) -> str:
    """A place's name as expressions write it: ``Poison Pill`` is ``Poison_Pill``."""
    return "".join(each if each.isalnum() or each in "_." else "_" for each in name)


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean: the slots of each place by colour, and the colours bound to variables."""

    places: Mapping[str, Mapping[Colour, int]]
    prefix: str = ""
    bound: Mapping[str, Colour] | None = None

    def slots(self, name: str) -> Mapping[Colour, int] | None:
        """The slots of the place ``name``, which is within the module at ``prefix``."""
        return self.places.get(f"{self.prefix}{name}")


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled text: its value in a marking, and the slots that it depends on.

    ``tree``: its syntax, where ``m[3]`` is the count of tokens in slot 3.
    """

    text: str
    where: str
    function: Callable[[Marking], float]
    slots: frozenset[int]
    tree: ast.expr = field(compare=False, repr=False)

    def value(self, marking: Marking) -> float:
        """Its value. Raises InvalidInput where there is none, as of a division by zero."""
        try:
            return self.function(marking)
        except (ArithmeticError, TypeError) as error:
            raise InvalidInput(f"{self.where}: {quoted(self.text)} failed: {error}") from None


def compiled(text: str, scope: Scope, where: str) -> Expression:
    """The expression that ``text`` is within ``scope``.

    Raises InvalidInput, which names ``where``, for anything that is no expression or names no
    place, variable or colour.
    """
    if len(text) > _LONGEST:
        raise InvalidInput(f"{where}: longer than {_LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidInput(f"{where}: no expression: {quoted(text)}") from None
    names = _Names(text, scope, where)
    try:
        body = names.visit(tree).body
    except RecursionError:
        raise _too_deep(text, where) from None
    return of_tree(body, names.found, text, where)


def of_tree(body: ast.expr, slots: set[int], text: str, where: str) -> Expression:
    """The expression with the syntax ``body``, which looks at ``slots``. Raises InvalidInput."""
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg("m")], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    try:
        source = ast.Expression(ast.Lambda(args=arguments, body=body))
        code = compile(ast.fix_missing_locations(source), "<expression>", "eval")
    except RecursionError:
        raise _too_deep(text, where) from None
    # Only nodes of the lists above have got here; no name but m, min and max is left in them.
    function: Callable[[Marking], float] = eval(code, {"__builtins__": {}, **_FUNCTIONS})
    return Expression(text, where, function, frozenset(slots), body)


def _too_deep(text: str, where: str) -> InvalidInput:
    return InvalidInput(f"{where}: nested too deeply: {quoted(text[:60])}")


class _Names(ast.NodeTransformer):
    """Puts slots in the place of names, and refuses all that is not the language."""

    def __init__(self, text: str, scope: Scope, where: str) -> None:
        self._text, self._scope, self._where = text, scope, where
        self.found: set[int] = set()

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, _PLAIN_NODES):
            raise self._mistake(f"{ast.unparse(node) or type(node).__name__} is not understood")
        return super().generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, bool | int | float | str):
            raise self._mistake(f"{node.value!r} is not understood")
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        result = self.generic_visit(node)
        for side in (node.left, node.right):
            if isinstance(side, ast.Constant) and isinstance(side.value, str):
                raise self._mistake(f"{ast.unparse(node)} is not understood")
        return result

    def visit_Call(self, node: ast.Call) -> ast.AST:
        known = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
        if not known or node.keywords or len(node.args) < 2:
            raise self._mistake(f"{ast.unparse(node)} is not understood")
        node.args = [self.visit(each) for each in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        bound = self._scope.bound or {}
        if node.id in bound:
            return ast.Constant(bound[node.id])
        return self._count(self._place(node.id), None)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._count(self._place(ast.unparse(node)), None)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        name = ast.unparse(node.value)
        colours = self._place(name)
        bound = self._scope.bound or {}
        colour: object = None
        if isinstance(node.slice, ast.Constant):
            colour = node.slice.value
        elif isinstance(node.slice, ast.Name):
            colour = bound.get(node.slice.id)
        if not isinstance(colour, str) or colour not in colours:
            known = ", ".join(map(repr, colours))
            raise self._mistake(f"{name} has no colour {ast.unparse(node.slice)}; it has {known}")
        return self._count(colours, colour)

    def _place(self, name: str) -> Mapping[Colour, int]:
        colours = self._scope.slots(name)
        if colours is None:
            inside = self._scope.prefix
            known = [each[len(inside) :] for each in self._scope.places if each.startswith(inside)]
            raise self._mistake(f"no place {quoted(name)}{suggestion(name, known)}")
        return colours

    def _count(self, colours: Mapping[Colour, int], colour: Colour | None) -> ast.expr:
        slots = list(colours.values()) if colour is None else [colours[colour]]
        self.found.update(slots)
        counts: list[ast.expr] = [
            ast.Subscript(ast.Name("m", ast.Load()), ast.Constant(slot), ast.Load())
            for slot in slots
        ]
        total = counts[0]
        for each in counts[1:]:
            total = ast.BinOp(total, ast.Add(), each)
        return total

    def _mistake(self, problem: str) -> InvalidInput:
        return InvalidInput(f"{self._where}: {quoted(self._text)}: {problem}")

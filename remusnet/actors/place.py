"""An actor's place in the tree: its name, its parent, its children."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from remusnet.actors.spec import Spec
from remusnet.errors import InvalidInput, quoted


class Place:
    """What a cell is as a node of its system's tree."""

    __slots__ = ("_children", "name", "parent", "spec")

    def __init__(self, parent: Self | None, spec: Spec, name: str) -> None:
        self.parent = parent
        self.spec = spec
        self.name = name
        self._children: dict[str, Self] | None = None

    @property
    def path(self) -> str:
        """Its place in the tree: ``transport/receiver``; ``/`` for the root."""
        if self.parent is None:
            return "/"
        return self.name if self.parent.parent is None else f"{self.parent.path}/{self.name}"

    @property
    def kind(self) -> str:
        """What its spec calls actors like it."""
        return self.spec.kind or self.spec.name

    @property
    def children(self) -> Iterator[Self]:
        """Its children, in the order of their start."""
        return iter(tuple(self._children.values()) if self._children else ())

    @property
    def has_children(self) -> bool:
        """Whether there are any: most have none, and need not look."""
        return self._children is not None

    def child(self, name: str) -> Self | None:
        """The child of that name."""
        return self._children.get(name) if self._children else None

    def adopt(self, child: Self) -> None:
        """Have another child. Raises InvalidInput where one of its name lives."""
        if self._children is None:
            self._children = {}
        elif child.name in self._children:
            raise InvalidInput(f"{self.path} has a child {quoted(child.name)} already")
        self._children[child.name] = child

    def forget_child(self, name: str) -> None:
        """Its child of that name has stopped."""
        if self._children is not None:
            self._children.pop(name, None)
            if not self._children:
                self._children = None

"""An object as the key of a cache: that very object, whatever equals it."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Same(Generic[T]):
    """``value``, by identity: to hash and compare a policy's filters costs more than to make them.

    Whoever keeps the key keeps ``value`` alive, so that nothing else gets its identity.
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        """Whether both are the same object."""
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        """Of the identity."""
        return id(self.value)

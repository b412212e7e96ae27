"""The tree, declared: each actor's name, how an instance is made, and what its failures do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from remusnet.actors.strategy import Strategy
from remusnet.errors import InvalidInput, quoted

_DEFAULT = Strategy()


class Instance(Protocol):
    """What a cell needs of the actor that lives in it; `remusnet.actors.Actor` has it all."""

    context: Any

    def started(self) -> Awaitable[None] | None:
        """Begin."""

    def receive(self, message: object) -> Awaitable[None] | None:
        """Handle ``message``."""

    def restarting(self, error: Exception | None) -> None:
        """Give back what this instance holds: it is about to be replaced."""

    def stopped(self) -> None:
        """Give back what this instance holds: the actor ends."""


@dataclass(frozen=True, slots=True)
class Spec:
    """How an actor is made, again and again.

    ``make`` returns a new instance. ``kind``: what its events and its status call it (default: its
    name). ``children`` are started in this order, before the actor's own ``started``, and stopped
    in reverse. ``mailbox``: how many messages may wait, None for no bound. ``stop_within``: the
    seconds that a handler under way has when the actor must stop or restart.
    """

    name: str
    make: Callable[[], Instance]
    kind: str = ""
    strategy: Strategy = _DEFAULT
    children: tuple[Spec, ...] = ()
    mailbox: int | None = None
    stop_within: float = 5.0

    def __post_init__(self) -> None:
        """Raise InvalidInput for names that no path can have, or that stand twice."""
        if not self.name or "/" in self.name:
            raise InvalidInput(f"invalid actor name: {quoted(self.name)}")
        names = [child.name for child in self.children] if self.children else ()
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput(f"two children of {quoted(self.name)} are named {quoted(name)}")

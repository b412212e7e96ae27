"""Behaviour: what an actor does with a message, and an actor that is a finite state machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from remusnet.actors.cell import Cell

M = TypeVar("M", bound="Machine")
Handled = Awaitable[None] | None


class Actor:
    """State and behaviour behind a mailbox. One instance lives from a start to the next restart.

    ``receive`` handles one message at a time. If it is a coroutine function, the messages behind
    wait until it is through. Whatever it raises is a failure, which the parent's strategy answers.
    """

    __slots__ = ("context",)

    context: Cell

    def started(self) -> Handled:
        """Begin: a new instance is in place, also after a restart, and so are its children."""
        return None

    def receive(self, message: object) -> Handled:
        """Handle ``message``."""
        raise NotImplementedError

    def restarting(self, error: Exception | None) -> None:
        """Give back what this instance holds: it is about to be replaced (error None: by order)."""

    def stopped(self) -> None:
        """Give back what this instance holds: the actor ends."""


class Unexpected(Exception):
    """A state machine was told what its state doesn't take."""


def expect(*kinds: type) -> Callable[[Callable[[M, Any], Handled]], Callable[[M, object], Handled]]:
    """State, beside a state's method, which messages it takes.

    Others go to the machine's ``unexpected``, which fails.
    """

    def decorate(method: Callable[[M, Any], Handled]) -> Callable[[M, object], Handled]:
        @wraps(method)
        def checked(self: M, message: object) -> Handled:
            return method(self, message) if isinstance(message, kinds) else self.unexpected(message)

        return checked

    return decorate


class Machine(Actor):
    """A finite state machine: its state is the bound method that takes the next message.

    class Door(Machine):
        def initial(self):
            self.state = self.closed

        @expect(Open)
        def closed(self, message):
            self.state = self.opened
    """

    __slots__ = ("state",)

    state: Callable[[object], Handled]

    def initial(self) -> None:
        """Set the first ``state``."""
        raise NotImplementedError

    def started(self) -> Handled:
        """Begin in the first state."""
        self.initial()
        return None

    def receive(self, message: object) -> Handled:
        """Let the state take it."""
        return self.state(message)

    def unexpected(self, message: object) -> Handled:
        """Fail: ``message`` has no place in this state."""
        name = getattr(self.state, "__name__", "?")
        raise Unexpected(f"{type(message).__name__} in state {name}")

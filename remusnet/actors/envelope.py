"""Entries of a mailbox that are more than messages: questions, and orders to the actor itself."""

from __future__ import annotations

import asyncio
from typing import Any


class AskFailed(Exception):
    """An ask will get no answer: the actor failed on it, stopped, or its mailbox was full."""


class Envelope:
    """An entry of a mailbox that is more than a message."""

    __slots__ = ("message",)

    def __init__(self, message: object) -> None:
        self.message = message

    def open(self) -> object:
        """The message to handle."""
        return self.message


class Asked(Envelope):
    """A message whose sender waits for an answer."""

    __slots__ = ("answer",)

    def __init__(self, message: object, answer: asyncio.Future[Any]) -> None:
        super().__init__(message)
        self.answer = answer

    def fail(self, error: Exception) -> None:
        """There will be no answer, for this reason."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Crash(Envelope):
    """A fault on purpose: to open it is to fail."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        super().__init__(None)
        self._error = error

    def open(self) -> object:
        """Raise it."""
        raise self._error


class RejuvenationAsked(Exception):
    """Not a failure."""


class Rejuvenate(Envelope):
    """The order to restart without one."""

    __slots__ = ()

    def open(self) -> object:
        """Raise `RejuvenationAsked`."""
        raise RejuvenationAsked


class Reply:
    """Whom to answer. Only the first answer counts."""

    __slots__ = ("_answer",)

    def __init__(self, answer: asyncio.Future[Any] | None) -> None:
        self._answer = answer

    @property
    def wanted(self) -> bool:
        """Whether its sender still waits for the answer."""
        return self._answer is not None and not self._answer.done()

    def send(self, value: object) -> None:
        """The answer."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(value)

    def fail(self, error: Exception) -> None:
        """No answer, for this reason."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

"""Timers: messages to come, that can be taken back until the moment they are handled."""

from __future__ import annotations

import asyncio
from typing import Protocol

from remusnet.actors.envelope import Envelope

STALE = object()  # what the envelope of a timer that was cancelled holds


class Orders(Protocol):
    """Whose the timer is."""

    def order(self, envelope: Envelope) -> object:
        """Put ``envelope`` into the mailbox."""


class Timer(Envelope):
    """A message to come; ``cancel`` takes it back, even where it stands in the mailbox already."""

    __slots__ = ("_cell", "_off", "_timers", "handle", "key")

    def __init__(
        self, cell: Orders, timers: dict[object, Timer], message: object, key: object
    ) -> None:
        super().__init__(message)
        self._cell = cell
        self._timers = timers
        self._off = False
        self.key = self if key is None else key
        self.handle: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Never deliver it."""
        self._off = True
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None
        self._forget()

    def fire(self) -> None:
        """Its time has come."""
        self.handle = None
        self._cell.order(self)

    def open(self) -> object:
        """The message, unless it was cancelled on its way."""
        if self._off:
            return STALE
        self._forget()
        return self.message

    def _forget(self) -> None:
        if self._timers.get(self.key) is self:
            del self._timers[self.key]

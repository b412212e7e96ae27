"""What cells need of the system that they are part of: its queue, its clock, its supervision."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Protocol, TypeVar

from remusnet.actors.events import Change

C = TypeVar("C")


class Home(Protocol[C]):
    """A system as its cells, of class ``C``, see it. `remusnet.actors.system.System` is one."""

    loop: asyncio.AbstractEventLoop
    now: Callable[[], float]
    random: Random
    queue: deque[tuple[C, object]]
    scheduled: bool
    active: C | None
    before: Callable[[C, object], None] | None

    def schedule(self) -> None:
        """See to it that the queue is worked on."""

    def enqueue(self, cell: C, envelope: object) -> None:
        """Let ``cell`` take ``envelope``, which is more than a message, when its turn comes."""

    def enqueue_drain(self, cell: C) -> None:
        """Let ``cell`` take what had to wait."""

    def waiting(self) -> Counter[C]:
        """How many messages wait for each actor."""

    def dead_letter(self, recipient: C, message: object, reason: str) -> None:
        """Count a message that no actor handles."""

    def complain(self, cell: C, error: Exception) -> None:
        """Count what a hook raised while its actor ended."""

    def emit(self, cell: C, change: Change, error: BaseException | None = None) -> None:
        """Tell of a change of ``cell``."""

    def fail(self, error: Exception) -> None:
        """End: a failure has escalated beyond the top."""

    def next_incident(self) -> int:
        """A number for a failure."""

    def when_stopped(self, cell: C) -> asyncio.Future[None]:
        """Done when ``cell`` has stopped."""

    def has_stopped(self, cell: C) -> None:
        """Tell those who wait for it."""

    # How cells live: `remusnet.actors.supervision`.

    def start_cell(self, cell: C) -> None:
        """Make the first instance of a new cell, and its children."""

    def stop_cell(self, cell: C) -> asyncio.Future[None] | None:
        """Stop a cell and its children."""

    def rejuvenate(self, cell: C) -> None:
        """Restart a cell that has not failed."""

    def failed(self, cell: C, error: Exception, envelope: object) -> None:
        """Answer a failure."""

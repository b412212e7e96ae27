"""Restarts before a failure (Hlaváček 2014, 5.1): by age, and by thresholds, actor by actor."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from remusnet.actors import Cell, System
from remusnet.errors import InvalidInput

# Those that sip.toml may name: the tree's declared part (see `remusnet.sip.tree`).
ACTORS = (
    "registrar",
    "location",
    "proxy",
    "transport",
    "transport/sender",
    "transport/coder",
    "transport/transactions",
    "transport/receiver",
)
_LOOK_S = 1.0
# A threshold that is still exceeded after a restart would make it one restart a second.
_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Rejuvenation:
    """When to restart ``actor``: any of these that is given.

    ``every_s``: by age, s. ``mailbox``: so many messages wait for it. ``memory``: so many bytes of
    the process are in memory.
    """

    actor: str
    every_s: float | None = None
    mailbox: int | None = None
    memory: int | None = None

    def due(self, cell: Cell, now: float, resident: Callable[[], int]) -> str:
        """Why ``cell`` is to be restarted at ``now`` (s); empty where it isn't."""
        age = now - cell.born
        if self.every_s is not None and age >= self.every_s:
            return f"it is {age:.0f} s old"
        if age < _PAUSE_S:
            return ""
        if self.mailbox is not None and cell.waiting >= self.mailbox:
            return f"{cell.waiting} messages wait for it"
        if self.memory is not None and (size := resident()) >= self.memory:
            return f"{size / 2**20:.0f} MiB are in memory"
        return ""


def rejuvenate(
    system: System,
    orders: Sequence[Rejuvenation],
    tell: Callable[[str], None],
    resident: Callable[[], int] | None = None,
) -> None:
    """Look after the actors of ``orders`` from now on, as long as the system runs.

    ``tell`` is called with each restart and its reason.
    """
    resident = resident or resident_bytes

    def look() -> None:
        if system.failure is not None:
            return
        for order in orders:
            try:
                cell = system.find(order.actor)
            except InvalidInput:
                continue  # what is above it is being restarted
            if why := order.due(cell, system.now(), resident):
                tell(f"rejuvenation: {order.actor} is restarted: {why}")
                cell.restart()
        system.loop.call_later(_LOOK_S, look)

    if orders:
        system.loop.call_later(_LOOK_S, look)


def resident_bytes() -> int:
    """What of this process is in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

"""A vif under Remus: what happens to it goes in, what leaves comes out. No clock, no I/O.

This is the definition of what the replay does with a frame, one event at a time.
`remusnet.emulator.machine.replay` has a faster way for many frames, and is tested to be equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remusnet.emulator.machine.plug import Plug


@dataclass(frozen=True, slots=True)
class Sent:
    """The guest sends a frame, and the classifier has given its verdict."""

    time_ns: int
    frame: int
    length: int
    hold: bool


@dataclass(frozen=True, slots=True)
class Suspended:
    """A checkpoint begins. What was sent before is the epoch that it closes."""

    time_ns: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The checkpoint is safe on the backup."""

    time_ns: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """A frame leaves for the network."""

    time_ns: int
    frame: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A frame found the plug full."""

    time_ns: int
    frame: int


Event = Sent | Suspended | Committed
Output = Delivered | Dropped


class Buffer:
    """The buffer device of one vif: a bypass for what may leave, a plug of ``limit`` bytes.

    Protection is on from the start: the plug begins plugged, and its first epoch is open.
    Events have to come in order of time. At equal times the checkpoint's come first: a frame that
    is sent at the moment of a suspend belongs to the next epoch.
    """

    def __init__(self, limit: int) -> None:
        self.plug: Plug[int] = Plug(limit)

    def handle(self, event: Event) -> Iterator[Output]:
        """What ``event`` causes, in order."""
        match event:
            case Suspended():
                self.plug.buffer()
            case Committed(time_ns):
                self.plug.release_one()
                for frame in self.plug.drain():
                    yield Delivered(time_ns, frame)
            case Sent(time_ns, frame, length, hold):
                if not hold:
                    yield Delivered(time_ns, frame)
                elif not self.plug.enqueue(frame, length):
                    yield Dropped(time_ns, frame)

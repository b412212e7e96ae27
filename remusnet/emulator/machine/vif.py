"""A vif with its transmit ring: held frames keep their slots, and a full ring stops everything.

The guest's driver puts frames into a ring of slots that it shares with the back end. A slot is free
again when the frame's memory is: for a frame that is let pass, at once; for one in the plug, when
it leaves. Without a free slot the guest's queue stands, bypassing frames in it too. That queue has
no end here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from remusnet.emulator.machine.buffer import Buffer, Committed, Event, Output, Sent, Suspended


class Vif:
    """A `Buffer` behind a ring of ``slots``; None for one without an end.

    ``stalls``: frames that had to wait for a slot; ``stall_max_ns``: the longest wait.
    """

    def __init__(self, limit: int, slots: int | None) -> None:
        self.buffer = Buffer(limit)
        self.slots = slots
        self.stalls = 0
        self.stall_max_ns = 0
        self._waiting: deque[Sent] = deque()

    @property
    def used(self) -> int:
        """Slots whose frames are in the plug."""
        return len(self.buffer.plug)

    @property
    def inside(self) -> set[int]:
        """The frames that have not left: in the plug, or still waiting for a slot."""
        queued = {frame for frame, _ in self.buffer.plug.queued()}
        return queued | {each.frame for each in self._waiting}

    def handle(self, event: Event) -> Iterator[Output]:
        """What ``event`` causes, in order. A frame that waited counts as sent when it got in."""
        match event:
            case Sent():
                if self._waiting or not self._room():
                    self.stalls += 1
                    self._waiting.append(event)
                else:
                    yield from self.buffer.handle(event)
            case Suspended():
                yield from self.buffer.handle(event)
            case Committed(time_ns):
                yield from self.buffer.handle(event)
                while self._waiting and self._room():
                    waited = self._waiting.popleft()
                    self.stall_max_ns = max(self.stall_max_ns, time_ns - waited.time_ns)
                    late = Sent(time_ns, waited.frame, waited.length, waited.hold)
                    yield from self.buffer.handle(late)

    def _room(self) -> bool:
        return self.slots is None or self.used < self.slots

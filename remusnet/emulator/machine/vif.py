"""A vif under Remus: what happens to it goes in, what leaves comes out. No clock, no I/O.

`Plug` is sch_plug, the queue that holds a guest's frames until a checkpoint commits. The model has
the kernel's own counters and takes the kernel's own steps: net/sched/sch_plug.c of Linux 6.1. Its
oddities are kept on purpose:

- It starts plugged.
- ``buffer()`` overwrites ``pkts_last_epoch``. Two of them without a release between strand the
  first epoch's packets: every later release is short by as many, so frames come late, never early.
- ``release_one()`` takes nothing out of the queue: it adds to ``pkts_to_release``, and the frames
  leave at the dequeues that the kernel schedules.
- What is dropped at the limit is not counted into an epoch.

Left out: the device below. Its driver may be slow to dequeue; `Plug.drain` is one that is not.

`Vif` is the definition of when a frame leaves, one event at a time.
`remusnet.emulator.machine.epochs` has a faster way for many frames, and is tested to be equal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

FrameT = TypeVar("FrameT")


class Plug(Generic[FrameT]):
    """A plug of ``limit`` bytes; what a "frame" is, is up to the caller (an index, an object).

    The public attributes are named as in ``struct plug_sched_data`` and ``struct Qdisc``:
    ``limit`` and ``backlog`` in bytes, ``drops`` and the ``pkts_`` counters in frames.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.backlog = 0
        self.drops = 0
        self.pkts_current_epoch = 0
        self.pkts_last_epoch = 0
        self.pkts_to_release = 0
        self.unplug_indefinite = False
        self.throttled = True
        self._queue: deque[tuple[FrameT, int]] = deque()

    def __len__(self) -> int:
        """``qlen``: frames in the queue."""
        return len(self._queue)

    def queued(self) -> list[tuple[FrameT, int]]:
        """The frames in the queue with their lengths, head first."""
        return list(self._queue)

    def enqueue(self, frame: FrameT, length: int) -> bool:
        """Put a frame of ``length`` bytes at the tail; False where the limit drops it instead."""
        if self.backlog + length > self.limit:
            self.drops += 1
            return False
        if not self.unplug_indefinite:
            self.pkts_current_epoch += 1
        self._queue.append((frame, length))
        self.backlog += length
        return True

    def dequeue(self) -> FrameT | None:
        """The frame at the head, where it may leave."""
        if self.throttled:
            return None
        if not self.unplug_indefinite:
            if self.pkts_to_release == 0:
                self.throttled = True
                return None
            self.pkts_to_release -= 1
        if not self._queue:
            return None
        frame, length = self._queue.popleft()
        self.backlog -= length
        return frame

    def drain(self) -> list[FrameT]:
        """All that may leave now: what a device with room dequeues when it is scheduled."""
        frames = []
        while (frame := self.dequeue()) is not None:
            frames.append(frame)
        return frames

    def buffer(self) -> None:
        """TCQ_PLUG_BUFFER: the current epoch ends, a new one begins."""
        self.pkts_last_epoch = self.pkts_current_epoch
        self.pkts_current_epoch = 0
        if self.unplug_indefinite:
            self.throttled = True
        self.unplug_indefinite = False

    def release_one(self) -> None:
        """TCQ_PLUG_RELEASE_ONE: what the last epoch sent may leave."""
        self.pkts_to_release += self.pkts_last_epoch
        self.pkts_last_epoch = 0
        self.throttled = False

    def release_indefinite(self) -> None:
        """TCQ_PLUG_RELEASE_INDEFINITE: everything may leave, until the next `buffer`."""
        self.unplug_indefinite = True
        self.pkts_to_release = 0
        self.pkts_last_epoch = 0
        self.pkts_current_epoch = 0
        self.throttled = False

    def set_limit(self, limit: int) -> None:
        """TCQ_PLUG_LIMIT: for frames to come; what is in the queue stays."""
        self.limit = limit


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


VifEvent = Sent | Suspended | Committed
VifOutput = Delivered | Dropped


class Vif:
    """A bypass for what may leave, a plug of ``limit`` bytes, before both a ring of ``slots``.

    Protection is on from the start: the plug begins plugged, and its first epoch is open. Events
    have to come in order of time. At equal times the checkpoint's come first: a frame that is sent
    at the moment of a suspend belongs to the next epoch.

    The guest's driver puts frames into a ring of slots that it shares with the back end. A slot is
    free again when the frame's memory is: for a frame that is let pass, at once; for one in the
    plug, when it leaves. Without a free slot the guest's queue stands, bypassing frames in it too.
    That queue has no end here, nor has the ring where ``slots`` is None.

    ``stalls``: frames that had to wait for a slot; ``stall_max_ns``: the longest wait.
    """

    def __init__(self, limit: int, slots: int | None = None) -> None:
        self.plug: Plug[int] = Plug(limit)
        self.slots = slots
        self.stalls = 0
        self.stall_max_ns = 0
        self._waiting: deque[Sent] = deque()

    @property
    def inside(self) -> set[int]:
        """The frames that have not left: in the plug, or still waiting for a slot."""
        queued = {frame for frame, _ in self.plug.queued()}
        return queued | {each.frame for each in self._waiting}

    def handle(self, event: VifEvent) -> Iterator[VifOutput]:
        """What ``event`` causes, in order. A frame that waited counts as sent when it got in."""
        match event:
            case Sent(time_ns, frame, length, hold):
                if self._waiting or not self._has_slot():
                    self.stalls += 1
                    self._waiting.append(event)
                elif not hold:
                    yield Delivered(time_ns, frame)
                elif not self.plug.enqueue(frame, length):
                    yield Dropped(time_ns, frame)
            case Suspended():
                self.plug.buffer()
            case Committed(time_ns):
                self.plug.release_one()
                for frame in self.plug.drain():
                    yield Delivered(time_ns, frame)
                yield from self._let_in(time_ns)

    def _let_in(self, now_ns: int) -> Iterator[VifOutput]:
        """What waited for a slot, as long as there are some."""
        waiting, self._waiting = self._waiting, deque()
        while waiting and self._has_slot():
            first = waiting.popleft()
            self.stall_max_ns = max(self.stall_max_ns, now_ns - first.time_ns)
            yield from self.handle(replace(first, time_ns=now_ns))
        self._waiting = waiting

    def _has_slot(self) -> bool:
        return self.slots is None or len(self.plug) < self.slots

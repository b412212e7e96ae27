"""sch_plug, the queue that holds a guest's frames until a checkpoint commits.

The model has the kernel's own counters and takes the kernel's own steps: net/sched/sch_plug.c of
Linux 6.1. Its oddities are kept on purpose:

- It starts plugged.
- ``buffer()`` overwrites ``pkts_last_epoch``. Two of them without a release between strand the
  first epoch's packets: every later release is short by as many, so frames come late, never early.
- ``release_one()`` takes nothing out of the queue: it adds to ``pkts_to_release``, and the frames
  leave at the dequeues that the kernel schedules.
- What is dropped at the limit is not counted into an epoch.

Left out: the device below. Its driver may be slow to dequeue; `Plug.drain` is one that is not.
"""

from __future__ import annotations

from collections import deque
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

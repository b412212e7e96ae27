"""What the application has written and TCP hasn't sent: Linux's write queue.

Its buffers decide more than they seem to: a segment alone in one has no PSH, and its receiver may
wait 40 ms with the acknowledgement (tcp_sendmsg_locked, sk_stream_wait_memory, tcp_sndbuf_expand
and tcp_tso_should_defer of Linux 6.1).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_FIRST_ROOM = 16_384
"""The default of net.ipv4.tcp_wmem, its most, and what a segment may take of it."""
_MOST_ROOM = 4 << 20
_PER_SEGMENT = 2304
_FEWEST_SEGMENTS = 10
_HEAD = 768
"""Bytes of memory that a buffer takes beside its data."""
MOST_BYTES = 65_279
"""In one buffer: 64 KB with headers."""


@dataclass(slots=True)
class Buffer:
    """Bytes from ``start`` to ``end`` of the stream; the last goes out with PSH where ``push``."""

    start: int
    end: int
    push: bool = False


@dataclass(slots=True)
class SendQueue:
    """``end``: of what is in it. ``most_window``: the largest that the peer has offered."""

    mss: int
    end: int = 1
    most_window: int = 0
    _buffers: deque[Buffer] = field(default_factory=deque)
    _room: int = _FIRST_ROOM
    _pushed: int = 1

    def widen(self, window: int) -> None:
        """The congestion window is ``window`` segments: room for it twice."""
        wanted = 2 * max(window, _FEWEST_SEGMENTS) * _PER_SEGMENT
        self._room = max(self._room, min(wanted, _MOST_ROOM))

    def is_writable(self, una: int, out: int) -> bool:
        """Whether who waits for room is woken up: a third of it is free.

        ``out``: segments that are sent and not acknowledged, from ``una`` on.
        """
        taken = self._taken(una, out)
        return self._room - taken >= taken // 2

    def _taken(self, una: int, out: int) -> int:
        # Segments mostly leave in pairs.
        return self.end - una + _HEAD * (len(self._buffers) + -(-out // 2))

    def append(self, given: int, una: int, out: int) -> bool:
        """A buffer's worth of what the application has, up to ``given``; False without room."""
        goal = self._goal()
        tail = self._buffers[-1] if self._buffers else None
        if tail is None or tail.end - tail.start >= goal:
            if self._taken(una, out) >= self._room:
                return False
            tail = Buffer(self.end, self.end)
            self._buffers.append(tail)
        self.end = tail.end = min(tail.start + goal, given)
        return True

    def _goal(self) -> int:
        """Bytes of a full buffer: half the peer's window at most."""
        half = self.most_window // 2 or MOST_BYTES
        return max(min(half, MOST_BYTES) // self.mss, 1) * self.mss

    def head(self) -> Buffer:
        """What goes out next."""
        return self._buffers[0]

    @property
    def single(self) -> bool:
        """Whether there is no buffer behind the head."""
        return len(self._buffers) == 1

    def take(self, size: int) -> bool:
        """``size`` bytes of the head go out as one buffer; whether its last has PSH.

        What has several segments always has.
        """
        head = self._buffers[0]
        head.start += size
        whole = head.start >= head.end
        if whole:
            self._buffers.popleft()
        return size > self.mss or (whole and head.push)

    def push_last(self) -> None:
        """The application waits, or has written all: nothing more follows soon."""
        if self._buffers:
            self._buffers[-1].push = True
            self._pushed = self.end

    def push_half(self) -> bool:
        """Marks what is there once it is more than half the peer's window; whether it is."""
        enough = self.end > self._pushed + self.most_window // 2
        if enough:
            self.push_last()
        return enough

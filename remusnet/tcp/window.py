"""How much a receiver lets come: Linux's window, which grows with what the application reads.

tcp_grow_window and tcp_rcv_space_adjust of Linux 6.1 with its default net.ipv4.tcp_rmem: 64 KB at
first, then twice to four times what came within a round trip, up to 3 MB.
"""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.tcp.stack import MS, stamp_of

_FIRST = 64_088
_MOST = 3 << 20
_FIRST_SEGMENTS = 10
_PER_SEGMENT = 1492
"""Half of what a full segment may take of a socket's buffer: the other half is its overhead."""
JOINED = 16
"""So many that wait to be read become one buffer with one head."""
_HEAD = 384
"""Half of what such a head takes."""


@dataclass(slots=True)
class ReceiveWindow:
    """``offered``: bytes beyond RCV.NXT; ``most``: as far as that may grow by now."""

    mss: int
    offered: int = _FIRST
    most: int = _FIRST
    rtt_ns: int = 0
    _space: int = 0
    _read: int = 0
    _since_ns: int = 0
    _echo: int = 0
    _window_end: int = 0
    _window_ns: int | None = None

    def __post_init__(self) -> None:
        self._space = _FIRST_SEGMENTS * self.mss

    def take(self, size: int, unread: int) -> bool:
        """A segment of ``size`` bytes came in order; whether the window grows by it.

        ``unread``: how many wait for the application, with it. They fill the buffer.
        """
        room = self.most - unread * self.mss // 2 - -(-unread // JOINED) * _HEAD - self.offered
        if room <= 0 or size < 128:
            return False
        self.offered += min(room, max(2 * self.mss, 2 * size))
        return True

    def echoed(self, echo: int, now_ns: int) -> None:
        """A full segment has come that echoes the timestamp ``echo``.

        Each tells one round trip, but for the first.
        """
        before, self._echo = self._echo, echo
        if before in (0, echo):
            return
        rtt_ns = max(stamp_of(now_ns) - echo, 1) * MS
        shorter = not self.rtt_ns or rtt_ns < self.rtt_ns
        self.rtt_ns = rtt_ns if shorter else self.rtt_ns + (rtt_ns - self.rtt_ns) // 8

    def came(self, next_: int, now_ns: int) -> None:
        """All up to ``next_`` has come: a whole window of it takes a round trip, or more."""
        if self._window_ns is not None:
            if next_ < self._window_end:
                return
            took_ns = max(now_ns - self._window_ns, 1)
            if not self.rtt_ns or took_ns < self.rtt_ns:
                self.rtt_ns = took_ns
        self._window_end, self._window_ns = next_ + self.offered, now_ns

    def read(self, next_: int, now_ns: int) -> None:
        """The application has read all up to ``next_``."""
        if not self.rtt_ns or now_ns - self._since_ns < self.rtt_ns:
            return
        copied = next_ - self._read
        if copied > self._space:
            wanted = 2 * copied + 16 * self.mss
            wanted += 2 * (wanted * (copied - self._space) // self._space)
            self.most = max(self.most, min(wanted // self.mss * _PER_SEGMENT, _MOST))
            self._space = copied
        self._read, self._since_ns = next_, now_ns

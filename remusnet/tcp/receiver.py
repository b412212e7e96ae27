"""One side's receiving half: what has come, and when to acknowledge it.

Linux 6.1's rules (__tcp_ack_snd_check and tcp_cleanup_rbuf): at once for the first segments, while
the window grows, and out of order; when the application has read a second full one, or the end of
something; else after 40 ms or with what is sent back. The application reads once all is there that
comes at one moment: so seldom is a burst acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from remusnet.tcp.stack import MS, Stack
from remusnet.tcp.window import JOINED, ReceiveWindow

ATO_NS = 40 * MS
"""TCP_ATO_MIN and TCP_DELACK_MIN."""
_MOST_ATO_NS = 200 * MS
_QUICK = 16
_FIRST_MSS = 536
_BLOCKS = 3
"""As many SACK blocks fit beside a timestamp."""


@dataclass(slots=True)
class Receiver:
    """``next``: RCV.NXT; ``acknowledged``: what the peer was told of it. ``early``: what came out
    of order, the latest first.

    ``ato_ns``: how long an acknowledgement waits, 0 before any data; ``quick``: how many more go
    at once; ``interactive``: whether answers carry them (Linux's pingpong mode).
    """

    stack: Stack
    next: int = 0
    acknowledged: int = 0
    early: list[tuple[int, int]] = field(default_factory=list)
    due_ns: int | None = None
    interactive: bool = False
    quick: int = 0
    ato_ns: int = 0
    window: ReceiveWindow = field(init=False)
    _unread: int = 0
    _heard_ns: int = 0
    _mss: int = _FIRST_MSS
    _waits: bool = False
    _pushed: int = 0
    _twice: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.window = ReceiveWindow(self.stack.mss)

    def take(self, start: int, end: int, now_ns: int, rto_ns: int, *, pushed: bool) -> bool:
        """A segment with payload has come; whether to acknowledge it at once.

        If not, ``due_ns`` says when to ask `due` again.
        """
        if end <= self.next:
            self._twice = start, end
            self.quick, self.interactive, self.ato_ns = _QUICK, False, ATO_NS
            return True
        self._event(now_ns, rto_ns)
        self._waits = True
        if start > self.next:
            self._keep(start, end)
            return True
        self._measure(end - start, pushed=pushed)
        self.next = end
        filled = self._fill()
        self.window.came(self.next, now_ns)
        self._unread += 1
        if self.window.take(end - start, self._unread):
            self.quick = max(self.quick, 1)
        self.due_ns = now_ns
        quick = self.quick and not self.interactive
        return bool(quick or filled or not self.stack.delayed_ack)

    def _event(self, now_ns: int, rto_ns: int) -> None:
        """How far apart segments come (tcp_event_data_recv)."""
        gap_ns = now_ns - self._heard_ns
        if not self.ato_ns:
            self.quick, self.ato_ns = _QUICK, ATO_NS
        elif gap_ns <= ATO_NS // 2:
            self.ato_ns = self.ato_ns // 2 + ATO_NS // 2
        elif gap_ns < self.ato_ns:
            self.ato_ns = min(self.ato_ns // 2 + gap_ns, rto_ns)
        elif gap_ns > rto_ns:
            self.quick = _QUICK
        self._heard_ns = now_ns

    def _measure(self, size: int, *, pushed: bool) -> None:
        """The peer's segment size; what is smaller counts as the end of something."""
        if size >= self._mss:
            self._mss = min(size, self.stack.mss)
            self._pushed = max(self._pushed, int(pushed))
        else:
            self._pushed = min(self._pushed + 1, 2)

    def _keep(self, start: int, end: int) -> None:
        """Out of order: joined with what it touches, first among the blocks."""
        apart = []
        for low, high in self.early:
            if high < start or low > end:
                apart.append((low, high))
            else:
                if low <= start and end <= high:
                    self._twice = start, end
                start, end = min(start, low), max(end, high)
        self.early = [(start, end), *apart]

    def _fill(self) -> bool:
        """Takes what isn't early any more; whether that was all of it."""
        had = bool(self.early)
        for low, high in sorted(self.early):
            if low <= self.next:
                self.next = max(self.next, high)
        self.early = [(low, high) for low, high in self.early if high > self.next]
        return had and not self.early

    def due(self, now_ns: int, rto_ns: int) -> bool:
        """``due_ns`` has come: the application reads, or has; whether to acknowledge now."""
        self.due_ns = None
        if self._unread:
            return self._read(now_ns)
        if self._waits:
            if self.interactive:
                self.interactive, self.ato_ns = False, ATO_NS
            else:
                self.ato_ns = min(2 * self.ato_ns, rto_ns)
        return self._waits

    def _read(self, now_ns: int) -> bool:
        # A round trip is looked at after the first buffer: what came behind it isn't read yet.
        behind = max(self._unread - JOINED, 0) * self.stack.mss
        self.window.read(self.next - behind, now_ns)
        self._unread = 0
        if not self._waits:
            return False
        pushed = self._pushed == 2 or (self._pushed == 1 and not self.interactive)
        if self.next - self.acknowledged > self._mss or pushed:
            return True
        self.due_ns = now_ns + min(max(self.ato_ns, ATO_NS), _MOST_ATO_NS)
        return False

    def blocks(self) -> tuple[tuple[tuple[int, int], ...], bool]:
        """SACK's blocks for the next segment, and whether the first tells of a copy (DSACK)."""
        if not self.stack.sack:
            return (), False
        twice = () if self._twice is None else (self._twice,)
        return (*twice, *self.early)[:_BLOCKS], bool(twice)

    def told(self) -> None:
        """A segment goes out, and acknowledges all."""
        if self.quick:
            self.quick -= 1
        self.acknowledged = self.next
        self._waits, self._pushed, self._twice = False, 0, None
        if not self._unread:
            self.due_ns = None

    def answered(self, now_ns: int) -> None:
        """The application sends: soon after it heard something, that's a conversation."""
        if now_ns - self._heard_ns < self.ato_ns:
            self.interactive = True

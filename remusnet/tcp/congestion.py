"""How a congestion window grows: slow start, Reno's and CUBIC's avoidance, HyStart.

Windows are in segments, as Linux counts them. CUBIC is RFC 9438 with the constants and roundings of
Linux's tcp_cubic; HyStart (Ha and Rhee, 2011) leaves slow start where round trips grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from remusnet.tcp.stack import MS, Congestion, Stack

S = 1000 * MS
_BETA = 717 / 1024
_C = 410 / 1024
_FRIENDLY = 15 / 8
"""Segments acknowledged for each one of growth that Reno would have, by segment of the window."""
_JIFFY_NS = 4 * MS
_LOW_WINDOW = 16
_SAMPLES = 8
_TRAIN_GAP_NS = 2 * MS
_MOST_ACK_DELAY_NS = 1 * MS
NEVER = 1 << 62


@dataclass(slots=True)
class Window:
    """``size`` and ``threshold`` (ssthresh) in segments; ``credit``: towards one more."""

    size: int
    threshold: int = NEVER
    credit: int = 0

    @property
    def slow_start(self) -> bool:
        """Whether it doubles each round trip."""
        return self.size < self.threshold

    def open(self, acked: int) -> int:
        """Slow start's growth; what of ``acked`` is left for avoidance."""
        size = min(self.size + acked, self.threshold)
        left = acked - (size - self.size)
        self.size = size
        return left

    def add(self, per: int, acked: int) -> None:
        """One segment more for each ``per`` acknowledged."""
        if self.credit >= per:
            self.credit = 0
            self.size += 1
        self.credit += acked
        if self.credit >= per:
            more = self.credit // per
            self.credit -= more * per
            self.size += more


class Control(Protocol):
    """What decides how far a window opens."""

    def grow(self, window: Window, acked: int, now_ns: int) -> None:
        """``acked`` segments came through while the window was in use."""
        ...

    def measured(self, window: Window, rtt_ns: int, una: int, next_: int, now_ns: int) -> None:
        """An ACK took ``rtt_ns``."""
        ...

    def after_loss(self, size: int) -> int:
        """The threshold after a loss at a window of ``size``."""
        ...

    def reset(self, next_: int, now_ns: int) -> None:
        """A connection begins, or its timer ran out: nothing is known of the path."""
        ...

    def starts_again(self, idle_ns: int, now_ns: int) -> None:
        """Nothing was out for ``idle_ns``."""
        ...


@dataclass(slots=True)
class Reno:
    """RFC 5681."""

    def grow(self, window: Window, acked: int, now_ns: int) -> None:
        """See `Control`."""
        if window.slow_start:
            acked = window.open(acked)
        if acked:
            window.add(window.size, acked)

    def measured(self, window: Window, rtt_ns: int, una: int, next_: int, now_ns: int) -> None:
        """See `Control`."""

    def after_loss(self, size: int) -> int:
        """See `Control`."""
        return max(size // 2, 2)

    def reset(self, next_: int, now_ns: int) -> None:
        """See `Control`."""

    def starts_again(self, idle_ns: int, now_ns: int) -> None:
        """See `Control`."""


@dataclass(slots=True)
class HyStart:
    """Leaves slow start where a train of ACKs grows long, or its round trips do."""

    found: bool = False
    round_ns: int = 0
    last_ns: int = 0
    round_end: int = 0
    least_ns: int = NEVER
    samples: int = 0

    def begin(self, next_: int, now_ns: int) -> None:
        """A round: until what is out now is acknowledged."""
        self.round_ns = self.last_ns = now_ns
        self.round_end = next_
        self.least_ns = NEVER
        self.samples = 0

    def check(
        self, window: Window, rtt_ns: int, path_ns: int, una: int, next_: int, now_ns: int
    ) -> None:
        """``path_ns``: the shortest round trip so far."""
        if una > self.round_end:
            self.begin(next_, now_ns)
        if window.size < _LOW_WINDOW:
            return
        if now_ns - self.last_ns <= _TRAIN_GAP_NS:
            self.last_ns = now_ns
            if now_ns - self.round_ns > (path_ns + _MOST_ACK_DELAY_NS) // 2:
                self._leave(window)
        self.least_ns = min(self.least_ns, rtt_ns)
        if self.samples < _SAMPLES:
            self.samples += 1
        elif self.least_ns > path_ns + min(max(path_ns // 8, 4 * MS), 16 * MS):
            self._leave(window)

    def _leave(self, window: Window) -> None:
        self.found = True
        window.threshold = window.size


@dataclass(slots=True)
class Cubic:
    """``path_ns``: the shortest round trip seen, 0 before one. ``hystart``: None where it's off."""

    hystart: HyStart | None
    path_ns: int = 0
    _epoch_ns: int | None = None
    _largest: int = 0
    _origin: int = 0
    _to_origin_s: float = 0.0
    _per: int = 1
    _acked: int = 0
    _reno: int = 0
    _last: tuple[int, int] = (-1, -1)

    def grow(self, window: Window, acked: int, now_ns: int) -> None:
        """See `Control`."""
        if window.slow_start:
            acked = window.open(acked)
            if not acked:
                return
        self._update(window.size, acked, now_ns)
        window.add(self._per, acked)

    def _update(self, size: int, acked: int, now_ns: int) -> None:
        """How many acknowledged segments open the window by one now."""
        self._acked += acked
        last_size, last_ns = self._last
        if last_size == size and now_ns - last_ns <= S // 32:
            return
        if self._epoch_ns is None or now_ns // _JIFFY_NS != last_ns // _JIFFY_NS:
            self._last = size, now_ns
            self._along_the_curve(size, acked, now_ns)
        # No slower than Reno would be (RFC 9438, 4.3).
        per_reno = int(size * _FRIENDLY)
        while per_reno and self._acked > per_reno:
            self._acked -= per_reno
            self._reno += 1
        if self._reno > size:
            self._per = min(self._per, size // (self._reno - size))
        self._per = max(self._per, 2)

    def _along_the_curve(self, size: int, acked: int, now_ns: int) -> None:
        if self._epoch_ns is None:
            self._epoch_ns = now_ns
            self._acked = acked
            self._reno = size
            self._origin = max(self._largest, size)
            self._to_origin_s = ((self._origin - size) / _C) ** (1 / 3)
        at_s = (now_ns - self._epoch_ns + self.path_ns) / S - self._to_origin_s
        target = self._origin + int(_C * abs(at_s) ** 3) * (1 if at_s >= 0 else -1)
        self._per = size // (target - size) if target > size else 100 * size
        if not self._largest:
            self._per = min(self._per, 20)

    def measured(self, window: Window, rtt_ns: int, una: int, next_: int, now_ns: int) -> None:
        """See `Control`."""
        if self._epoch_ns is not None and now_ns - self._epoch_ns < S:
            return  # round trips right after a recovery tell of the queue that made it
        self.path_ns = min(self.path_ns or rtt_ns, rtt_ns)
        if self.hystart is not None and not self.hystart.found and window.slow_start:
            self.hystart.check(window, rtt_ns, self.path_ns, una, next_, now_ns)

    def after_loss(self, size: int) -> int:
        """See `Control`."""
        self._epoch_ns = None
        # Fast convergence: one that could not come back to its largest leaves room to others.
        self._largest = int(size * (1 + _BETA) / 2) if size < self._largest else size
        return max(int(size * _BETA), 2)

    def reset(self, next_: int, now_ns: int) -> None:
        """See `Control`."""
        hystart = self.hystart
        self.path_ns, self._epoch_ns, self._largest, self._per, self._acked = 0, None, 0, 1, 0
        self._last = (-1, -1)
        if hystart is not None:
            hystart.found = False
            hystart.begin(next_, now_ns)

    def starts_again(self, idle_ns: int, now_ns: int) -> None:
        """See `Control`."""
        if self._epoch_ns is not None:
            self._epoch_ns = min(self._epoch_ns + idle_ns, now_ns)


def control(stack: Stack) -> Control:
    """What ``stack`` has."""
    if stack.congestion is Congestion.RENO:
        return Reno()
    return Cubic(HyStart() if stack.hystart else None)

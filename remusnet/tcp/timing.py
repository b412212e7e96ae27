"""What a sender makes of round trips: Linux's smoothed one, its variance and the timeout.

As tcp_rtt_estimator and __tcp_set_rto of Linux 6.1 have them (net/ipv4/tcp_input.c), which is RFC
6298 with two differences: the least timeout bounds the variance and not the sum, and the variance
falls at most once a round trip.
"""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.tcp.stack import MS

FIRST_RTO_NS = 1000 * MS
LONGEST_RTO_NS = 60_000 * MS


@dataclass(slots=True)
class Timing:
    """``rto_min_ns``: the least variance of a timeout, which has whole ``tick_ns``.

    ``smoothed_ns``: None before any measure.
    """

    rto_min_ns: int
    tick_ns: int = 4 * MS
    smoothed_ns: int | None = None
    least_ns: int | None = None
    rto_ns: int = FIRST_RTO_NS
    _deviation_ns: float = 0.0
    _largest_ns: float = 0.0
    _variance_ns: float = 0.0
    _round_end: int = 0

    def measured(self, rtt_ns: int, una: int, next_: int) -> None:
        """A round trip took ``rtt_ns``; ``una`` and ``next_`` tell the rounds apart."""
        rtt_ns = max(rtt_ns, 1000)
        self.least_ns = rtt_ns if self.least_ns is None else min(self.least_ns, rtt_ns)
        if self.smoothed_ns is None:
            self.smoothed_ns = rtt_ns
            self._deviation_ns = rtt_ns / 2
            self._variance_ns = max(2.0 * rtt_ns, self.rto_min_ns)
            self._largest_ns = self._variance_ns
            self._round_end = next_
        else:
            self._update(rtt_ns, una, next_)
        self._set()

    def _update(self, rtt_ns: int, una: int, next_: int) -> None:
        smoothed_ns = self.smoothed_ns or 0
        error_ns = rtt_ns - smoothed_ns
        self.smoothed_ns = smoothed_ns + error_ns // 8
        more_ns = abs(error_ns) - self._deviation_ns
        if error_ns < 0 and more_ns > 0:
            more_ns /= 8  # a shorter round trip is no reason for more patience
        self._deviation_ns += more_ns / 4
        deviation_ns = 4 * self._deviation_ns
        if deviation_ns > self._largest_ns:
            self._largest_ns = deviation_ns
            self._variance_ns = max(self._variance_ns, deviation_ns)
        if una > self._round_end:
            if self._largest_ns < self._variance_ns:
                self._variance_ns -= (self._variance_ns - self._largest_ns) / 4
            self._round_end = next_
            self._largest_ns = self.rto_min_ns

    def _set(self) -> None:
        assert self.smoothed_ns is not None
        ticks = -(-int(self.smoothed_ns + self._variance_ns) // self.tick_ns)
        self.rto_ns = min(ticks * self.tick_ns, LONGEST_RTO_NS)

    def back_off(self) -> None:
        """The timer ran out: twice the patience (RFC 6298, 5.5)."""
        self.rto_ns = min(2 * self.rto_ns, LONGEST_RTO_NS)

"""RTP measured a stretch at a time: the numbers of `rtp_streams`, without keeping the packets.

For packets that come in order and once. What may overtake or come twice is measured whole. Both
are made of the same parts (`smoothed`, `burst_sizes`' rule, `spread`); what a stretch needs to know
of those before it, a `StreamMeter` carries along. A test holds both to the same numbers.
"""

from __future__ import annotations

import numpy as np

from remusnet.frames import Int64s
from remusnet.metrics.bursts import BurstCounter, Bursts
from remusnet.metrics.jitter import Float64s, Jitter, smoothed
from remusnet.metrics.percentiles import NS_PER_MS, Spread, milliseconds, spread
from remusnet.metrics.sequence import SequenceCounts


class StreamMeter:
    """The measures of one stream of up to ``most`` packets, ``ptime_ns`` of media each."""

    def __init__(self, ptime_ns: int, most: int) -> None:
        self.ptime_ns = ptime_ns
        self.packets = 0
        self.first_ns = self.last_ns = 0
        self._first_number = self._last_number = self._last_tick = 0
        self._jitter_last = self._jitter_sum = self._jitter_max = 0.0
        self._gaps = np.empty(most, np.int64)
        self._bursts = BurstCounter(ptime_ns)

    def add(self, arrival_ns: Int64s, number: Int64s | int, tick: Int64s | None) -> Float64s:
        """The next n packets, in order; their jitter estimates in ms, float64[n].

        ``number``: int64[n], or that of the first, where the others count on. ``tick``: int64[n],
        the media's time in packetization times; None where it is the number.
        """
        n = len(arrival_ns)
        if n == 0:
            return np.zeros(0)
        numbers = (int(number[0]), int(number[-1])) if isinstance(number, np.ndarray) else (
            number, number + n - 1
        )  # fmt: skip
        if tick is None and isinstance(number, np.ndarray):
            tick = number
        begun = self.packets > 0
        gaps = self._gaps[self.packets : self.packets + n]
        np.subtract(arrival_ns[1:], arrival_ns[:-1], out=gaps[1:])
        gaps[0] = arrival_ns[0] - self.last_ns if begun else 0
        late_ns = gaps - self._media_ns(tick, n)
        if not begun:
            late_ns[0] = 0
            self.first_ns, self._first_number = int(arrival_ns[0]), numbers[0]
        late_ms = np.abs(late_ns, out=late_ns) * (1 / NS_PER_MS)
        series = smoothed(late_ms, before=self._jitter_last)
        self._jitter_last = float(series[-1])
        self._jitter_sum += float(series.sum())
        self._jitter_max = max(self._jitter_max, float(series.max()))
        self._bursts.add(gaps)
        self.packets += n
        self.last_ns, self._last_number = int(arrival_ns[-1]), numbers[1]
        return series

    def _media_ns(self, tick: Int64s | None, n: int) -> Int64s | int:
        """How much later than its predecessor each packet was to come, by its timestamp."""
        if tick is None:
            return self.ptime_ns
        steps = np.empty(n, np.int64)
        np.subtract(tick[1:], tick[:-1], out=steps[1:])
        steps[0] = tick[0] - self._last_tick
        self._last_tick = int(tick[-1])
        steps *= self.ptime_ns
        return steps

    @property
    def jitter(self) -> Jitter:
        """Mean and largest over packets 2..n."""
        if self.packets < 2:
            return Jitter(0.0, 0.0)
        return Jitter(self._jitter_sum / (self.packets - 1), self._jitter_max)

    @property
    def sequence(self) -> SequenceCounts:
        """Of packets in order, without copies: what is missing between the first and the last."""
        if self.packets == 0:
            return SequenceCounts(0, 0, 0, 0, 0, 0)
        expected = self._last_number - self._first_number + 1
        return SequenceCounts(expected, expected - self.packets, 0, 0, 0, 0)

    @property
    def bursts(self) -> Bursts:
        """Median and largest burst."""
        return Bursts(0.0, 0) if self.packets == 0 else self._bursts.bursts

    def interarrival_ms(self) -> Spread | None:
        """The spread of the gaps."""
        return spread(milliseconds(self._gaps[1 : self.packets]))

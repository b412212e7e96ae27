"""RTP whose clock is known, measured: the numbers of `rtp_streams` for a simulated stream.

`StreamMeter` takes packets that come in order and once, a stretch at a time, and keeps none of
them. `measured_whole` takes what may overtake or come twice. Both are made of the parts that
measure captures (`smoothed`, `burst_sizes`' rule, `spread`); what a stretch needs to know of those
before it, the meter carries along. A test holds both to the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.frames import Int64s
from remusnet.metrics.arrivals import (
    BurstCounter,
    Bursts,
    Float64s,
    Jitter,
    SequenceCounts,
    burst_sizes,
    burst_summary,
    interarrival_jitter,
    jitter_summary,
    sequence_counts,
    smoothed,
)
from remusnet.metrics.percentiles import NS_PER_MS, Spread, spread


@dataclass(frozen=True, slots=True)
class Measures:
    """One stream's measures: see `StreamSummary`. ``times``: of the first and last packet."""

    packets: int
    times: tuple[int, int] | None
    sequence: SequenceCounts
    jitter: Jitter
    interarrival_ms: Spread | None
    bursts: Bursts


def measured_whole(
    arrival_ns: Int64s, number: Int64s, timestamp: Int64s, clock_rate: int, ptime_ns: int
) -> tuple[Measures, Float64s]:
    """The measures of n packets in order of arrival, and their jitter estimates in ms: float64[n].

    ``number``: int64[n], counted on past 16 bits; one that a backup sent again is there twice.
    """
    n = len(arrival_ns)
    series = interarrival_jitter(arrival_ns, timestamp, clock_rate)
    counted = sequence_counts(number & 0xFFFF)
    first_copies = arrival_ns
    if counted.duplicates:
        _, first = np.unique(number, return_index=True)
        first_copies = arrival_ns[np.sort(first)]
    return Measures(
        n,
        (int(arrival_ns[0]), int(arrival_ns[-1])) if n else None,
        counted,
        jitter_summary(series),
        spread(np.diff(arrival_ns), NS_PER_MS),
        burst_summary(burst_sizes(first_copies, ptime_ns)),
    ), series


class StreamMeter:
    """The measures of one stream of up to ``most`` packets, ``ptime_ns`` of media each."""

    def __init__(self, ptime_ns: int, most: int) -> None:
        self.ptime_ns = ptime_ns
        self.packets = 0
        self._first_ns = self._last_ns = 0
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
        gaps[0] = arrival_ns[0] - self._last_ns if begun else 0
        late_ns = gaps - self._media_ns(tick, n)
        if not begun:
            late_ns[0] = 0
            self._first_ns, self._first_number = int(arrival_ns[0]), numbers[0]
        late_ms = np.abs(late_ns, out=late_ns) * (1 / NS_PER_MS)
        series = smoothed(late_ms, before=self._jitter_last)
        self._jitter_last = float(series[-1])
        self._jitter_sum += float(series.sum())
        self._jitter_max = max(self._jitter_max, float(series.max()))
        self._bursts.add(gaps)
        self.packets += n
        self._last_ns, self._last_number = int(arrival_ns[-1]), numbers[1]
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
    def measures(self) -> Measures:
        """The measures of all packets so far. (The order of gaps is lost, and not needed.)"""
        n = self.packets
        if n == 0:
            nothing = SequenceCounts(0, 0, 0, 0, 0, 0)
            return Measures(0, None, nothing, Jitter(0.0, 0.0), None, Bursts(0.0, 0))
        # In order and without copies: what is missing lies between the first and the last.
        expected = self._last_number - self._first_number + 1
        return Measures(
            n,
            (self._first_ns, self._last_ns),
            SequenceCounts(expected, expected - n, 0, 0, 0, 0),
            Jitter(self._jitter_sum / max(1, n - 1), self._jitter_max),
            spread(self._gaps[1:n], NS_PER_MS, overwrite_input=True),
            self._bursts.bursts,
        )

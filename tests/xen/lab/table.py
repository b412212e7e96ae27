"""The table that compares ways to buffer: one job's windows side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.xen.lab import arrivals
from tests.xen.lab.arrivals import Order, Stream

_ROWS = {
    "TCP, IPv4": arrivals.TCP,
    "TCP, IPv6": arrivals.TCP6,
    "TCP, IPv4, tagged": arrivals.TCP_TAGGED,
    "TCP, IPv6, tagged": arrivals.TCP6_TAGGED,
    "UDP, IPv4": arrivals.PLAIN_UDP,
    "RTP, IPv4": arrivals.RTP,
    "RTP, IPv6": arrivals.RTP6,
    "RTP, IPv4, tagged": arrivals.RTP_TAGGED,
}


@dataclass(frozen=True)
class Recorded:
    """What a job of `jobs/compare.sh` recorded."""

    streams: Mapping[int, Stream]
    orders: list[Order]
    windows: Mapping[str, tuple[int, int]]
    offset_ns: int

    @classmethod
    def read(cls, out: Path) -> Recorded:
        """From the files that the job left."""
        streams = arrivals.streams(out / "bridge.pcap")
        windows = arrivals.windows(out / "windows")
        offset = arrivals.clock_offset(streams, windows["none"])
        return cls(streams, arrivals.orders(out / "netlink.pcap"), windows, offset)

    def of(self, stream: int, window: str) -> Stream:
        """The records of a stream that arrived in a window."""
        return self.streams[stream].within(*self.windows[window])

    def delay_ms(self, stream: int, window: str) -> float:
        """The median delay from the guest's sending to the bridge."""
        return float(np.median(self.of(stream, window).delay_ms(self.offset_ns)))

    def early(self, stream: int, window: str) -> int:
        """How many of them arrived before the commit of their epoch."""
        begin, end = self.windows[window]
        # From half a minute before, so that the epoch's BUFFER is among them.
        near = [each for each in self.orders if begin - 30_000_000_000 < each.time_ns < end]
        return len(arrivals.early(self.of(stream, window), near, self.offset_ns))

    def lines(self) -> list[str]:
        """The table, for a person."""
        made = [f"{'delay p50 / p95 / max (ms)':26}" + "".join(f"{w:>22}" for w in self.windows)]
        for name, stream in _ROWS.items():
            cells = []
            for window in self.windows:
                delays = self.of(stream, window).delay_ms(self.offset_ns)
                p50, p95 = np.percentile(delays, (50, 95)) if len(delays) else (np.nan, np.nan)
                cells.append(f"{p50:.0f} / {p95:.0f} / {delays.max(initial=0):.0f}")
            made.append(f"{name:26}" + "".join(f"{cell:>22}" for cell in cells))
        cells = []
        for window in self.windows:
            mean, largest = self.of(arrivals.RTP, window).jitter_ms()
            cells.append(f"{mean:.1f} / {largest:.1f}")
        made.append(f"{'RTP jitter, mean / max':26}" + "".join(f"{cell:>22}" for cell in cells))
        return made

"""The table that compares ways to buffer: one job's windows side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
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
_NAME = 30
_CELL = 24


@dataclass(frozen=True)
class Recorded:
    """What a job of `jobs/compare.sh` recorded; ``out``: the files that it left."""

    streams: Mapping[int, Stream]
    orders: list[Order]
    windows: Mapping[str, tuple[int, int]]
    out: Path

    @classmethod
    def read(cls, out: Path) -> Recorded:
        """From the files that the job left."""
        return cls(
            arrivals.streams(out / "bridge.pcap", out / "vif.pcap"),
            arrivals.orders(out / "netlink.pcap"),
            arrivals.windows(out / "windows"),
            out,
        )

    def of(self, stream: int, window: str) -> Stream:
        """The records of a stream that arrived in a window."""
        return self.streams[stream].within(*self.windows[window])

    def hold_ms(self, stream: int, window: str) -> float:
        """The median time between vif and bridge."""
        return float(np.median(self.of(stream, window).hold_ms()))

    def early(self, stream: int, window: str) -> int:
        """How many of them arrived before the commit of their epoch."""
        begin, end = self.windows[window]
        # From half a minute before, so that the epoch's BUFFER is among them.
        near = [each for each in self.orders if begin - 30_000_000_000 < each.time_ns < end]
        return len(arrivals.early(self.of(stream, window), near))

    def dropped(self, window: str) -> int:
        """Frames that the plug had no room for, from its start to the end of the window."""
        return int((self.out / f"dropped-{window}").read_text("ascii"))

    def setup_ms(self, window: str) -> float:
        """How long the netbuf script took to set up."""
        lines = (self.out / "script-times").read_text("ascii").splitlines()
        (found,) = [line for line in lines if line.startswith(f"{window} setup ")]
        return int(found.split()[2]) / 1e6

    def lines(self) -> list[str]:
        """The table, for a person."""
        buffered = [window for window in self.windows if window != "none"]
        made = [self._row("hold p50 / p95 / max (ms)", self.windows, str)]
        for name, stream in _ROWS.items():
            made.append(self._row(name, self.windows, partial(self._holds, stream)))
        made.append(self._row("RTP jitter, mean / max (ms)", self.windows, self._jitter))
        made.append(self._row("RTP lost", self.windows, lambda w: str(self._rtp(w).lost())))
        made.append("left before their commit")
        for name, stream in _ROWS.items():
            made.append(self._row(f"  {name}", buffered, partial(self._early, stream)))
        made.append(self._row("dropped by the plug", buffered, lambda w: str(self.dropped(w))))
        made.append(self._row("setup (ms)", buffered, lambda w: f"{self.setup_ms(w):.0f}"))
        return made

    def _row(self, name: str, filled: Collection[str], cell: Callable[[str], str]) -> str:
        cells = (cell(window) if window in filled else "" for window in self.windows)
        return f"{name:{_NAME}}" + "".join(f"{each:>{_CELL}}" for each in cells)

    def _rtp(self, window: str) -> Stream:
        return self.of(arrivals.RTP, window)

    def _holds(self, stream: int, window: str) -> str:
        holds = self.of(stream, window).hold_ms()
        p50, p95 = np.percentile(holds, (50, 95)) if len(holds) else (np.nan, np.nan)
        return f"{p50:.2f} / {p95:.2f} / {holds.max(initial=0):.0f}"

    def _jitter(self, window: str) -> str:
        mean, largest = self._rtp(window).jitter_ms()
        return f"{mean:.1f} / {largest:.1f}"

    def _early(self, stream: int, window: str) -> str:
        return f"{self.early(stream, window)} of {len(self.of(stream, window).number)}"

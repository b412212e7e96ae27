"""The table of bulk TCP: how much got through under each way, and what RTP suffered beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.xen.lab import arrivals
from tests.xen.lab.arrivals import Stream

_HEAD = (
    f"{'':16}{'kB/s':>8}{'x stock':>9}{'Dom0 %':>8}{'s/MB':>7}"
    f"{'RTP late p50 / p95 / max':>26}{'gap':>6}{'backlog':>9}{'dropped':>8}"
)
_BACKLOG, _DROPPED = r"backlog (\S+)", r"dropped (\d+)"


@dataclass(frozen=True)
class Bulk:
    """What a job of `jobs/bulk.sh` recorded."""

    streams: Mapping[int, Stream]
    windows: Mapping[str, tuple[int, int]]
    bytes: Mapping[str, int]
    dom0_s: Mapping[str, float]
    out: Path

    @classmethod
    def read(cls, out: Path) -> Bulk:
        """From the files that the job left."""
        rows = [line.split() for line in (out / "bulk").read_text("ascii").splitlines()]
        return cls(
            arrivals.streams(out / "bridge.pcap"),
            arrivals.windows(out / "windows"),
            {name: int(count) for name, count, _ in rows},
            {name: float(seconds) for name, _, seconds in rows},
            out,
        )

    def rate(self, window: str) -> float:
        """Bytes of bulk TCP a second."""
        begin, end = self.windows[window]
        return self.bytes[window] * 1e9 / (end - begin)

    def rtp_late_ms(self, window: str, percentile: float) -> float:
        """How late RTP came, beside the fastest datagram around it."""
        calls = [
            self.streams[each].within(*self.windows[window])
            for each in (arrivals.RTP, arrivals.RTP6, arrivals.RTP_TAGGED)
        ]
        return float(np.percentile(arrivals.late_ms(calls[0], calls), percentile))

    def rtp_gap_ms(self, window: str) -> float:
        """The longest time without RTP."""
        calls = self.streams[arrivals.RTP].within(*self.windows[window])
        return float(arrivals.gaps_ms(calls).max())

    def _plug(self, window: str, pattern: str) -> str:
        path = self.out / f"plug-{window}"
        found = re.search(pattern, path.read_text("ascii")) if path.exists() else None
        return found[1] if found else ""

    def lines(self) -> list[str]:
        """The table, for a person."""
        made = [_HEAD]
        stock = self.bytes.get("stock")
        for window, (begin, end) in self.windows.items():
            late = " / ".join(f"{self.rtp_late_ms(window, p):.0f}" for p in (50, 95, 100))
            row = f"{window:16}"
            if window in self.bytes:
                times = f"{self.bytes[window] / stock:.1f}" if stock else ""
                used = self.dom0_s[window]
                row += f"{self.rate(window) / 1e3:8.0f}{times:>9}{used * 1e11 / (end - begin):8.0f}"
                row += f"{used * 1e6 / max(1, self.bytes[window]):7.2f}"
            else:
                row += " " * 32
            row += f"{late:>26}{self.rtp_gap_ms(window):6.0f}"
            row += f"{self._plug(window, _BACKLOG):>9}{self._plug(window, _DROPPED):>8}"
            made.append(row)
        return made

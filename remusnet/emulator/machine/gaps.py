"""The longest silence of a recording: where files of several days were merged into one."""

from __future__ import annotations

import numpy as np

from remusnet.errors import quoted
from remusnet.frames import Int64s


def gap_hint(time_ns: Int64s, numbers: Int64s | None, capture: str) -> str:
    """Which frame ends the longest gap, and the command that cuts the file there; "" without one.

    ``time_ns``: int64[n]. ``numbers``: int64[n], how Wireshark counts the frames; None for 1 to n.
    ``capture``: the file's name.
    """
    if len(time_ns) < 2:
        return ""
    by_time = np.argsort(time_ns, kind="stable")
    gaps = np.diff(time_ns[by_time])
    at = int(np.argmax(gaps)) + 1
    number = numbers if numbers is not None else np.arange(1, len(time_ns) + 1)
    after, before = int(by_time[at]), number[by_time[:at]]
    found = f"frame {number[after]} comes {gaps[at - 1] / 1e9:.0f} s after the one before"
    if int(before.max()) > int(number[by_time[at:]].min()):
        return f"{found}, and the file is out of order: reordercap {quoted(capture)} ordered.pcap"
    keep = f"editcap -r {quoted(capture)} part.pcap 1-{before.max()}"
    return f"{found}: cut the file there, with {keep} (without -r: what follows)"

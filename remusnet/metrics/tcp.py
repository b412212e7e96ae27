"""How long TCP frames were held: over all, and per connection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Int64s
from remusnet.metrics.flows import connection_keys, flow_of
from remusnet.metrics.percentiles import milliseconds, rounded, spread
from remusnet.policy.match import TCP


@dataclass(frozen=True, slots=True)
class HoldTimes:
    """Hold times of ``frames`` frames in ms; None where none was held."""

    frames: int
    median: float | None
    p99: float | None
    max: float | None

    def to_json(self) -> dict[str, float | None]:
        """``{"median", "p99", "max"}``, in ms; null where none was held."""
        values = {"median": self.median, "p99": self.p99, "max": self.max}
        return {name: None if ms is None else rounded(ms) for name, ms in values.items()}


@dataclass(frozen=True, slots=True)
class TcpConnection:
    """One connection, both directions. ``flow``: the direction of its first frame."""

    flow: str
    frames: int
    hold: HoldTimes


NONE_HELD = HoldTimes(0, None, None, None)


def hold_percentiles(sent_ns: Int64s, delivered_ns: Int64s) -> HoldTimes:
    """How long frames waited that were sent at ``sent_ns`` and delivered at ``delivered_ns``.

    Both int64[n]; leave out what was never delivered. Raises ValueError where the lengths differ,
    or a frame is delivered before it was sent.
    """
    if sent_ns.shape != delivered_ns.shape:
        raise ValueError(f"{sent_ns.shape} times of sending, {delivered_ns.shape} of delivery")
    held_ns = delivered_ns - sent_ns
    if (held_ns < 0).any():
        raise ValueError(f"frame {int(np.argmin(held_ns))} is delivered before it was sent")
    held = spread(milliseconds(held_ns))
    if held is None:
        return NONE_HELD
    return HoldTimes(len(held_ns), held.p50, held.p99, held.max)


def tcp_connections(
    columns: Columns, held: Int64s, sent_ns: Int64s, delivered_ns: Int64s
) -> list[TcpConnection]:
    """Every TCP connection of the capture, in order of first frames, with its held frames' times.

    ``held``: int64[k], which frames were held and delivered; ``sent_ns``, ``delivered_ns``:
    int64[k], when. Frames that aren't TCP, and later fragments, which hide their ports, are left
    out. A connection is a pair of endpoints: one that reuses the ports of an older one is the same.
    """
    # A TCP frame that was cut before its ports is in no connection.
    tcp = (columns.protocol == TCP) & (columns.sport >= 0)
    of, first = connection_keys(columns)
    frames = np.bincount(of[tcp], minlength=len(first))
    owner = of[held]
    order = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[order], np.arange(len(first) + 1))
    found = []
    for number in np.flatnonzero(frames).tolist():
        rows = order[start[number] : start[number + 1]]
        hold = hold_percentiles(sent_ns[rows], delivered_ns[rows])
        found.append(TcpConnection(flow_of(columns, first[number]), int(frames[number]), hold))
    return found

"""One direction of the network: when what leaves the guest's host, or a peer, arrives.

A `Link` takes frames one by one (`Link.frame`), or a stretch of one stream's packets at a time
(`Link.stretch`). What counts for the next one it carries along: its chance, the losses that have
begun, when its queue is free, and how late each flow is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

import numpy as np

from remusnet.emulator.traffic.rtp import noise
from remusnet.frames import Bools, Int64s
from remusnet.scenario.quantity import NS_PER_S
from remusnet.scenario.scenario import Network


class Losses:
    """Which frames the network loses: alone, or several in a row.

    A two-state model: runs of kept and of lost frames take turns, both of geometric length
    (Gilbert's, as E-model people use it), so that ``loss_percent`` of all are lost.
    """

    def __init__(self, network: Network, rng: np.random.Generator) -> None:
        self.share = network.loss_percent / 100
        self.burst = network.loss_burst
        self.rng = rng
        self._left = np.zeros(0, np.bool_)

    def next(self, count: int) -> Bools:
        """Says which of the next ``count`` frames are lost: bool[count]."""
        if self.burst <= 1 or self.share in (0.0, 1.0):
            return self.rng.random(count) < self.share
        kept = self.burst * (1 - self.share) / self.share
        while len(self._left) < count:
            turns = int(count / (kept + self.burst)) + 16
            runs = np.empty(2 * turns, np.int64)
            # A geometric run is at least 1 long; a share above a half needs shorter kept ones.
            runs[0::2] = self.rng.geometric(1 / max(kept, 1.0), turns)
            runs[1::2] = self.rng.geometric(1 / self.burst, turns)
            lost = np.repeat(np.arange(2 * turns) % 2 == 1, runs)
            self._left = np.concatenate([self._left, lost])
        found, self._left = self._left[:count], self._left[count:]
        return found


class Link:
    """``rng``: the chance of this direction, or of this stream's way, and of nothing else.

    Jitter lets no frame overtake another of its flow, unless the network reorders. What is lost
    holds up nothing that follows.
    """

    def __init__(self, network: Network, rng: np.random.Generator) -> None:
        self._network = network
        self._rng = rng
        self._losses = Losses(network, rng) if network.loss_percent else None
        self._free_ns = 0
        self._queue: deque[int] = deque()
        self._latest: dict[Hashable, int] = {}

    def frame(self, left_ns: int, length: int, flow: Hashable) -> int | None:
        """When a frame of ``length`` bytes that left at ``left_ns`` arrives; None where it's lost.

        Frames must leave in order of time. With a rate they stand in one queue, and where that is
        full the last to come is lost; what the network loses has used its rate before.
        """
        network = self._network
        out_ns = left_ns
        if network.rate is not None:
            if network.queue is not None and self._is_full(left_ns, network.queue):
                return None
            out_ns = max(left_ns, self._free_ns) + length * 8 * NS_PER_S // network.rate
            self._queue.append(out_ns)
            self._free_ns = out_ns
        delay_ns = network.delay_ns
        if network.jitter_ns:  # `_delays` of one; an array of one would take ten times as long
            delay_ns = max(0, delay_ns + int(self._rng.standard_normal() * network.jitter_ns))
        arrived_ns = out_ns + delay_ns
        if self._losses is not None and self._losses.next(1)[0]:
            return None
        if not network.reorder:
            arrived_ns = max(arrived_ns, self._latest.get(flow, 0))
            self._latest[flow] = arrived_ns
        return arrived_ns

    def _is_full(self, now_ns: int, most: int) -> bool:
        """Whether ``most`` frames wait, beside the one that is being sent."""
        while self._queue and self._queue[0] <= now_ns:
            self._queue.popleft()
        return len(self._queue) > most

    def stretch(self, left_ns: Int64s, gone: Bools | None = None) -> tuple[Int64s, Int64s | None]:
        """When the next n packets of a stream arrive (int64[n]), and which do (None for all).

        The same as `frame` for each, of a network without a rate; but all delays are drawn before
        all losses. Without ``gone`` packets leave in order of time. ``gone``: bool[n], which never
        left; then the others may have left in any order.
        """
        arrived_ns = left_ns + self._delays(len(left_ns))
        kept = None
        if self._losses is not None:
            lost = self._losses.next(len(left_ns))
            kept = np.flatnonzero(~(lost if gone is None else lost | gone))
        elif gone is not None:
            kept = np.flatnonzero(~gone)
        # Without jitter they arrive as they left.
        if self._network.jitter_ns and not self._network.reorder:
            came = kept
            if kept is not None and gone is not None:
                came = kept[np.argsort(left_ns[kept], kind="stable")]
            self._in_order(arrived_ns, came)
        return arrived_ns, kept

    def _delays(self, count: int) -> Int64s:
        """The delays of the next ``count`` frames: int64[count], or one for all; 0 at least."""
        network = self._network
        if not network.jitter_ns:
            return np.array([network.delay_ns])
        drawn = noise(self._rng, count, network.jitter_ns)
        drawn += network.delay_ns
        return np.maximum(drawn, 0, out=drawn)

    def _in_order(self, arrived_ns: Int64s, rows: Int64s | None) -> None:
        """No packet at ``rows`` (None for all) arrives before the ones above it, or before them."""
        came = arrived_ns if rows is None else arrived_ns[rows]
        if len(came):
            came[0] = max(int(came[0]), self._latest.get(None, 0))
            np.maximum.accumulate(came, out=came)
            self._latest[None] = int(came[-1])
        if rows is not None:
            arrived_ns[rows] = came

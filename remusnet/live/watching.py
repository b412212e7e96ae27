"""A live run while it runs: counts since its start, and measures of its last seconds."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

from remusnet.classify.columns import columns
from remusnet.emulator.machine.guest import Guest
from remusnet.emulator.run.recordings import measured_streams
from remusnet.frames import Frames
from remusnet.live.epochs import Epochs
from remusnet.live.keeper import Counts
from remusnet.live.matching import NEVER, matched
from remusnet.live.measuring import joined
from remusnet.live.taps import Tapped
from remusnet.metrics.flows import judge_frames
from remusnet.metrics.holding import hold_percentiles
from remusnet.metrics.retransmissions import retransmitted
from remusnet.policy.policy import TCP, Policy
from remusnet.results.live_run import LiveView, StreamView

_WINDOW_NS = 10_000_000_000
_MOST_FRAMES = 20_000
"""Of the window: to look costs some 10 us a frame, and the plug needs the processor more."""
_EMPTY = Frames.of([])


class Watcher:
    """Takes what the taps have seen, piece by piece, and gives a view of it."""

    def __init__(self, policy: Policy | None) -> None:
        self._policy = policy
        self._start = time.monotonic()
        self._inner: deque[Frames] = deque()
        self._outer: deque[Tapped] = deque()
        self._held = self._bypassed = 0
        self._skipped = 0

    def look(self, inner: Tapped, outer: Tapped, epochs: Epochs, counts: Counts) -> LiveView:
        """The view with these new frames. ``counts``: of the userspace plug; zeros without one."""
        self._count(inner.frames)
        self._inner.append(inner.frames)
        self._outer.append(outer)
        now = time.time_ns()
        while len(self._inner) > 1 and self._is_old(self._inner[0], now):
            self._inner.popleft()
        while len(self._outer) > 1 and self._is_old(self._outer[0].frames, now):
            self._outer.popleft()
        hold, most, again, streams = self._window()
        return LiveView(
            seconds=time.monotonic() - self._start,
            epochs=len(epochs),
            held=self._held,
            released=counts.released if counts.held else self._held,
            bypassed=self._bypassed,
            dropped=counts.dropped,
            waiting=counts.waiting if counts.held else None,
            tcp_hold_ms=hold,
            tcp_hold_max_ms=most,
            retransmitted=again,
            streams=streams,
        )

    def _count(self, frames: Frames) -> None:
        if not len(frames):
            return
        held = 0
        if self._policy is not None:
            (judgement,) = judge_frames([self._policy], frames, columns(frames))
            held = int(judgement.hold.sum())
        self._held += held
        self._bypassed += len(frames) - held

    def _is_old(self, frames: Frames, now: int) -> bool:
        total = sum(map(len, self._inner)) + sum(len(each.frames) for each in self._outer)
        if total > _MOST_FRAMES or not len(frames):
            return True
        return int(frames.time_ns[-1]) < now - _WINDOW_NS

    def _window(self) -> tuple[float | None, float | None, int, tuple[StreamView, ...]]:
        sent = _all(list(self._inner))
        outer = _all([each.frames for each in self._outer])
        outgoing = np.concatenate([each.outgoing for each in self._outer])
        if not len(sent) or not len(outer):
            return None, None, 0, ()
        left_ns = matched(sent, outer.take(np.flatnonzero(outgoing))).left_ns
        headers = columns(sent)
        tcp = (headers.protocol == TCP) & (left_ns != NEVER)
        times = hold_percentiles(sent.time_ns[tcp], left_ns[tcp])
        by_time = np.argsort(outer.time_ns, kind="stable")
        outer, outgoing = outer.take(by_time), outgoing[by_time]
        there = columns(outer)
        guest = Guest("", "", outgoing)
        rows = np.arange(len(outer))
        found = measured_streams(outer, there, guest, outer, rows)
        streams = tuple(
            StreamView(each.rtp.flow, each.rtp.packets, each.rtp.jitter_ms.mean)
            for each in found
            if each.from_guest and each.rtp.jitter_ms.mean is not None
        )
        return times.median, times.max, int(retransmitted(outer, there).sum()), streams


def _all(pieces: list[Frames]) -> Frames:
    found = _EMPTY
    for each in pieces:
        found = joined(found, each)
    return found

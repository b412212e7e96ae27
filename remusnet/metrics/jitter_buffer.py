"""A phone's jitter buffer: when each packet is played, and which come too late for it.

A packet is played at ``media time + offset``. Transit is arrival minus media time, so a packet is
in time where its transit is no more than the offset. The clocks of both ends need not agree: only
differences of transit count. A buffer works out its offset from packets that have come so far:

- `FixedBuffer`: the least transit of late plus a depth. Delay variation up to the depth is hidden,
  as with a phone that has learned how fast its path can be.
- `AdaptiveBuffer`: the least transit plus the 97th percentile of what the last 256 packets took
  beyond it, plus a margin of 20 ms, within bounds. A high quantile of recent delays is how WebRTC's
  NetEq chooses its target too. It follows a pause that comes back in every epoch, where a mean plus
  some deviations (Ramjee et al., INFOCOM 1994) would give each pause's first packet up.

A listener who has heard nothing for `RESYNC_NS` has lost the rhythm, unless the next packet fits
it: that one starts it anew, with an offset of its own. So an outage is heard once, whatever the
sender's clock did in it. Silence that the sender meant (RFC 3389: comfort noise, or nothing at all)
is no outage: timestamps went on through it, so what follows is in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.frames import Bools, Int64s
from remusnet.metrics.arrivals import Float64s
from remusnet.metrics.percentiles import NS_PER_MS

RESYNC_NS = 500 * NS_PER_MS
"""Silence after which a phone starts to play anew, where the next packet is late for the old."""

_BASE_PACKETS = 256
"""The least transit is that of the last 256 to 512 packets, 5 to 10 s of speech: clocks drift."""
_QUANTILE = 0.97
_REMEMBERED = 256
_STEP = 32
"""An adaptive buffer thinks again every 32 packets, and in the first 32 it knows nothing."""
_MARGIN_MS = 20.0
_ROWS = 4096
_FIRST_LOOK = 1024


@dataclass(frozen=True, slots=True)
class FixedBuffer:
    """Plays each packet ``depth_ms`` after the fastest one would have been there."""

    depth_ms: float = 60.0

    def __post_init__(self) -> None:
        if not self.depth_ms >= 0:
            raise ValueError(f"a buffer of {self.depth_ms} ms")

    @property
    def name(self) -> str:
        """``fixed``."""
        return "fixed"

    def offsets(self, transit_ms: Float64s) -> Float64s:
        """The offset for each of n packets, in ms: float64[n]."""
        return _least_of_late(transit_ms) + self.depth_ms


@dataclass(frozen=True, slots=True)
class AdaptiveBuffer:
    """Follows the delay, between ``least_ms`` and ``most_ms`` beyond the fastest packet.

    ``first_ms``: where it begins, before it knows the path.
    """

    first_ms: float = 60.0
    least_ms: float = 20.0
    most_ms: float = 200.0

    def __post_init__(self) -> None:
        if not 0 <= self.least_ms <= self.first_ms <= self.most_ms:
            raise ValueError(
                f"a buffer of {self.least_ms} to {self.most_ms} ms that begins at {self.first_ms}"
            )

    @property
    def name(self) -> str:
        """``adaptive``."""
        return "adaptive"

    def offsets(self, transit_ms: Float64s) -> Float64s:
        """The offset for each of n packets, in ms: float64[n]."""
        least = _least_of_late(transit_ms)
        depth = _recent_quantiles(transit_ms - least) + _MARGIN_MS
        depth[:_STEP] = self.first_ms
        offset: Float64s = least + depth.clip(self.least_ms, self.most_ms)
        return offset


JitterBuffer = FixedBuffer | AdaptiveBuffer


@dataclass(frozen=True, slots=True, eq=False)
class Playout:
    """What n packets became, in the order given.

    ``play_ns``: int64[n], when each is played, on the clock of arrivals; of a late packet, when it
    should have been. ``late``: bool[n]. ``fresh``: bool[n], packets with which playing began or
    began anew.
    """

    play_ns: Int64s
    late: Bools
    fresh: Bools


def play_out(buffer: JitterBuffer, media_ns: Int64s, arrival_ns: Int64s, ptime_ns: int) -> Playout:
    """Play n packets, given in order of arrival; of each sequence number the first copy only.

    ``media_ns``: int64[n], their RTP timestamps, unwrapped, in ns. ``arrival_ns``: int64[n].
    ``ptime_ns``: how long one packet sounds. Raises ValueError for arrays of different lengths.
    """
    if media_ns.shape != arrival_ns.shape:
        raise ValueError(f"{media_ns.shape} timestamps, {arrival_ns.shape} arrival times")
    count = len(media_ns)
    play_ns = np.zeros(count, np.int64)
    late, fresh = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    start, look = 0, _FIRST_LOOK
    while start < count:
        stop = min(start + look, count)
        transit_ns = arrival_ns[start:stop] - media_ns[start:stop]
        # Small numbers before floats: a date in ns has more digits than a float holds.
        base_ns = transit_ns[0]
        offset_ms = buffer.offsets((transit_ns - base_ns) / NS_PER_MS)
        offset_ns = base_ns + np.rint(offset_ms * NS_PER_MS).astype(np.int64)
        plays = media_ns[start:stop] + offset_ns
        too_late = transit_ns > offset_ns
        silent = _first_after_silence(plays, too_late, arrival_ns[start:stop], ptime_ns)
        if silent is None and stop < count:
            look *= 2  # the same stretch again, and more: at most twice the work in all
            continue
        end = stop if silent is None else start + silent
        play_ns[start:end] = plays[: end - start]
        late[start:end] = too_late[: end - start]
        fresh[start] = True
        # The next stretch may be as long: then it is looked at once.
        start, look = end, max(_FIRST_LOOK, end - start)
    return Playout(play_ns, late, fresh)


def _first_after_silence(
    play_ns: Int64s, late: Bools, arrival_ns: Int64s, ptime_ns: int
) -> int | None:
    """The first packet that came too late, and when nothing had been played for `RESYNC_NS`."""
    ends = np.where(late, np.iinfo(np.int64).min, play_ns + ptime_ns)
    last_end = np.maximum.accumulate(ends)[:-1]
    silent = np.flatnonzero((arrival_ns[1:] - RESYNC_NS > last_end) & late[1:])
    return int(silent[0]) + 1 if len(silent) else None


def _least_of_late(transit_ms: Float64s) -> Float64s:
    """Each packet's least transit: of itself, its block so far, and the block before."""
    count = len(transit_ms)
    padded = np.concatenate([transit_ms, np.full(-count % _BASE_PACKETS, np.inf)])
    so_far = np.minimum.accumulate(padded.reshape(-1, _BASE_PACKETS), axis=1)
    before = np.concatenate([[np.inf], so_far[:-1, -1]])
    least: Float64s = np.minimum(so_far, before[:, None]).reshape(-1)[:count]
    return least


def _recent_quantiles(beyond_ms: Float64s) -> Float64s:
    """Each packet's `_QUANTILE` of the `_REMEMBERED` values before its step of `_STEP`.

    0 in the first step, which has none before it.
    """
    count = len(beyond_ms)
    found = np.zeros(-(-count // _STEP))
    young = _REMEMBERED // _STEP  # steps whose memory isn't full yet
    for step in range(1, min(young, len(found))):
        rank = int(_QUANTILE * (step * _STEP - 1))
        found[step] = np.partition(beyond_ms[: step * _STEP], rank)[rank]
    if len(found) > young:
        # Every packet is in the memory of eight steps, but only the largest of a step can be that
        # memory's quantile, which has few above it.
        top = _REMEMBERED - int(_QUANTILE * (_REMEMBERED - 1))
        steps = beyond_ms[: (len(found) - 1) * _STEP].reshape(-1, _STEP)
        large = np.partition(steps, -top, axis=1)[:, -top:].reshape(-1)
        rows = np.lib.stride_tricks.sliding_window_view(large, young * top)[::top]
        # In pieces: partition() copies.
        for start in range(0, len(rows), _ROWS):
            chosen = np.partition(rows[start : start + _ROWS], -top, axis=1)[:, -top]
            found[young + start : young + start + len(chosen)] = chosen
    return np.repeat(found, _STEP)[:count]

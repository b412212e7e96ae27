"""How much of plug and ring RTP may need, at most: so that nothing has to be looked at alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from remusnet.emulator.machine.timeline import Timeline
from remusnet.emulator.traffic.rtp import Source

_SLACK = 2
"""Packets: one at either end of a span."""
_FAR = 10
"""Standard deviations of jitter that bring no packet into a span from farther away."""


@dataclass(frozen=True, slots=True)
class Share:
    """Held at one moment, at most: bytes in the plug, and frames, each with a slot of the ring."""

    bytes: int
    frames: int


def rtp_share(
    sources: Sequence[Source], holds: Sequence[bool], timeline: Timeline, jitter_ns: int
) -> Share:
    """What the streams that ``holds`` says need together, no less than they ever do.

    ``jitter_ns``: standard deviation of the times of sending, at most.

    At a commit the plug has what was sent since the suspend before the one that commits.
    """
    planned = timeline.checkpoints
    if not timeline.protected or len(planned) == 0:
        return Share(0, 0)
    since_ns = np.concatenate([[0], planned.suspend_ns[:-1]])
    span_ns = int((planned.commit_ns - since_ns).max()) + 2 * _FAR * jitter_ns
    size = count = 0
    for source, hold in zip(sources, holds, strict=True):
        if hold and source.from_guest:
            frames = min(source.packets, span_ns // source.interval_ns + _SLACK)
            count += frames
            size += frames * source.frame_bytes
    return Share(size, count)

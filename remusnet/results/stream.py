"""An RTP stream of a run: its measures, where it comes from, its packets, and how it sounds.

Times are int64 nanoseconds, of a scenario from its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from remusnet.frames import Bools, Int64s
from remusnet.metrics.arrivals import Float64s
from remusnet.metrics.emodel import codec_of
from remusnet.metrics.jitter_buffer import AdaptiveBuffer, FixedBuffer, JitterBuffer
from remusnet.metrics.payload_types import Medium
from remusnet.metrics.percentiles import NS_PER_MS, rounded
from remusnet.metrics.rtp import StreamSummary
from remusnet.metrics.voice import ReceivedPackets, Voice, listen

NEVER = -1
"""The time at which a packet left, or came, that didn't."""


@dataclass(frozen=True, slots=True, eq=False)
class PacketSeries:
    """Every packet of a simulated stream, n of them in the order of sending.

    Of a recording: those that came, at the recording's times, which count as times of sending.
    ``sent_ns``, ``left_ns`` (the guest's host), ``arrived_ns`` (at the client): int64[n], the last
    two `NEVER` for packets that didn't. ``due_ns``: int64[n], when the guest would have sent them
    had it not stood still; of a recording, its times. ``sequence`` (16 bits), ``timestamp``
    (32 bits): int64[n]. ``arrival``: int64[m], the packets that came, in the order of coming;
    ``jitter_ms``: float64[m], the estimate after each of those, NaN where the clock rate isn't
    known. ``event``: bool[n], telephone events, which are no sound; None where there are none.
    """

    sent_ns: Int64s
    left_ns: Int64s
    arrived_ns: Int64s
    sequence: Int64s
    timestamp: Int64s
    arrival: Int64s
    jitter_ms: Float64s
    due_ns: Int64s
    event: Bools | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a simulated stream comes from: the group of calls (counted from 1), the call in it.

    ``codec``: its key in `remusnet.scenario.traffic.CODECS`. ``ptime_ns``: the packetization time.
    ``sent``: packets that were sent, those included that never came. ``lost_buffer``,
    ``lost_failure``, ``lost_network``: packets that a full plug dropped, that were held when the
    primary died or sent before the path was back, and that the network lost. ``index_reuse``:
    packets sent under a number that was sent before (SRTP: one key stream for two packets).
    """

    group: int
    call: int
    codec: str
    ptime_ns: int
    srtp: bool
    sent: int
    lost_buffer: int
    lost_failure: int
    lost_network: int
    index_reuse: int

    def to_json(self) -> dict[str, object]:
        """``origin`` of a stream."""
        return {
            "group": self.group,
            "call": self.call,
            "codec": self.codec,
            "ptime_ms": rounded(self.ptime_ns / NS_PER_MS),
            "srtp": self.srtp,
            "sent": self.sent,
            "lost_buffer": self.lost_buffer,
            "lost_failure": self.lost_failure,
            "lost_network": self.lost_network,
            "index_reuse": self.index_reuse,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """An RTP stream as it came; ``from_guest``: whether the guest sent it.

    ``series``: its packets, where the run isn't too large to keep them. ``origin``: of a scenario,
    whose stream it is.
    """

    rtp: StreamSummary
    from_guest: bool
    origin: Origin | None = None
    series: PacketSeries | None = None

    def to_json(self) -> dict[str, object]:
        """The stream's own JSON, ``from_guest``, and of a scenario ``origin``."""
        found = {**self.rtp.to_json(), "from_guest": self.from_guest}
        return found if self.origin is None else {**found, "origin": self.origin.to_json()}


def voices(
    stream: Stream,
    buffers: Sequence[JitterBuffer] = (FixedBuffer(), AdaptiveBuffer()),
    loss_robustness: float | None = None,
) -> tuple[Voice, ...]:
    """How a stream sounds through each of ``buffers``.

    ``loss_robustness``: G.107's Bpl of what plays it, None for the codec's own
    (`remusnet.metrics.emodel.RATED_CODECS`). Empty where that isn't known: its packets weren't
    kept, or never told how long they sound. Empty for what is no speech: the E-model rates nothing
    else (G.107, clause 1).
    """
    series, ptime_ms, clock_rate = stream.series, stream.rtp.ptime_ms, stream.rtp.clock_rate
    if series is None or not ptime_ms or clock_rate is None:
        return ()
    if stream.rtp.medium not in (Medium.AUDIO, None):
        return ()
    came = series.arrival
    received = ReceivedPackets(
        series.sequence[came],
        series.timestamp[came],
        series.due_ns[came],  # what is said in a pause is heard that much later
        series.arrived_ns[came],
        None if series.event is None else series.event[came],
    )
    types = stream.rtp.payload_types
    encoding = next((t.encoding for t in types if t.encoding != "CN" and not t.is_event), None)
    codec = codec_of(encoding)
    if loss_robustness is not None:
        codec = replace(codec, bpl=loss_robustness)
    last = int(came.max()) if len(came) else 0
    return listen(
        received,
        buffers,
        codec,
        clock_rate=clock_rate,
        ptime_ns=round(ptime_ms * NS_PER_MS),
        expected_after=len(series.sent_ns) - 1 - last,
    )

"""The frames of a run that arrived, as a capture at both ends of the network would have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remusnet.emulator.run.loop import Flight
from remusnet.emulator.traffic.conversations import Conversation
from remusnet.emulator.traffic.media import spurt_starts
from remusnet.emulator.traffic.rtp import Source
from remusnet.emulator.traffic.rtp_frames import Templates
from remusnet.frames import Bytes, Frames, Int64s
from remusnet.results.comparison import Stream
from remusnet.results.scene import NEVER
from remusnet.scenario.scenario import Host


class Released:
    """Collects frames with their times; `frames` puts them in order."""

    def __init__(self, host: Host) -> None:
        self._templates = Templates(host)
        self._data: list[Bytes] = []
        self._sizes: list[Int64s] = []
        self._wire: list[Int64s] = []
        self._arrived_ns: list[Int64s] = []
        self._left_ns: list[Int64s] = []

    def add_stream(self, source: Source, stream: Stream) -> None:
        """The packets of ``stream`` that arrived; its series must be there."""
        series = stream.series
        if series is None:
            raise ValueError(f"stream {source.number} was not kept")
        step = source.calls.codec.timestamp_step(source.calls.ptime_ns)
        # In order of sending, a spurt begins where the timestamp skips.
        advance = np.diff(series.timestamp) % 2**32 // step
        ticks = np.concatenate([[0], np.cumsum(advance)]) if len(series.timestamp) else advance
        marker = spurt_starts(ticks) if source.calls.vad else np.zeros(len(ticks), np.bool_)
        came = series.arrival
        rows = self._templates.of(source).packets(
            series.sequence[came], series.timestamp[came], marker[came]
        )
        sizes = np.full(len(rows), rows.shape[1], np.int64)
        self.add(rows.reshape(-1), sizes, sizes, series.arrived_ns[came], series.left_ns[came])

    def add(
        self, data: Bytes, sizes: Int64s, wire: Int64s, arrived_ns: Int64s, left_ns: Int64s
    ) -> None:
        """n frames: their bytes one after the other, how many of each, and their times."""
        self._data.append(data)
        self._sizes.append(sizes)
        self._wire.append(wire)
        self._arrived_ns.append(arrived_ns)
        self._left_ns.append(left_ns)

    def add_flights(self, flights: Sequence[Flight], conversations: Sequence[Conversation]) -> None:
        """The frames of conversations that arrived; RTP is its streams' business."""
        came = [each for each in flights if each.what is not None and each.arrived_ns != NEVER]
        frames = [
            conversations[each.owner].wire.frame(each.what, from_guest=each.from_guest)
            for each in came
            if each.what is not None
        ]
        sizes = np.array([len(each) for each in frames], np.int64)
        arrived_ns = np.array([each.arrived_ns for each in came], np.int64)
        left_ns = np.array([each.left_ns for each in came], np.int64)
        self.add(np.frombuffer(b"".join(frames), np.uint8), sizes, sizes, arrived_ns, left_ns)

    def add_frames(self, frames: Frames) -> None:
        """Frames at their times."""
        at = np.repeat(frames.offset - _before(frames.caplen), frames.caplen)
        data = frames.data[at + np.arange(len(at))]
        self.add(data, frames.caplen, frames.length, frames.time_ns, frames.time_ns)

    def frames(self) -> Frames:
        """All of them in order of arrival; of equal times what left first, then what was added."""
        sizes, wire, arrived_ns, left_ns = (
            np.concatenate(columns) if columns else np.zeros(0, np.int64)
            for columns in (self._sizes, self._wire, self._arrived_ns, self._left_ns)
        )
        data = np.concatenate(self._data) if self._data else np.zeros(0, np.uint8)
        order = np.lexsort((left_ns, arrived_ns))
        return Frames(data, _before(sizes), sizes, wire, arrived_ns).take(order)


def _before(sizes: Int64s) -> Int64s:
    """Where each of some frames begins that lie one after the other."""
    return np.cumsum(sizes) - sizes

"""Every frame of the guest on its way through the vif, as bytes: what a real kernel can be asked.

The same loop as in `remusnet.emulator.run.stepwise`, for the guest's side only. What a frame came
to is a row of columns, and its bytes are made when somebody wants them: a long scenario has
hundreds of thousands.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remusnet.emulator.machine.epochs import Checkpoints
from remusnet.emulator.run.loop import Flight
from remusnet.emulator.run.scenario_run import timeline
from remusnet.emulator.run.stepwise import lanes_of, run_loop
from remusnet.emulator.traffic.conversations import conversations
from remusnet.emulator.traffic.rtp import Lost, StreamPackets, sources
from remusnet.emulator.traffic.rtp_frames import StreamFrames, Templates, stream_verdicts
from remusnet.emulator.traffic.wire import What, Wire
from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Bools, Bytes, Int64s
from remusnet.policy.policy import Policy
from remusnet.results.stream import NEVER
from remusnet.scenario.scenario import Scenario

_AT_A_TIME = 4096
"""Frames that are made together."""
_SAID = -1
"""The stream of a frame that belongs to none: an endpoint said it."""


@dataclass(frozen=True, slots=True, eq=False)
class Departures:
    """n frames that the primary sent, in the order of sending, and the checkpoints that committed.

    ``sent_ns``, ``left_ns``: int64[n]; what never left has `remusnet.results.stream.NEVER`.
    ``held``, ``dropped``: bool[n].
    """

    sent_ns: Int64s
    left_ns: Int64s
    held: Bools
    dropped: Bools
    checkpoints: Checkpoints
    _made: _Made

    def __len__(self) -> int:
        return len(self.sent_ns)

    def frames(self) -> Iterator[bytes]:
        """The bytes of each, in that order; made anew each time."""
        for begin in range(0, len(self), _AT_A_TIME):
            yield from self._made.between(begin, min(begin + _AT_A_TIME, len(self)))


def departures(scenario: Scenario, policy: Policy) -> Departures:
    """The guest's frames under ``policy``, through a transmit ring without end.

    Raises InvalidInput for a scenario without checkpoints, and for one with captures: each of those
    has a plug of its own.
    """
    planned = timeline(scenario)
    if not planned.protected:
        raise InvalidInput(f"{quoted(scenario.name)} has no checkpoints: nothing is held in it")
    if scenario.recordings:
        raise InvalidInput(
            f"{quoted(scenario.name)} has captures, each with a plug of its own: a kernel has one"
        )
    ours = [each for each in sources(scenario) if each.from_guest]
    said = list(conversations(scenario))
    (holds,) = stream_verdicts(ours, scenario.host, [policy])
    lanes, packets = lanes_of(ours, holds, scenario, planned)
    templates = Templates(scenario.host)
    streams = [
        _Stream.of(templates.of(source), each) for source, each in zip(ours, packets, strict=True)
    ]
    del packets
    log = _Log()
    run_loop(
        scenario, planned, said, lanes, policy, limit=scenario.host.limit, slots=None, log=log
    )  # fmt: skip
    log.close()
    return Departures(
        np.array(log.sent_ns),
        np.array(log.left_ns),
        np.array(log.held, np.bool_),
        np.array(log.dropped, np.bool_),
        planned.happened(scenario.duration_ns),
        _Made(
            streams,
            [each.wire for each in said],
            np.array(log.stream),
            np.array(log.row),
            log.said,
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    """A stream's frames, and of each of n packets what goes into it.

    ``sequence``: uint16[n], ``timestamp``: uint32[n], ``marker``: bool[n].
    """

    frames: StreamFrames
    sequence: npt.NDArray[np.uint16]
    timestamp: npt.NDArray[np.uint32]
    marker: Bools

    @classmethod
    def of(cls, frames: StreamFrames, packets: StreamPackets) -> _Stream:
        """All of ``packets``."""
        sequence, timestamp, marker = frames.numbers(packets)
        return cls(frames, sequence.astype(np.uint16), timestamp.astype(np.uint32), marker)

    def at(self, rows: npt.NDArray[np.int32]) -> Bytes:
        """The frames of the packets at m ``rows``: uint8[m, length]."""
        sequence, timestamp = (
            each[rows].astype(np.int64) for each in (self.sequence, self.timestamp)
        )
        return self.frames.packets(sequence, timestamp, self.marker[rows])


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """Makes n frames. ``stream``, ``row``: int32[n], a packet of one of ``streams``, or `_SAID` and
    the conversation. ``said``: of the latter what it says, by the frame's number.
    """

    streams: Sequence[_Stream]
    wires: Sequence[Wire]
    stream: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    said: Mapping[int, What]

    def between(self, begin: int, end: int) -> list[bytes]:
        """The frames from number ``begin`` to before ``end``."""
        made = [b""] * (end - begin)
        stream, row = self.stream[begin:end], self.row[begin:end]
        for number in np.unique(stream).tolist():
            places = np.flatnonzero(stream == number)
            if number == _SAID:
                for place in places.tolist():
                    what = self.said[begin + place]
                    made[place] = self.wires[row[place]].frame(what, from_guest=True)
                continue
            packets = self.streams[number].at(row[places])
            for place, packet in zip(places.tolist(), packets, strict=True):
                made[place] = packet.tobytes()
        return made


class _Log:
    """The loop's flights: each whole until the vif has done with it, then a row of columns."""

    def __init__(self) -> None:
        self.sent_ns, self.left_ns = array("q"), array("q")
        self.stream, self.row = array("i"), array("i")
        self.held, self.dropped = array("b"), array("b")
        self.said: dict[int, What] = {}
        self._under_way: deque[Flight] = deque()
        self._first = 0

    def append(self, flight: Flight) -> None:
        """One more; those before it that are done with become rows."""
        self._under_way.append(flight)
        while self._under_way[0].left_ns != NEVER or self._under_way[0].lost is not Lost.NOWHERE:
            self._close_first()
            if not self._under_way:
                return

    def __getitem__(self, number: int) -> Flight:
        return self._under_way[number - self._first]

    def __len__(self) -> int:
        return self._first + len(self._under_way)

    def close(self) -> None:
        """No more will come."""
        while self._under_way:
            self._close_first()

    def _close_first(self) -> None:
        flight = self._under_way.popleft()
        self._first += 1
        if flight.by_backup or not flight.from_guest:
            return
        if flight.what is not None:
            self.said[len(self.row)] = flight.what
        self.stream.append(_SAID if flight.what is not None else flight.owner)
        self.row.append(flight.owner if flight.what is not None else flight.row)
        self.sent_ns.append(flight.sent_ns)
        self.left_ns.append(flight.left_ns)
        self.held.append(flight.hold)
        self.dropped.append(flight.lost is Lost.BUFFER)

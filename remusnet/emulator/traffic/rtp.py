"""The RTP streams of a scenario: the sender of each, where to, and when each packet is due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from remusnet.frames import Int64s
from remusnet.metrics.flows import flow_text
from remusnet.policy.policy import UDP
from remusnet.results.stream import NEVER
from remusnet.scenario.extent import frame_bytes, legs
from remusnet.scenario.quantity import generator
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Calls, Role

GUEST_PORT = 10_000
PEER_PORT = 30_000
# RFC 2544's networks for tests: the phones that the guest sends to, and those that send to it.
_TO_NETWORK, _FROM_NETWORK = "198.18", "198.19"
_SPREAD = 0x9E3779B1
"""An odd number: its multiples modulo 2**32 are all different, and look like chance."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream. ``group`` and ``call`` count from 1; ``number``: of the stream in the scenario.

    ``leg`` tells a call's two streams apart. ``source`` and ``destination``: address and port.
    ``first_ns``: the first packet, before any jitter; packets come until ``end_ns``, that excluded.
    """

    calls: Calls
    group: int
    call: int
    leg: int
    number: int
    from_guest: bool
    source: tuple[str, int]
    destination: tuple[str, int]
    first_ns: int
    end_ns: int

    @property
    def ssrc(self) -> int:
        """Different for every stream."""
        return (self.number + 1) * _SPREAD % 2**32

    @property
    def first_sequence(self) -> int:
        """RFC 3550 wants a random one; here it depends on the stream alone, not on the seed."""
        return self.ssrc >> 13 & 0xFFFF

    @property
    def first_timestamp(self) -> int:
        """As `first_sequence`."""
        return self.ssrc * _SPREAD % 2**32

    @property
    def interval_ns(self) -> int:
        """The time between two packets by the checkpointer's clock: the sender's may drift."""
        return self.calls.ptime_ns + self.calls.ptime_ns * self.calls.drift_ppm // 1_000_000

    @property
    def packets(self) -> int:
        """At most so many packets (silence suppression leaves some out)."""
        return max(0, -(-(self.end_ns - self.first_ns) // self.interval_ns))

    @property
    def frame_bytes(self) -> int:
        """Bytes of one packet on the wire, without the checksum of Ethernet."""
        return frame_bytes(self.calls)

    @property
    def flow(self) -> str:
        """As reports name it."""
        return flow_text(UDP, *self.source, *self.destination)


def sources(scenario: Scenario) -> Iterator[Source]:
    """All streams, call by call."""
    number = call_number = 0
    for group, calls in enumerate(scenario.calls, start=1):
        end_ns = scenario.duration_ns
        if calls.duration_ns is not None:
            end_ns = min(end_ns, calls.start_ns + calls.duration_ns)
        phases = _phases(scenario, group, calls)
        for call in range(calls.count):
            for leg, from_guest in legs(calls):
                source, destination = _ends(calls, call_number, leg, from_guest)
                first_ns = calls.start_ns + phases[call]
                yield Source(
                    calls, group, call + 1, leg, number, from_guest, source, destination,
                    first_ns, end_ns,
                )  # fmt: skip
                number += 1
            call_number += 1


def _phases(scenario: Scenario, group: int, calls: Calls) -> list[int]:
    """How late each call's first packet is."""
    if calls.phase_ns is not None:
        return [calls.phase_ns] * calls.count
    rng = generator(scenario.seed, "phase", group)
    drawn: list[int] = rng.integers(0, calls.ptime_ns, calls.count).tolist()
    return drawn


def _ends(
    calls: Calls, call: int, leg: int, from_guest: bool
) -> tuple[tuple[str, int], tuple[str, int]]:
    """Source and destination. A relay has a phone on either side, a server has one."""
    relayed_back = calls.role is Role.RELAY and leg == 1
    peer = _address(_FROM_NETWORK if relayed_back else _TO_NETWORK, call, calls.ip), PEER_PORT
    port = GUEST_PORT + 2 * (call % 10_000) + (20_000 if relayed_back else 0)
    guest = "192.0.2.1" if calls.ip == 4 else "2001:db8::1", port
    return (guest, peer) if from_guest else (peer, guest)


def _address(network: str, number: int, version: int) -> str:
    if version == 4:
        return f"{network}.{number >> 8 & 255}.{number & 255}"
    return f"2001:db8:{network[-2:]}::{number + 1:x}"


STRETCH = 1 << 16
"""Packets that are worked on at a time: what they take fits into a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """n packets of a source, one after the other.

    ``due_ns``: int64[n], ascending, when it wants to send them. ``first``: the number of the
    first one; numbers count packets. ``tick``: int64[n], which count packetization times, silent
    ones too, from the source's first; None where both are the same.
    """

    due_ns: Int64s
    first: int
    tick: Int64s | None

    def __len__(self) -> int:
        return len(self.due_ns)

    @property
    def numbers(self) -> Int64s:
        """int64[n], counted from the source's first packet."""
        return np.arange(self.first, self.first + len(self), dtype=np.int64)

    @property
    def ticks(self) -> Int64s:
        """int64[n]; the numbers where nothing is left out."""
        return self.numbers if self.tick is None else self.tick


def joined(parts: Sequence[Stretch]) -> Stretch:
    """The stretches of one stream as one."""
    if not parts:
        return Stretch(np.zeros(0, np.int64), 0, None)
    return Stretch(
        np.concatenate([each.due_ns for each in parts]),
        parts[0].first,
        np.concatenate([each.ticks for each in parts]),
    )


def stretches(source: Source, jitter_ns: int, rng: np.random.Generator) -> Iterator[Stretch]:
    """The packets of ``source``, `STRETCH` at a time, until its end.

    ``jitter_ns``: the standard deviation of its times of sending. A packet never overtakes the one
    before: a late one delays what follows at most until it is sent itself.
    """
    ticks = talk_ticks(source, rng) if source.calls.vad else None
    total = source.packets if ticks is None else len(ticks)
    latest = 0
    for first in range(0, total, STRETCH):
        last = min(first + STRETCH, total)
        tick = None if ticks is None else ticks[first:last]
        count = np.arange(first, last, dtype=np.int64) if tick is None else tick
        due_ns = count * source.interval_ns
        due_ns += source.first_ns
        if jitter_ns:
            due_ns += noise(rng, len(due_ns), jitter_ns)
            due_ns[0] = max(due_ns[0], latest)
            np.maximum.accumulate(due_ns, out=due_ns)
            latest = int(due_ns[-1])
        yield Stretch(due_ns, first, tick)


def noise(rng: np.random.Generator, count: int, deviation_ns: int) -> Int64s:
    """Normal, around 0: int64[count]."""
    drawn = rng.standard_normal(count)
    drawn *= deviation_ns
    return drawn.astype(np.int64)


def talk_ticks(source: Source, rng: np.random.Generator) -> Int64s:
    """The packetization times in which ``source`` talks: int64[n], ascending.

    Talk spurts and silences take turns, both exponential and at least one packet long; it begins
    talking. (ITU-T P.59 has such a model of speech.)
    """
    calls, total = source.calls, source.packets
    per_turn = (calls.talk_ns + calls.silence_ns) / source.interval_ns
    pieces, at = [], 0
    while at < total:
        turns = int((total - at) / per_turn * 1.1) + 16
        talk = _lengths(rng, turns, calls.talk_ns / source.interval_ns)
        silence = _lengths(rng, turns, calls.silence_ns / source.interval_ns)
        starts = at + np.concatenate([[0], np.cumsum(talk + silence)[:-1]])
        # Ticks within a spurt count on; from one spurt to the next they skip the silence.
        skipped = np.repeat(starts - np.concatenate([[0], np.cumsum(talk)[:-1]]), talk)
        pieces.append(skipped + np.arange(len(skipped), dtype=np.int64))
        at = int(starts[-1] + talk[-1] + silence[-1])
    ticks = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
    return ticks[: int(np.searchsorted(ticks, total))]


def _lengths(rng: np.random.Generator, count: int, mean: float) -> Int64s:
    return 1 + np.floor(rng.standard_exponential(count) * mean).astype(np.int64)


def spurt_starts(ticks: Int64s) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool[n]: which packets begin a talk spurt (RFC 3551, 4.1: they carry the marker bit)."""
    return np.concatenate([[True], np.diff(ticks) > 1])[: len(ticks)]


class Lost(IntEnum):
    """Where a packet ended; `NOWHERE` is one that came."""

    NOWHERE = 0
    BUFFER = 1
    FAILURE = 2
    """It was held when the primary died, or sent before the path was back."""
    NETWORK = 3
    NOBODY = 4
    """It was for a guest that was not there; a relay that is down passes nothing on."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamPackets:
    """What became of n packets of one stream, in the order of sending.

    All are int64[n] but ``lost``, which is int8[n]. ``left_ns``, ``arrived_ns``: `NEVER` for
    packets that didn't. ``number``, ``tick``: see `Stretch`; a backup that goes on from an older
    state uses numbers again. ``due_ns``: when the source wanted to send them, pause or not.
    """

    sent_ns: Int64s
    left_ns: Int64s
    arrived_ns: Int64s
    number: Int64s
    tick: Int64s
    lost: npt.NDArray[np.int8]
    due_ns: Int64s

    def __len__(self) -> int:
        return len(self.sent_ns)

    @classmethod
    def of(
        cls, media: Stretch, sent_ns: Int64s, left_ns: Int64s, arrived_ns: Int64s | None = None
    ) -> StreamPackets:
        """Packets of which none is lost; without ``arrived_ns`` none has arrived yet."""
        if arrived_ns is None:
            arrived_ns = np.full(len(media), NEVER, np.int64)
        lost = np.zeros(len(media), np.int8)
        return cls(sent_ns, left_ns, arrived_ns, media.numbers, media.ticks, lost, media.due_ns)

    def take(self, rows: Int64s) -> StreamPackets:
        """The packets at ``rows``, in that order."""
        names = [each.name for each in fields(self)]
        return StreamPackets(*[getattr(self, name)[rows] for name in names])

    def count(self, where: Lost) -> int:
        """How many packets ended there."""
        return int(np.count_nonzero(self.lost == where))


def together(parts: Sequence[StreamPackets]) -> StreamPackets:
    """The packets of one stream, part after part."""
    if len(parts) == 1:
        return parts[0]
    names = [each.name for each in fields(StreamPackets)]
    return StreamPackets(*[np.concatenate([getattr(p, name) for p in parts]) for name in names])


def sequence_of(source: Source, number: Int64s) -> Int64s:
    """16-bit sequence numbers of packets."""
    return (source.first_sequence + number) & 0xFFFF


def timestamp_of(source: Source, tick: Int64s) -> Int64s:
    """32-bit timestamps of packets."""
    step = source.calls.codec.timestamp_step(source.calls.ptime_ns)
    return (source.first_timestamp + tick * step) & 0xFFFFFFFF

"""What a job recorded: when each record was sent and arrived, and what libxl told the plug."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from remusnet.classify.headers import Headers, dissect
from remusnet.frames import Int64s
from remusnet.metrics.arrivals import Float64s, interarrival_jitter
from remusnet.policy.policy import TCP as TCP_PROTOCOL

RTP, RTP6, RTP_TAGGED, PLAIN_UDP = 1, 2, 3, 4
TCP, TCP6, TCP_TAGGED, TCP6_TAGGED = 11, 12, 13, 14
"""The streams of vagrant/guest/traffic.c."""

BUFFER, RELEASE_ONE, RELEASE_INDEFINITE, LIMIT = range(4)
"""The actions of sch_plug (linux/pkt_sched.h)."""

_RECORD = struct.Struct(">4sIQQ")
_MARK = b"RNET"
_LESS = _RECORD.size - 1
_NONE = (b"", b"")
_NEW_QDISC = 36
_REQUEST = 1
_KIND, _OPTIONS = 1, 2
_AROUND_NS = 1_000_000_000


def _frames(path: Path) -> list[tuple[int, bytes]]:
    """(time in ns, bytes) of a nanosecond pcap of this machine's byte order."""
    data = path.read_bytes()
    if data[:4] != b"\x4d\x3c\xb2\xa1":
        raise ValueError(f"{path} is no nanosecond pcap")
    found, at = [], 24
    while at + 16 <= len(data):
        seconds, nanoseconds, length, _ = struct.unpack_from("<4I", data, at)
        found.append((seconds * 1_000_000_000 + nanoseconds, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return found


@dataclass(frozen=True)
class Stream:
    """Records of one stream: int64[n] each, in order of arrival, none twice.

    ``sent_ns`` is on the guest's clock, which runs away from Domain 0's under emulation; the other
    two are on Domain 0's: at the vif, before tc, and on the bridge, behind it.
    """

    number: Int64s
    sent_ns: Int64s
    entered_ns: Int64s
    arrived_ns: Int64s

    def within(self, begin_ns: int, end_ns: int) -> Stream:
        """Those that arrived in a window."""
        chosen = (self.arrived_ns >= begin_ns) & (self.arrived_ns < end_ns)
        return Stream(
            self.number[chosen],
            self.sent_ns[chosen],
            self.entered_ns[chosen],
            self.arrived_ns[chosen],
        )

    def hold_ms(self) -> Float64s:
        """How long each was in Domain 0 before it came to the bridge.

        0 where nothing queued it: such a frame keeps the stamp that the vif gave it.
        """
        return (self.arrived_ns - self.entered_ns) / 1e6

    def jitter_ms(self) -> tuple[float, float]:
        """RFC 3550: mean and largest, against the packets' 20 ms."""
        series = interarrival_jitter(self.arrived_ns, self.number * 160, 8000)
        return float(series.mean()), float(series.max())

    def lost(self) -> int:
        """How many numbers between the first and the last did not arrive."""
        if not len(self.number):
            return 0
        return int(self.number.max() - self.number.min()) + 1 - len(self.number)


def streams(arrived: Path, entered: Path | None = None) -> dict[int, Stream]:
    """What arrived on the bridge, by stream; what TCP sent twice counts at its first arrival.

    ``entered``: the capture on the vif; without it ``entered_ns`` is that of the bridge.
    """
    at_vif = _records(arrived if entered is None else entered)
    made = {}
    for stream, records in _records(arrived).items():
        came = at_vif.get(stream, {})
        rows = sorted(
            (time_ns, sent_ns, came[number][1], number)
            for number, (sent_ns, time_ns) in records.items()
            # A packet socket that was too busy misses some; so does one that began later.
            if number in came
        )
        if rows:
            arrived_ns, sent_ns, entered_ns, number = np.array(rows, dtype=np.int64).T
            made[stream] = Stream(number, sent_ns, entered_ns, arrived_ns)
    return made


def _records(path: Path) -> dict[int, dict[int, tuple[int, int]]]:
    """(sent, seen) of each record, by stream and number: when it was seen first."""
    seen: dict[int, dict[int, tuple[int, int]]] = {}
    for time_ns, record in sightings(path):
        seen.setdefault(record.stream, {}).setdefault(record.number, (record.sent_ns, time_ns))
    return seen


class Record(NamedTuple):
    """What the guest wrote into one: a guest that was rolled back writes a number twice."""

    stream: int
    number: int
    sent_ns: int


def sightings(path: Path) -> list[tuple[int, Record]]:
    """(time in ns, record): every record of every frame, as often as it was seen.

    One that two segments of TCP share is seen with the later of both.
    """
    found, seams = [], _Seams()
    for time_ns, frame in _frames(path):
        for text in (frame, *seams.add(frame)):
            found += [(time_ns, record) for record in _records_in(text)]
    return found


def _records_in(data: bytes) -> Iterator[Record]:
    at = data.find(_MARK)
    while at >= 0 and at + _RECORD.size <= len(data):
        yield Record(*_RECORD.unpack_from(data, at)[1:])
        at = data.find(_MARK, at + _RECORD.size)


class _Seams:
    """Where segments of TCP meet, by connection and sequence number."""

    def __init__(self) -> None:
        # What comes before a sequence number, and what from it on: less than a record each.
        self._sides: dict[tuple[object, ...], tuple[bytes, bytes]] = {}

    def add(self, frame: bytes) -> Iterator[bytes]:
        """What lies around the ends of this segment, where its neighbours were seen before it."""
        headers = dissect(frame)
        if headers.protocol != TCP_PROTOCOL or headers.payload is None:
            return
        data = frame[headers.payload :][: headers.payload_length]
        if not data:
            return
        begin = _sequence_number(frame, headers)
        here, there = headers.source_port, headers.destination_port
        connection = (headers.tags, headers.source, here, headers.destination, there)
        first, last = (*connection, begin), (*connection, (begin + len(data)) % 2**32)
        before, after = self._sides.get(first, _NONE)[0], self._sides.get(last, _NONE)[1]
        if len(data) <= _LESS:
            yield before + data + after
        else:
            yield before + data[:_LESS]
            yield data[-_LESS:] + after
        self._sides[first] = (before, (data + after)[:_LESS])
        self._sides[last] = ((before + data)[-_LESS:], after)


def _sequence_number(frame: bytes, headers: Headers) -> int:
    """Of the TCP header that ends where the payload begins."""
    assert headers.payload is not None
    ports = struct.pack(">HH", headers.source_port, headers.destination_port)
    at = frame.rindex(ports, headers.payload - 60, headers.payload - 16)
    (number,) = struct.unpack_from(">I", frame, at + 4)
    return int(number)


def announcements(path: Path) -> list[int]:
    """The times (ns) of gratuitous ARP: an address that asks for itself."""
    return [
        time_ns
        for time_ns, frame in _frames(path)
        if frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42]
    ]


@dataclass(frozen=True)
class Order:
    """One message to a plug: its time, the action, and the device's index."""

    time_ns: int
    action: int
    device: int


def orders(path: Path) -> list[Order]:
    """What was asked of plugs, by anyone, in order; from a capture of an nlmon device."""
    found = []
    for time_ns, frame in _frames(path):
        at = 16  # the cooked header of a netlink capture
        while at + 16 <= len(frame):
            length, kind, flags, _, _ = struct.unpack_from("<IHHII", frame, at)
            if length < 16:
                break
            if kind == _NEW_QDISC and flags & _REQUEST:
                options = _attributes(frame[at + 36 : at + length])
                if (
                    options.get(_KIND, b"").rstrip(b"\0") == b"plug"
                    and len(options.get(_OPTIONS, b"")) >= 8
                ):
                    (device,) = struct.unpack_from("<i", frame, at + 20)
                    action, _ = struct.unpack_from("<iI", options[_OPTIONS])
                    found.append(Order(time_ns, action, device))
            at += (length + 3) & ~3
    return found


def _attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("<HH", data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def windows(path: Path) -> dict[str, tuple[int, int]]:
    """The windows that a job marked: begin and end in ns."""
    made: dict[str, dict[str, int]] = {}
    for line in path.read_text("ascii").splitlines():
        name, edge, time = line.split()
        seconds, nanoseconds = time.split(".")
        made.setdefault(name, {})[edge] = int(seconds) * 1_000_000_000 + int(nanoseconds)
    return {name: (each["begin"], each["end"]) for name, each in made.items()}


def gaps_ms(stream: Stream) -> Float64s:
    """The times between arrivals."""
    return np.diff(stream.arrived_ns) / 1e6


def late_ms(stream: Stream, fastest: Sequence[Stream]) -> Float64s:
    """How much later than the fastest around it each came, by the guest's clock.

    For jobs that may not look at the vif. That clock runs away from Domain 0's, by some
    milliseconds in ten seconds under emulation: hence those of ``fastest`` that came within a
    second are asked.
    """
    arrived = np.concatenate([each.arrived_ns for each in fastest])
    delay = np.concatenate([each.arrived_ns - each.sent_ns for each in fastest])
    order = np.argsort(arrived)
    arrived, delay = arrived[order], delay[order]
    begin = np.searchsorted(arrived, stream.arrived_ns - _AROUND_NS)
    end = np.searchsorted(arrived, stream.arrived_ns + _AROUND_NS, side="right")
    floor = np.array([delay[a:b].min() for a, b in zip(begin, end, strict=True)], dtype=np.int64)
    return (stream.arrived_ns - stream.sent_ns - floor) / 1e6


def early(stream: Stream, orders_: Sequence[Order]) -> Int64s:
    """Those records (their numbers) that arrived before the commit of the epoch that sent them.

    An epoch ends with BUFFER, and its commit is the first RELEASE_ONE after that. Both are noted
    before the kernel obeys them: so none is called early that was not, but for one that comes
    to the vif within the microseconds between; and then the guest is suspended.
    """
    begins = [each.time_ns for each in orders_ if each.action == BUFFER]
    opens = [o.time_ns for o in orders_ if o.action in (RELEASE_ONE, RELEASE_INDEFINITE)]
    found = []
    for number, entered, arrived in zip(
        stream.number, stream.entered_ns, stream.arrived_ns, strict=True
    ):
        at = bisect_left(begins, entered)
        commit = bisect_left(opens, begins[at]) if at < len(begins) else len(opens)
        if commit == len(opens) or arrived < opens[commit]:
            found.append(number)
    return np.array(found, dtype=np.int64)

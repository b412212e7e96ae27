"""What a job recorded: when each record was sent and arrived, and what libxl told the plug."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remusnet.frames import Int64s
from remusnet.metrics.jitter import interarrival_jitter

RTP, RTP6, RTP_TAGGED, PLAIN_UDP = 1, 2, 3, 4
TCP, TCP6, TCP_TAGGED, TCP6_TAGGED = 11, 12, 13, 14
"""The streams of vagrant/guest/traffic.c."""

BUFFER, RELEASE_ONE, RELEASE_INDEFINITE, LIMIT = range(4)
"""The actions of sch_plug (linux/pkt_sched.h)."""

_RECORD = struct.Struct(">4sIQQ")
_NEW_QDISC = 36
_REQUEST = 1
_KIND, _OPTIONS = 1, 2
_PACKET_TICK_NS = 20_000_000


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
    """Records of one stream: int64[n] each, in order of arrival, none twice."""

    number: Int64s
    sent_ns: Int64s
    arrived_ns: Int64s

    def within(self, begin_ns: int, end_ns: int) -> Stream:
        """Those that were sent in a window of the arrivals' clock (``sent_ns`` is the guest's)."""
        chosen = (self.arrived_ns >= begin_ns) & (self.arrived_ns < end_ns)
        return Stream(self.number[chosen], self.sent_ns[chosen], self.arrived_ns[chosen])

    def delay_ms(self, offset_ns: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Arrival less sending; ``offset_ns``: Dom0's clock less the guest's."""
        made: np.ndarray[tuple[int], np.dtype[np.float64]] = (
            self.arrived_ns - self.sent_ns - offset_ns
        ) / 1e6
        return made

    def jitter_ms(self) -> tuple[float, float]:
        """RFC 3550: mean and largest, against the packets' 20 ms."""
        series = interarrival_jitter(self.arrived_ns, self.number * 160, 8000)
        return float(series.mean()), float(series.max())


def streams(path: Path) -> dict[int, Stream]:
    """What arrived on the bridge, by stream; what TCP sent twice counts at its first arrival."""
    seen: dict[int, dict[int, tuple[int, int]]] = {}
    for time_ns, frame in _frames(path):
        at = frame.find(b"RNET")
        while at >= 0 and at + _RECORD.size <= len(frame):
            _, stream, number, sent_ns = _RECORD.unpack_from(frame, at)
            seen.setdefault(stream, {}).setdefault(number, (sent_ns, time_ns))
            at = frame.find(b"RNET", at + _RECORD.size)
    made = {}
    for stream, records in seen.items():
        rows = sorted((arrived, sent, number) for number, (sent, arrived) in records.items())
        arrived, sent, number = np.array(rows, dtype=np.int64).T
        made[stream] = Stream(number, sent, arrived)
    return made


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


def clock_offset(every: dict[int, Stream], window: tuple[int, int]) -> int:
    """Dom0's clock less the guest's, by the fastest datagram of a window without Remus."""
    quiet = [every[stream].within(*window) for stream in (RTP, RTP6, PLAIN_UDP)]
    return int(min((each.arrived_ns - each.sent_ns).min() for each in quiet))


def early(stream: Stream, orders_: Sequence[Order], offset_ns: int) -> Int64s:
    """Those records (their numbers) that arrived before the commit of the epoch that sent them.

    An epoch ends with BUFFER, and its commit is the first RELEASE_ONE after that. Where the last
    order before was RELEASE_INDEFINITE, the plug was open: nothing was to be held.
    """
    found = []
    for number, sent, arrived in zip(
        stream.number, stream.sent_ns + offset_ns, stream.arrived_ns, strict=True
    ):
        ends = next(
            (i for i, o in enumerate(orders_) if o.action == BUFFER and o.time_ns >= sent), None
        )
        if ends is None:
            continue
        opened = next(
            (o for o in orders_[ends:] if o.action in (RELEASE_ONE, RELEASE_INDEFINITE)), None
        )
        if opened is None or arrived < opened.time_ns:
            found.append(number)
    return np.array(found, dtype=np.int64)

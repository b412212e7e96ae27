"""RTP frames as bytes, and what a policy does with them.

scapy builds a frame for each group of calls, numpy the rest from it.

Addresses and ports are patched once for a stream, numbers once for a packet; checksums follow by
RFC 1624's arithmetic (a one's complement sum can be corrected by what has changed).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import numpy as np
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from remusnet.classify.columns import columns
from remusnet.emulator.traffic.rtp import (
    Source,
    StreamPackets,
    sequence_of,
    spurt_starts,
    timestamp_of,
)
from remusnet.frames import Bools, Bytes, Frames, Int64s
from remusnet.metrics.flows import judge_frames
from remusnet.policy.policy import Match, Policy
from remusnet.scenario.extent import SRTP_TAG
from remusnet.scenario.scenario import Host
from remusnet.scenario.traffic import Calls

PEER_MAC = "02:00:00:00:00:02"
VLAN = 100
_MARKER = 0x80
_RTP_VERSION = 0x80
_ETHERNET = 14
_TAG = 4
# Where things are, from the start of their header.
_IP4_CHECKSUM, _IP4_SOURCE = 10, 12
_IP6_SOURCE = 8
_UDP_CHECKSUM, _UDP_SIZE = 6, 8
_RTP_TYPE, _RTP_SEQUENCE, _RTP_TIMESTAMP, _RTP_SSRC, _RTP_SIZE = 1, 2, 4, 8, 12


class Templates:
    """One scapy frame for each group of calls and side; `of` gives a stream its own."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._built: dict[tuple[int, bool], bytes] = {}

    def of(self, source: Source) -> StreamFrames:
        """The frames of ``source``."""
        key = source.group, source.from_guest
        if key not in self._built:
            self._built[key] = _template(source.calls, self._host, source.from_guest)
        return StreamFrames(source, self._built[key])


def _template(calls: Calls, host: Host, from_guest: bool) -> bytes:
    """A whole frame, as scapy builds it; its addresses, ports and numbers are stand-ins."""
    size = calls.codec.payload_bytes(calls.ptime_ns) + (SRTP_TAG if calls.srtp else 0)
    header = bytes([_RTP_VERSION, calls.codec.payload_type]) + bytes(_RTP_SIZE - 2)
    # Plain media is one level all along; ciphertext looks like chance, here always the same.
    body = (
        np.random.Generator(np.random.PCG64(0)).bytes(size) if calls.srtp else bytes([0xD5]) * size
    )
    macs = (host.mac, PEER_MAC) if from_guest else (PEER_MAC, host.mac)
    link = Ether(src=macs[0], dst=macs[1])
    if calls.tagged:
        link /= Dot1Q(vlan=VLAN)
    # DF is set and the ID 0, as Linux sends datagrams (RFC 6864: an atomic one needs no ID).
    network = IP(src="192.0.2.1", dst="192.0.2.2", id=0, flags="DF") if calls.ip == 4 else IPv6()
    built: bytes = bytes(link / network / UDP(sport=1, dport=1, chksum=0) / Raw(header + body))
    return built


class StreamFrames:
    """The frames of one stream. ``row``: that of its packet numbered 0 at time 0, no marker."""

    def __init__(self, source: Source, template: bytes) -> None:
        self.source = source
        self._ip = _ETHERNET + (_TAG if source.calls.tagged else 0)
        four = source.calls.ip == 4
        self._udp = self._ip + (20 if four else 40)
        self._rtp = self._udp + _UDP_SIZE
        self.row: Bytes = np.frombuffer(template, np.uint8).copy()
        self._address(four)
        self._sum = self._udp_sum(four)
        self._put_checksum(self.row[None, :], np.array([self._sum], np.int64))

    def _address(self, four: bool) -> None:
        (source, sport), (destination, dport) = self.source.source, self.source.destination
        pair = (source, destination)
        packed = b"".join((IPv4Address if four else IPv6Address)(each).packed for each in pair)
        at = self._ip + (_IP4_SOURCE if four else _IP6_SOURCE)
        self._put(at, packed)
        self._put(self._udp, sport.to_bytes(2, "big") + dport.to_bytes(2, "big"))
        self._put(self._rtp + _RTP_SSRC, self.source.ssrc.to_bytes(4, "big"))
        if four:
            self._put(self._ip + _IP4_CHECKSUM, bytes(2))
            total = _word_sum(self.row[self._ip : self._udp])
            checksum = ~_folded(np.array([total], np.int64))[0] & 0xFFFF
            self._put(self._ip + _IP4_CHECKSUM, int(checksum).to_bytes(2, "big"))

    def _udp_sum(self, four: bool) -> int:
        """The sum of pseudo header, header and payload, all numbers 0 (RFC 768; RFC 8200, 8.1)."""
        length = len(self.row) - self._udp
        at = self._ip + (_IP4_SOURCE if four else _IP6_SOURCE)
        addresses = self.row[at : at + (8 if four else 32)]
        return _word_sum(addresses) + 17 + length + _word_sum(self.row[self._udp :])

    def packets(self, sequence: Int64s, timestamp: Int64s, marker: Bools) -> Bytes:
        """The frames of n packets: uint8[n, length]."""
        n = len(sequence)
        rows = np.repeat(self.row[None, :], n, axis=0)
        marks = marker.astype(np.int64) * _MARKER
        rows[:, self._rtp + _RTP_TYPE] |= marks.astype(np.uint8)
        at = self._rtp + _RTP_SEQUENCE
        rows[:, at : at + 2] = sequence.astype(">u2").view(np.uint8).reshape(n, 2)
        at = self._rtp + _RTP_TIMESTAMP
        rows[:, at : at + 4] = timestamp.astype(">u4").view(np.uint8).reshape(n, 4)
        changed = marks + sequence + (timestamp >> 16) + (timestamp & 0xFFFF)
        self._put_checksum(rows, self._sum + changed)
        return rows

    def of(self, packets: StreamPackets) -> Bytes:
        """The frames of all packets of ``packets``."""
        return self.packets(*self.numbers(packets))

    def numbers(self, packets: StreamPackets) -> tuple[Int64s, Int64s, Bools]:
        """What `packets` makes frames of: sequence numbers, timestamps, markers, each [n]."""
        vad = self.source.calls.vad
        marker = spurt_starts(packets.tick) if vad else np.zeros(len(packets), np.bool_)
        sequence = sequence_of(self.source, packets.number)
        return sequence, timestamp_of(self.source, packets.tick), marker

    def _put(self, at: int, data: bytes) -> None:
        self.row[at : at + len(data)] = np.frombuffer(data, np.uint8)

    def _put_checksum(self, rows: Bytes, sums: Int64s) -> None:
        """A sum of 0 is sent as all ones: 0 means that there is none (RFC 768)."""
        checksum = ~_folded(sums) & 0xFFFF
        checksum[checksum == 0] = 0xFFFF
        at = self._udp + _UDP_CHECKSUM
        rows[:, at : at + 2] = checksum.astype(">u2").view(np.uint8).reshape(len(sums), 2)


def _word_sum(data: Bytes) -> int:
    """The sum of 16-bit words, the last one filled with a 0."""
    padded = np.concatenate([data, np.zeros(len(data) % 2, np.uint8)])
    return int(padded.view(">u2").sum(dtype=np.int64))


def _folded(sums: Int64s) -> Int64s:
    """One's complement: carries come back in at the end; twice is enough below 2**32."""
    sums = (sums & 0xFFFF) + (sums >> 16)
    return (sums & 0xFFFF) + (sums >> 16)


_ENDPOINTS = (
    "source",
    "destination",
    "address",
    "source_port",
    "destination_port",
    "port",
)


def stream_verdicts(
    sources: Sequence[Source], host: Host, policies: Sequence[Policy]
) -> list[list[bool]]:
    """What each policy does with each of ``sources``: True where it holds.

    The packets of a stream differ in numbers and marker only, which no policy looks at; streams of
    one group differ in addresses and ports, which few policies look at. (The payload class looks at
    ports too, but tells apart none of those that `sources` gives out.)
    """
    alike: dict[tuple[int, bool, int], int] = {}
    model = [
        alike.setdefault((each.group, each.from_guest, each.leg), index)
        for index, each in enumerate(sources)
    ]
    templates = Templates(host)
    found = []
    for policy in policies:
        asked = range(len(sources)) if _looks_at_endpoints(policy) else sorted(set(alike.values()))
        rows = [templates.of(sources[index]).row.tobytes() for index in asked]
        holds: dict[int, bool] = {}
        if rows:
            frames = Frames.of(rows)
            (judgement,) = judge_frames([policy], frames, columns(frames))
            holds = dict(zip(asked, judgement.hold.tolist(), strict=True))
        found.append(
            [holds[index] if index in holds else holds[model[index]] for index in range(len(model))]
        )
    return found


def _looks_at_endpoints(policy: Policy) -> bool:
    def looks(match: Match) -> bool:
        return any(getattr(match, name) is not None for name in _ENDPOINTS)

    return any(looks(rule.match) for rule in policy.rules)

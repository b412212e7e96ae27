"""Captures that the tests make themselves: RTP streams packet by packet, SIP over UDP and TCP."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address

import numpy as np

from remusnet.frames import Frames

MS = 1_000_000
START_NS = 1_700_000_000_123_456_789
PCMA, G722, L16, COMFORT_NOISE, H263, EVENT, OPUS = 8, 9, 11, 13, 34, 101, 111
TCP, UDP = 6, 17
MACS = bytes.fromhex("020000000002 020000000001")
SYN, ACK = 0x02, 0x10

Timed = tuple[int, bytes]
"""A frame, and when it is captured: ns after the start."""


@dataclass(frozen=True)
class Packet:
    """One RTP packet, and when it arrives."""

    at_ns: int
    sequence: int
    timestamp: int
    payload_type: int = PCMA
    marker: bool = False
    body: bytes = bytes(160)


@dataclass(frozen=True)
class Flow:
    """Where packets go."""

    source: str = "10.0.0.1"
    sport: int = 20000
    destination: str = "10.0.0.2"
    dport: int = 20002
    tagged: bool = False


def steady(
    count: int = 600,
    *,
    step: int = 160,
    payload_type: int = PCMA,
    first_sequence: int = 1000,
    first_timestamp: int = 50_000,
    late_ms: int = 4,
) -> list[Packet]:
    """Packets every 20 ms, each up to ``late_ms`` later than due."""
    late = np.random.default_rng(step).integers(0, late_ms * MS + 1, count).tolist()
    return [
        Packet(
            n * 20 * MS + late[n],
            (first_sequence + n) % 2**16,
            (first_timestamp + n * step) % 2**32,
            payload_type,
        )
        for n in range(count)
    ]


def in_order(packets: Iterable[Packet]) -> list[Packet]:
    return sorted(packets, key=lambda packet: packet.at_ns)


def held(packets: Iterable[Packet], period_ms: int) -> list[Packet]:
    """Everything leaves at the next multiple of the period, 5 us apart."""
    released: list[Packet] = []
    for packet in packets:
        commit = -(-packet.at_ns // (period_ms * MS)) * period_ms * MS
        after = released[-1].at_ns + 5_000 if released else 0
        released.append(replace(packet, at_ns=max(commit, after)))
    return released


def lossy(packets: list[Packet]) -> list[Packet]:
    """One packet in 20 is missing; the first and the last are there."""
    kept = np.random.default_rng(5).random(len(packets)) > 0.05
    kept[[0, -1]] = True
    return [packet for packet, keep in zip(packets, kept, strict=True) if keep]


def swapped(packets: list[Packet]) -> list[Packet]:
    """Every 17th packet arrives 0.1 ms after its successor."""
    out = list(packets)
    for n in range(5, len(out) - 1, 17):
        out[n] = replace(out[n], at_ns=out[n + 1].at_ns + 100_000)
    return in_order(out)


def duplicated(packets: list[Packet]) -> list[Packet]:
    """Every 10th packet comes again, 0.3 ms later."""
    return in_order([*packets, *(replace(p, at_ns=p.at_ns + 300_000) for p in packets[3::10])])


def rolled_back(packets: list[Packet]) -> list[Packet]:
    """A backup takes over: 1 s of silence, then the last 15 packets (300 ms) once more, and on."""
    half = len(packets) // 2
    again = [replace(p, at_ns=p.at_ns + 1300 * MS) for p in packets[half - 15 :]]
    return packets[:half] + again


def outage(packets: list[Packet]) -> list[Packet]:
    """1 s is missing in the middle: a relay failed, the phone's timestamps went on."""
    half = len(packets) // 2
    return packets[:half] + packets[half + 50 :]


def with_events(packets: list[Packet]) -> list[Packet]:
    """A key press of 8 packets in every 40; they repeat its first timestamp (RFC 4733, 2.5.1)."""
    out = list(packets)
    for begin in range(20, len(out) - 8, 40):
        for n in range(begin, begin + 8):
            out[n] = replace(
                out[n],
                payload_type=EVENT,
                timestamp=out[begin].timestamp,
                marker=n == begin,
                body=key_press(160 * (n - begin + 1)),
            )
    return out


def key_press(duration: int, *, digit: int = 5, end: bool = False) -> bytes:
    """The payload of a telephone event (RFC 4733, section 2.3)."""
    return struct.pack("!BBH", digit, end << 7 | 10, duration)


def with_comfort_noise(packets: list[Packet]) -> list[Packet]:
    """Every 10th packet is comfort noise."""
    return [
        replace(p, payload_type=COMFORT_NOISE) if n % 10 == 4 else p for n, p in enumerate(packets)
    ]


def stream(packets: Iterable[Packet], ssrc: int, flow: Flow | None = None) -> list[Timed]:
    """The frames of one stream."""
    timed = []
    for packet in packets:
        kind = packet.marker << 7 | packet.payload_type
        rtp = struct.pack("!BBHII", 0x80, kind, packet.sequence, packet.timestamp, ssrc)
        timed.append((packet.at_ns, udp(rtp + packet.body, flow)))
    return timed


def udp(payload: bytes, flow: Flow | None = None) -> bytes:
    flow = flow or Flow()
    header = struct.pack("!HHHH", flow.sport, flow.dport, 8 + len(payload), 0)
    return _ip(UDP, header + payload, flow)


def fragments(payload: bytes, flow: Flow, size: int, identification: int = 77) -> list[bytes]:
    """A datagram in fragments of ``size`` bytes, a multiple of 8 (RFC 791; RFC 8200, 4.5)."""
    whole = struct.pack("!HHHH", flow.sport, flow.dport, 8 + len(payload), 0) + payload
    source, destination = ip_address(flow.source), ip_address(flow.destination)
    ends = source.packed + destination.packed
    link = MACS + (bytes.fromhex("8100 0005") if flow.tagged else b"")
    found = []
    for at in range(0, len(whole), size):
        body, more = whole[at : at + size], at + size < len(whole)
        if source.version == 4:
            place = more << 13 | at // 8
            lengths = (0x45, 0, 20 + len(body), identification, place, 64, UDP, 0)
            found.append(link + b"\x08\x00" + struct.pack("!BBHHHBBH", *lengths) + ends + body)
        else:
            header = struct.pack("!BBHI", UDP, 0, at | more, identification)
            ip = struct.pack("!IHBB", 6 << 28, 8 + len(body), 44, 64)
            found.append(link + b"\x86\xdd" + ip + ends + header + body)
    return found


def tcp(payload: bytes, sequence: int, flow: Flow, flags: int = ACK) -> bytes:
    header = struct.pack(
        "!HHIIBBHHH", flow.sport, flow.dport, sequence % 2**32, 1, 0x50, flags, 65535, 0, 0
    )
    return _ip(TCP, header + payload, flow)


def _ip(protocol: int, body: bytes, flow: Flow) -> bytes:
    source, destination = ip_address(flow.source), ip_address(flow.destination)
    ends = source.packed + destination.packed
    link = MACS + (bytes.fromhex("8100 0005") if flow.tagged else b"")
    if source.version == 4:
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
        return link + b"\x08\x00" + ip + ends + body
    ip = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64)
    return link + b"\x86\xdd" + ip + ends + body


def sdp(address: str, port: int, rtpmaps: Iterable[str]) -> bytes:
    """A session description, as phones send it."""
    version = "IP6" if ":" in address else "IP4"
    numbers = " ".join(rtpmap.split()[0] for rtpmap in rtpmaps)
    lines = [
        "v=0",
        f"o=- 1 1 IN {version} {address}",
        "s=call",
        f"c=IN {version} {address}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {numbers}",
        *(f"a=rtpmap:{rtpmap}" for rtpmap in rtpmaps),
        "a=sendrecv",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def invite(body: bytes) -> bytes:
    """A SIP request with a body."""
    lines = [
        "INVITE sip:bob@10.0.0.2 SIP/2.0",
        "Via: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK1",
        "From: <sip:alice@10.0.0.1>;tag=1",
        "To: <sip:bob@10.0.0.2>",
        "Call-ID: 1@10.0.0.1",
        "CSeq: 1 INVITE",
        "Contact: <sip:alice@10.0.0.1>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def capture(timed: Iterable[Timed]) -> Frames:
    """Frames in order of time."""
    ordered = sorted(timed, key=lambda entry: entry[0])
    return Frames.of([data for _, data in ordered], [START_NS + at for at, _ in ordered])


def pcap(frames: Frames) -> bytes:
    """A nanosecond pcap of Ethernet frames, in their order."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)]
    for index in range(len(frames)):
        seconds, ns = divmod(int(frames.time_ns[index]), 10**9)
        data = frames.frame(index)
        out += [struct.pack("<IIII", seconds, ns, len(data), len(data)), data]
    return b"".join(out)

"""tests/data/call.pcap is what tests/data/README.md says it is.

Read with a few lines of struct and not with remusnet.capture: other tests take this file for the
truth about remusnet's own reader.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

CALL = Path(__file__).parents[1] / "data" / "call.pcap"
GUEST, CLIENT = bytes((192, 0, 2, 10)), bytes((192, 0, 2, 20))
SSRC = {GUEST: 0x600D0001, CLIENT: 0xC11E0002}
TCP, UDP = 6, 17
MS = 1_000_000  # in nanoseconds

both_ways = pytest.mark.parametrize("sender", [GUEST, CLIENT], ids=["guest", "client"])


@dataclass(frozen=True, slots=True)
class Datagram:
    """An IPv4 datagram of the capture, and when it was captured."""

    time_ns: int
    mac_source: bytes
    ip: bytes

    @property
    def protocol(self) -> int:
        return self.ip[9]

    @property
    def source(self) -> bytes:
        return self.ip[12:16]

    @property
    def segment(self) -> bytes:
        """TCP or UDP, header and all."""
        return self.ip[(self.ip[0] & 15) * 4 :]

    @property
    def payload(self) -> bytes:
        header = 8 if self.protocol == UDP else (self.segment[12] >> 4) * 4
        return self.segment[header:]


@cache
def records() -> list[tuple[int, bytes]]:
    """Time (ns) and bytes of each frame; fails where the file is not a whole nanosecond pcap."""
    data = CALL.read_bytes()
    magic, major, minor, _, _, _, link_type = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, link_type) == (0xA1B23C4D, 2, 4, 1)
    found, offset = [], 24
    while offset < len(data):
        seconds, nanoseconds, captured, length = struct.unpack_from("<IIII", data, offset)
        assert captured == length, "a frame is cut"
        offset += 16 + captured
        assert offset <= len(data), "the last frame is cut"
        found.append((seconds * 1000 * MS + nanoseconds, data[offset - captured : offset]))
    return found


@cache
def datagrams() -> list[Datagram]:
    return [
        Datagram(time_ns, frame[6:12], frame[14 : 14 + int.from_bytes(frame[16:18], "big")])
        for time_ns, frame in records()
        if frame[12:14] == b"\x08\x00"
    ]


def rtp_of(sender: bytes) -> list[Datagram]:
    return [d for d in datagrams() if d.protocol == UDP and d.source == sender]


def sip_of(sender: bytes) -> list[Datagram]:
    return [d for d in datagrams() if d.protocol == TCP and d.source == sender and d.payload]


def folded_sum(data: bytes) -> int:
    """RFC 1071: 0xffff over anything that carries its right checksum."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return (total - 1) % 0xFFFF + 1


def test_the_call_fits_into_a_megabyte() -> None:
    assert CALL.stat().st_size <= 1_000_000


def test_the_frames_are_in_the_order_of_their_times() -> None:
    assert all(a <= b for (a, _), (b, _) in pairwise(records()))


def test_nothing_but_arp_sip_and_rtp_was_on_the_bridge() -> None:
    ethertypes = Counter(frame[12:14].hex() for _, frame in records())
    assert ethertypes.keys() == {"0800", "0806"}
    assert {d.protocol for d in datagrams()} == {TCP, UDP}
    assert {d.source for d in datagrams()} == {GUEST, CLIENT}


def test_the_guest_has_a_mac_address_of_xens() -> None:
    sent_by_guest = {d.mac_source for d in datagrams() if d.source == GUEST}
    assert sent_by_guest == {bytes.fromhex("00163e00000a")}


def test_all_checksums_are_right() -> None:
    """They would not be, were a veth's offloads on."""
    found = list(datagrams())
    assert found
    for d in found:
        assert folded_sum(d.ip[: (d.ip[0] & 15) * 4]) == 0xFFFF
        pseudo_header = d.ip[12:20] + struct.pack("!HH", d.protocol, len(d.segment))
        assert folded_sum(pseudo_header + d.segment) == 0xFFFF


@both_ways
def test_each_way_has_forty_seconds_of_whole_rtp_packets(sender: bytes) -> None:
    """2,000 packets of 20 ms, none lost, doubled or reordered, A-law, with an SSRC of its own."""
    packets = [struct.unpack("!BBHII", d.payload[:12]) for d in rtp_of(sender)]
    assert len(packets) == 2000
    first_sequence, first_timestamp = packets[0][2:4]
    for n, (version, kind, sequence, timestamp, ssrc) in enumerate(packets):
        assert version == 0x80
        assert kind == (0x88 if n == 0 else 8)  # the marker, on the first packet only
        assert sequence == (first_sequence + n) % 2**16
        assert timestamp == (first_timestamp + n * 160) % 2**32
        assert ssrc == SSRC[sender]


@both_ways
def test_rtp_goes_between_even_unprivileged_ports(sender: bytes) -> None:
    ports = {struct.unpack("!HH", d.segment[:4]) for d in rtp_of(sender)}
    assert ports == {(20000, 30000) if sender == GUEST else (30000, 20000)}


@both_ways
def test_the_payload_varies_as_sound_does(sender: bytes) -> None:
    payloads = [d.payload[12:] for d in rtp_of(sender)]
    assert {len(payload) for payload in payloads} == {160}
    assert len(set(payloads)) == len(payloads)
    assert len(Counter(b"".join(payloads))) > 200  # of A-law's 256 values


@both_ways
def test_rtp_was_sent_each_20_ms(sender: bytes) -> None:
    """No packet is 2 ms from its time: the machine that recorded them was at worst 1.7 ms late."""
    times = [d.time_ns for d in rtp_of(sender)]
    late = [time - times[0] - n * 20 * MS for n, time in enumerate(times)]
    assert max(late) - min(late) < 2 * MS


def test_both_ways_talk_from_the_answer_to_the_end() -> None:
    """The first packet of either follows the ACK at once; the BYE follows the last."""
    acknowledged = next(d.time_ns for d in sip_of(CLIENT) if d.payload.startswith(b"ACK "))
    ended = next(d.time_ns for d in sip_of(CLIENT) if d.payload.startswith(b"BYE "))
    for sender in (GUEST, CLIENT):
        times = [d.time_ns for d in rtp_of(sender)]
        assert 0 < times[0] - acknowledged < 20 * MS
        assert 0 < ended - times[-1] < 1000 * MS


def test_the_dialogue_is_sip_over_tcp() -> None:
    """One message a segment: INVITE, an OPTIONS a second, BYE, and the guest's answers."""
    asked = [d.payload.split(b" ", 1)[0].decode() for d in sip_of(CLIENT)]
    assert asked == ["INVITE", "ACK", *["OPTIONS"] * 39, "BYE"]
    answered = [d.payload.split(b" ", 2)[1].decode() for d in sip_of(GUEST)]
    assert answered == ["180", *["200"] * 41]
    numbers = [re.search(rb"^CSeq: (\d+) ", d.payload, re.MULTILINE) for d in sip_of(CLIENT)]
    assert [int(n[1]) for n in numbers if n] == [1, 1, *range(2, 42)]


def test_the_guest_sends_sip_about_every_second_while_it_talks() -> None:
    """1 s, and up to 50 ms until sipp's own timer sees that it is over."""
    times = [d.time_ns for d in sip_of(GUEST) if b" OPTIONS\r\n" in d.payload]
    assert all(1000 * MS <= b - a < 1050 * MS for a, b in pairwise(times))


def test_the_session_descriptions_name_what_is_sent() -> None:
    offer, answer = (
        next(d.payload for d in sip_of(sender) if b"m=audio" in d.payload)
        for sender in (CLIENT, GUEST)
    )
    assert b"c=IN IP4 192.0.2.20\r\n" in offer
    assert b"m=audio 30000 RTP/AVP 8\r\n" in offer
    assert b"c=IN IP4 192.0.2.10\r\n" in answer
    assert b"m=audio 20000 RTP/AVP 8\r\n" in answer

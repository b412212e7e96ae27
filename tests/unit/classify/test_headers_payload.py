"""`dissect` reads ports and payloads, and tells what a payload is by the RFCs."""

from __future__ import annotations

from random import Random

import pytest

from remusnet.classify.headers import dissect, payload_class
from remusnet.policy.policy import NEVER_MEDIA_PORTS, PayloadClass
from tests.lib import layers
from tests.lib.framegen import build
from tests.lib.layers import IPV4, IPV6, TCP, UDP

RNG = Random(7)


def ethernet(ethertype: int, packet: bytes) -> bytes:
    return layers.ethernet(RNG, ethertype, packet)


RTP = bytes.fromhex("80 08") + bytes(170)
IPV4_TCP = ethernet(IPV4, layers.ipv4(RNG, TCP, layers.tcp(RNG)))


# -- transport -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transport", "protocol", "has_ports"),
    [
        ("tcp", 6, True), ("tcp-options", 6, True), ("udp", 17, True), ("sctp", 132, True),
        ("icmp", 1, False), ("icmpv6", 58, False), ("esp", 50, False), ("gre", 47, False),
        ("ipip", 4, False), ("6in4", 41, False), ("none", 59, False), ("vxlan", 17, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("network", ["ipv4", "ipv4-options", "ipv6", "ipv6-destination"])
def test_each_transport_has_its_protocol_and_maybe_ports(
    transport: str, protocol: int, has_ports: bool, network: str
) -> None:
    headers = dissect(build(RNG, "plain", network, transport).frame)
    assert headers.protocol == protocol
    assert (headers.source_port is not None) == has_ports
    assert (headers.icmp_type is not None) == transport.startswith("icmp")


@pytest.mark.parametrize(("words", "size"), [(0, 20), (4, 20), (5, 20), (6, 24), (15, 60)])
def test_a_tcp_payload_starts_behind_the_options(words: int, size: int) -> None:
    """A data offset below 5 is invalid (RFC 9293, 3.1); the header has 20 bytes all the same."""
    segment = bytearray(layers.tcp(RNG) + bytes(100))
    segment[12] = words << 4
    headers = dissect(ethernet(IPV4, layers.ipv4(RNG, TCP, bytes(segment))))
    assert (headers.payload, headers.payload_length) == (34 + size, 120 - size)


@pytest.mark.parametrize(
    ("seen", "ports", "payload"),
    [(0, False, False), (3, False, False), (4, True, False), (12, True, False), (13, True, True)],
)
def test_a_cut_tcp_header_says_what_it_has(seen: int, ports: bool, payload: bool) -> None:
    headers = dissect(IPV4_TCP[: 34 + seen], len(IPV4_TCP))
    assert (headers.odd, headers.protocol) == (None, TCP)
    assert (headers.source_port is not None) == ports
    assert (headers.payload is not None) == payload


def test_an_ethernet_trailer_is_no_payload() -> None:
    data = layers.udp(RNG, b"ab", sport=5004, dport=5006)
    headers = dissect(ethernet(IPV4, layers.ipv4(RNG, UDP, data)) + bytes(16))
    assert headers.payload_length == 2


@pytest.mark.parametrize(
    ("udp_length", "expected"), [(0, 0), (7, 0), (8, 0), (9, 1), (180, 172), (999, 172)]
)
def test_a_udp_payload_is_what_its_length_says_but_no_more_than_the_packet_has(
    udp_length: int, expected: int
) -> None:
    data = layers.udp(RNG, RTP, sport=5004, dport=5006, length=udp_length)
    headers = dissect(ethernet(IPV4, layers.ipv4(RNG, UDP, data)) + bytes(9))
    assert headers.payload_length == expected


@pytest.mark.parametrize(
    ("ethertype", "header"),
    [
        (IPV4, layers.ipv4(RNG, TCP, b"", total=0)),
        (IPV6, layers.ipv6(RNG, TCP, b"", length=0)),
    ],
)
def test_an_ip_length_of_0_is_that_of_tcp_segmentation_offload(
    ethertype: int, header: bytes
) -> None:
    """The frame's own length counts then, also where a snap length cut it."""
    frame = ethernet(ethertype, header + layers.tcp(RNG, bytes(3000)))
    for seen in (len(frame), 14 + len(header) + 20):
        assert dissect(frame[:seen], len(frame)).payload_length == 3000


@pytest.mark.parametrize(
    ("ethertype", "header"),
    [
        (IPV4, layers.ipv4(RNG, UDP, b"", total=0)),
        (IPV4, layers.ipv4(RNG, UDP, b"", total=20)),
        (IPV6, layers.ipv6(RNG, UDP, b"", length=0)),
    ],
)
def test_a_datagram_for_which_ip_leaves_no_room_has_no_payload(
    ethertype: int, header: bytes
) -> None:
    """Its bytes are a trailer by the IP header; no receiver takes them for media."""
    headers = dissect(ethernet(ethertype, header + layers.udp(RNG, RTP, sport=5004, dport=5006)))
    assert (headers.payload_length, headers.payload_class) == (0, None)


# -- payload classes -------------------------------------------------------------------------------


COOKIE = bytes.fromhex("2112a442")


@pytest.mark.parametrize(
    ("first", "length", "expected"),
    [
        (b"\x7f\x00", 172, None),
        (b"\x80\x00", 172, PayloadClass.RTP),
        (b"\xbf\x00", 172, PayloadClass.RTP),
        (b"\xc0\x00", 172, None),
        (b"\x80\xbf", 12, PayloadClass.RTP),
        (b"\x80\xc0", 12, PayloadClass.RTCP),
        (b"\x80\xdf", 12, PayloadClass.RTCP),
        (b"\x80\xe0", 12, PayloadClass.RTP),
        (b"\x80\x00", 11, None),
        (b"\x80\x00", 12, PayloadClass.RTP),
        (b"\x80\xc8", 7, None),
        (b"\x80\xc8", 8, PayloadClass.RTCP),
        (b"\x80\xc8", 11, PayloadClass.RTCP),
        (b"\x00\x01\x00\x00" + COOKIE, 20, PayloadClass.STUN),
        (b"\x03\x01\x00\x00" + COOKIE, 20, PayloadClass.STUN),
        (b"\x04\x01\x00\x00" + COOKIE, 20, None),
        (b"\x00\x01\x00\x00" + COOKIE, 19, None),
        (b"\x00\x01\x00\x00\x00\x00\x00\x00", 20, None),
        (b"\x13\xfe", 13, None),
        (b"\x14\xfe", 13, PayloadClass.DTLS),
        (b"\x3f\xfe", 13, PayloadClass.DTLS),
        (b"\x14\xfe", 12, None),
        (b"\x40\x00", 4, PayloadClass.TURN),
        (b"\x4f\x00", 4, PayloadClass.TURN),
        (b"\x50\x00", 4, None),
        (b"\x40\x00", 3, None),
        (b"", 0, None),
        (b"\x80", 1, None),
    ],
)
def test_the_first_bytes_and_the_length_tell_the_class(
    first: bytes, length: int, expected: PayloadClass | None
) -> None:
    """RFC 7983, 7; RFC 5761, 4; RFC 3550, 5.1 and 6.4.2; RFC 8489, 5; RFC 8656, 12.4."""
    assert payload_class(first, length) == expected
    payload = (first + bytes(length))[:length]
    for ethertype, packet in (
        (IPV4, layers.ipv4(RNG, UDP, layers.udp(RNG, payload, sport=1024, dport=65535))),
        (IPV6, layers.ipv6(RNG, UDP, layers.udp(RNG, payload, sport=1024, dport=65535))),
    ):
        # A trailer must not lend a payload the bytes that it lacks.
        assert dissect(ethernet(ethertype, packet) + b"\x80\x08" * 30).payload_class == expected


@pytest.mark.parametrize("port", [0, 53, 1023, 4500, 4789, 6081, 2152, *sorted(NEVER_MEDIA_PORTS)])
def test_nothing_is_media_from_or_to_a_low_port_or_one_of_a_tunnel(port: int) -> None:
    for sport, dport in ((port, 5004), (5004, port)):
        frame = ethernet(
            IPV4, layers.ipv4(RNG, UDP, layers.udp(RNG, RTP, sport=sport, dport=dport))
        )
        headers = dissect(frame)
        assert (headers.payload_class, headers.payload_seen) == (None, True)


@pytest.mark.parametrize("port", [1024, 4499, 4501, 5060, 65535])
def test_media_may_use_any_other_port(port: int) -> None:
    frame = ethernet(IPV4, layers.ipv4(RNG, UDP, layers.udp(RNG, RTP, sport=port, dport=port)))
    assert dissect(frame).payload_class is PayloadClass.RTP


@pytest.mark.parametrize("network", ["ipv4-first", "ipv4-later", "ipv6-first", "ipv6-later"])
def test_a_fragment_is_of_no_class(network: str) -> None:
    for seed in range(50):
        headers = dissect(build(Random(seed), "plain", network, "rtp").frame)
        assert headers.payload_class is None


@pytest.mark.parametrize("seen", range(9))
def test_a_payload_of_which_too_little_was_captured_is_marked(seen: int) -> None:
    """Two bytes tell RTP; to say that it is of no class takes eight (STUN's cookie)."""
    frame = ethernet(IPV4, layers.ipv4(RNG, UDP, layers.udp(RNG, RTP, sport=5004, dport=5006)))
    headers = dissect(frame[: 42 + seen], len(frame))
    assert headers.payload_class is (PayloadClass.RTP if seen >= 2 else None)
    assert headers.payload_seen == (seen >= 8)


@pytest.mark.parametrize("seen", range(8))
def test_a_udp_header_that_was_cut_leaves_the_payload_unseen(seen: int) -> None:
    frame = ethernet(IPV4, layers.ipv4(RNG, UDP, layers.udp(RNG, RTP, sport=5004, dport=5006)))
    headers = dissect(frame[: 34 + seen], len(frame))
    assert (headers.protocol, headers.payload_class, headers.payload_seen) == (UDP, None, False)

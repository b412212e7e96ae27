"""`dissect` on frames of every kind; what is expected is written by hand, from the RFCs."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random
from struct import pack

import pytest
from hypothesis import given

from remusnet.classify.headers import Headers, dissect, payload_class
from remusnet.policy.match import NEVER_MEDIA_PORTS, Fragment, Link, PayloadClass
from tests.lib import layers
from tests.lib.framegen import build
from tests.lib.layers import AH, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, IPV4, IPV6, TCP, UDP
from tests.lib.strategies import frames

RNG = Random(7)
MACS = bytes.fromhex("02 00 00 00 00 01 02 00 00 00 00 02")
RTP = bytes.fromhex("80 08") + bytes(170)


def test_an_ipv4_rtp_packet_is_read_field_by_field() -> None:
    """Written byte by byte: nothing here comes from the generator."""
    frame = bytes.fromhex(
        "525400000001 525400000002 0800"
        "45 b8 0028 1234 4000 40 11 0000 c0000201 c6336402"  # DSCP 46 (ef), total length 40
        "4000 138c 0014 0000"  # ports 16384 and 5004, length 20
        "80 08 0001 000000a0 deadbeef"  # RTP without a payload: 12 bytes
        "000000000000"  # the trailer up to Ethernet's 60 bytes
    )
    assert dissect(frame) == Headers(
        link=Link.PLAIN,
        ethertype=0x0800,
        version=4,
        source=int(ip_address("192.0.2.1")),
        destination=int(ip_address("198.51.100.2")),
        dscp=46,
        fragment=Fragment.WHOLE,
        protocol=17,
        source_port=16384,
        destination_port=5004,
        payload=42,
        payload_length=12,
        payload_class=PayloadClass.RTP,
    )


def test_a_tagged_ipv6_tcp_segment_is_read_field_by_field() -> None:
    frame = bytes.fromhex(
        "525400000001 525400000002 8100 2064 86dd"
        "62800000 0019 3c 40"  # DSCP 10 (af11), 25 bytes, destination options first
        "20010db8000000000000000000000001 20010db8000000000000000000000002"
        "06 00 01 04 00000000"  # PadN; TCP follows
        "13c4 c350 00000001 00000002 60 18 0200 0000 0000"  # 24 bytes of header: beyond the packet
        "02040000 41"
    )
    assert dissect(frame) == Headers(
        link=Link.TAGGED,
        tags=1,
        ethertype=0x86DD,
        version=6,
        source=int(ip_address("2001:db8::1")),
        destination=int(ip_address("2001:db8::2")),
        dscp=10,
        fragment=Fragment.WHOLE,
        protocol=6,
        source_port=5060,
        destination_port=50000,
        payload=90,
        # 25 bytes by the IPv6 header: 8 of options, 17 of TCP, less than its header.
        payload_length=0,
    )


# -- links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "link", "tags"),
    [
        ("plain", Link.PLAIN, 0),
        ("tag", Link.TAGGED, 1),
        ("priority", Link.TAGGED, 1),
        ("service-tag", Link.TAGGED, 1),
        ("old-tag", Link.TAGGED, 1),
        ("qinq", Link.TAGGED, 2),
        ("two-tags", Link.TAGGED, 2),
        ("old-qinq", Link.TAGGED, 2),
        ("snap", Link.LLC, 0),
        ("snap-802.1h", Link.LLC, 0),
        ("tag-snap", Link.LLC, 1),
        ("snap-tag", Link.LLC, 1),
    ],
)
@pytest.mark.parametrize(
    ("network", "ethertype", "version"), [("ipv4", 0x0800, 4), ("ipv6", 0x86DD, 6)]
)
def test_tcp_is_found_behind_every_link(
    name: str, link: Link, tags: int, network: str, ethertype: int, version: int
) -> None:
    headers = dissect(build(RNG, name, network, "tcp").frame)
    assert headers.odd is None
    assert (headers.link, headers.tags, headers.ethertype) == (link, tags, ethertype)
    assert (headers.version, headers.protocol) == (version, 6)


def test_ip_directly_on_llc_is_ipv4() -> None:
    headers = dissect(build(RNG, "llc-ip", "ipv4", "tcp").frame)
    assert (headers.link, headers.ethertype, headers.protocol) == (Link.LLC, 0x0800, 6)


def test_ip_version_6_on_llc_is_odd_because_its_service_point_is_for_version_4() -> None:
    assert dissect(build(RNG, "llc-ip", "ipv6", "tcp").frame).odd is not None


@pytest.mark.parametrize("name", ["snap-cisco", "llc-stp"])
def test_llc_that_names_no_ethertype_is_judgeable_and_no_ip(name: str) -> None:
    """A spanning tree message, or a vendor's own protocol number, which means no ethertype."""
    assert dissect(build(RNG, name, "ipv4", "tcp").frame) == Headers(link=Link.LLC)


def test_a_third_tag_is_odd() -> None:
    headers = dissect(build(RNG, "three-tags", "ipv4", "tcp").frame)
    assert headers == Headers(odd="more than two VLAN tags", link=Link.TAGGED, tags=2)


@pytest.mark.parametrize("network", ["arp", "mpls", "pppoe", "lldp", "macsec", "experimental"])
def test_other_ethertypes_are_named_and_not_looked_into(network: str) -> None:
    ethertype = {
        "arp": 0x0806,
        "mpls": 0x8847,
        "pppoe": 0x8864,
        "lldp": 0x88CC,
        "macsec": 0x88E5,
        "experimental": 0x88B5,
    }[network]
    headers = dissect(build(RNG, "plain", network, "-").frame)
    assert headers == Headers(link=Link.PLAIN, ethertype=ethertype)


@pytest.mark.parametrize(("number", "link"), [(0x05FF, Link.LLC), (0x0600, Link.PLAIN)])
def test_below_0x0600_the_ethertype_is_a_length(number: int, link: Link) -> None:
    assert dissect(MACS + pack("!H", number) + bytes(50)).link is link


# -- what is too short or too odd ------------------------------------------------------------------


def ethernet(ethertype: int, packet: bytes) -> bytes:
    return MACS + pack("!H", ethertype) + packet


IPV4_TCP = ethernet(IPV4, layers.ipv4(RNG, TCP, layers.tcp(RNG)))
IPV6_UDP = ethernet(IPV6, layers.ipv6(RNG, UDP, layers.udp(RNG, RTP, sport=5004, dport=5006)))
IPV4_OPTIONS = layers.ipv4(RNG, TCP, b"", options=b"\x94\x04\x00\x00" + b"\x01" * 8)


@pytest.mark.parametrize(
    ("frame", "odd"),
    [
        (b"", "shorter than an Ethernet header"),
        (IPV4_TCP[:13], "shorter than an Ethernet header"),
        (MACS + b"\x81\x00\x00\x01\x08", "cut in a VLAN tag"),
        (MACS + b"\x00\x26\xaa\xaa", "cut in an LLC header"),
        (MACS + b"\x00\x26\xaa\xaa\x03\x00\x00\x00\x08", "cut in a SNAP header"),
        (IPV4_TCP[:33], "cut in an IPv4 header"),
        (IPV6_UDP[:53], "cut in an IPv6 header"),
        (ethernet(IPV4, IPV4_OPTIONS[:31]), "cut in the IPv4 options"),
        (ethernet(IPV4, b"\x44" + IPV4_TCP[15:]), "IPv4 header length below 20 bytes"),
        (ethernet(IPV4, b"\x4f" + IPV4_TCP[15:]), "cut in the IPv4 options"),
        (ethernet(IPV4, b"\x65" + IPV4_TCP[15:]), "IPv4 ethertype, but IP version 6"),
        (ethernet(IPV6, b"\x40" + IPV6_UDP[15:]), "IPv6 ethertype, but IP version 4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_short_or_odd_frame_says_why(frame: bytes, odd: str) -> None:
    headers = dissect(frame)
    assert headers.odd == odd
    assert headers.version == 0, "nothing of an odd network header is believed"
    assert headers.protocol is None


@given(frames())
def test_any_bytes_are_dissected_without_an_error(frame: bytes) -> None:
    dissect(frame)


NEVER_CONTRADICTED = (
    "link", "ethertype", "version", "source", "destination", "fragment", "protocol",
    "source_port", "destination_port", "icmp_type", "payload", "payload_length",
)  # fmt: skip


@given(frames())
def test_a_shorter_copy_never_contradicts_the_whole_frame(frame: bytes) -> None:
    """What is known of a frame cut by a snap length is also true of the frame."""
    whole = dissect(frame)
    for cut in range(14, len(frame)):
        part = dissect(frame[:cut], len(frame))
        if part.odd is not None:
            continue
        assert whole.odd is None or part.protocol is None, cut
        for name in NEVER_CONTRADICTED:
            value = getattr(part, name)
            assert value is None or value == getattr(whole, name) or whole.odd, (cut, name)
        if part.payload_seen:
            assert part.payload_class == whole.payload_class, cut


# -- IPv4 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "offset", "fragment"),
    [
        (0, 0, Fragment.WHOLE),
        (2, 0, Fragment.WHOLE),  # don't fragment
        (1, 0, Fragment.FIRST),
        (3, 0, Fragment.FIRST),
        (1, 1, Fragment.LATER),
        (0, 1, Fragment.LATER),
        (0, 0x1000, Fragment.LATER),
        (0, 0x1FFF, Fragment.LATER),
        (4, 0, Fragment.WHOLE),  # RFC 3514's bit is reserved: it says nothing
    ],
)
def test_ipv4_fragments_are_told_by_offset_and_more_fragments(
    flags: int, offset: int, fragment: Fragment
) -> None:
    packet = layers.ipv4(RNG, TCP, layers.tcp(RNG), flags=flags, offset=offset)
    headers = dissect(ethernet(IPV4, packet))
    assert (headers.fragment, headers.protocol) == (fragment, TCP)
    has_ports = headers.source_port is not None and headers.destination_port is not None
    assert has_ports == (fragment is not Fragment.LATER)
    assert (headers.payload is not None) == (fragment is not Fragment.LATER)


@pytest.mark.parametrize("words", range(11))
def test_ports_are_found_behind_ipv4_options_of_any_length(words: int) -> None:
    data = layers.udp(RNG, RTP, sport=16384, dport=5004)
    packet = layers.ipv4(RNG, UDP, data, options=b"\x01" * 4 * words)
    headers = dissect(ethernet(IPV4, packet))
    assert (headers.source_port, headers.destination_port) == (16384, 5004)
    assert (headers.payload, headers.payload_length) == (14 + 20 + 4 * words + 8, len(RTP))
    assert headers.payload_class is PayloadClass.RTP


@pytest.mark.parametrize("check", [0, 12, 16, 32])
def test_ah_is_walked_in_ipv4(check: int) -> None:
    packet = layers.ipv4(RNG, AH, layers.ah(RNG, TCP, check) + layers.tcp(RNG))
    headers = dissect(ethernet(IPV4, packet))
    assert headers.protocol == TCP
    assert headers.payload == 14 + 20 + 12 + check + 20


def test_ah_in_a_later_fragment_hides_the_protocol() -> None:
    """The bytes there only look like an AH: its data goes on from the fragment before."""
    packet = layers.ipv4(RNG, AH, layers.ah(RNG, UDP) + bytes(20), offset=3)
    headers = dissect(ethernet(IPV4, packet))
    assert headers.odd is None
    assert (headers.fragment, headers.protocol) == (Fragment.LATER, None)


@pytest.mark.parametrize("protocol", [HOP_BY_HOP, DESTINATION_OPTIONS, FRAGMENT, layers.ROUTING])
def test_extension_headers_of_ipv6_are_not_walked_in_ipv4(protocol: int) -> None:
    packet = layers.ipv4(RNG, protocol, layers.options_header(RNG, TCP) + layers.tcp(RNG))
    assert dissect(ethernet(IPV4, packet)).protocol == protocol


def test_ah_shorter_than_its_fixed_part_is_odd() -> None:
    packet = layers.ipv4(RNG, AH, bytes((TCP, 0)) + bytes(30))
    assert dissect(ethernet(IPV4, packet)).odd == "AH shorter than 12 bytes"


# -- IPv6 ------------------------------------------------------------------------------------------


def chain(count: int, last: int, data: bytes) -> bytes:
    """``count`` destination options headers of 8 bytes, then ``last``."""
    for _ in range(count):
        data = layers.options_header(RNG, last, 0) + data
        last = DESTINATION_OPTIONS
    return ethernet(IPV6, layers.ipv6(RNG, last, data))


@pytest.mark.parametrize("count", range(9))
def test_up_to_eight_extension_headers_are_walked(count: int) -> None:
    headers = dissect(chain(count, TCP, layers.tcp(RNG)))
    assert headers.odd is None
    assert (headers.protocol, headers.payload) == (TCP, 14 + 40 + 8 * count + 20)


def test_a_ninth_extension_header_is_odd() -> None:
    headers = dissect(chain(9, TCP, layers.tcp(RNG)))
    assert (headers.odd, headers.protocol) == ("more than eight extension headers", None)


@pytest.mark.parametrize(
    "network",
    ["ipv6-hop-by-hop", "ipv6-routing", "ipv6-destination", "ipv6-ah", "ipv6-atomic"],
)
def test_tcp_is_found_behind_each_extension_header(network: str) -> None:
    headers = dissect(build(RNG, "plain", network, "tcp").frame)
    assert (headers.protocol, headers.fragment) == (TCP, Fragment.WHOLE)


@pytest.mark.parametrize(
    ("offset", "more", "fragment"),
    [
        (0, False, Fragment.WHOLE),  # atomic: RFC 6946
        (0, True, Fragment.FIRST),
        (1, True, Fragment.LATER),
        (1, False, Fragment.LATER),
        (0x1000, False, Fragment.LATER),
        (0x1FFF, False, Fragment.LATER),
    ],
)
def test_ipv6_fragments_are_told_by_the_fragment_header(
    offset: int, more: bool, fragment: Fragment
) -> None:
    data = layers.fragment_header(RNG, TCP, offset, more) + layers.tcp(RNG)
    headers = dissect(ethernet(IPV6, layers.ipv6(RNG, FRAGMENT, data)))
    assert (headers.fragment, headers.protocol) == (fragment, TCP)
    assert (headers.source_port is None) == (fragment is Fragment.LATER)


def test_the_reserved_bits_of_a_fragment_header_say_nothing() -> None:
    data = pack("!BBHI", TCP, 0xFF, 0b110, 1) + layers.tcp(RNG)
    headers = dissect(ethernet(IPV6, layers.ipv6(RNG, FRAGMENT, data)))
    assert headers.fragment is Fragment.WHOLE


def test_an_atomic_fragment_within_a_first_fragment_does_not_make_it_whole() -> None:
    data = layers.udp(RNG, RTP, sport=5004, dport=5006)
    data = layers.fragment_header(RNG, UDP, 0, False) + data
    data = layers.fragment_header(RNG, FRAGMENT, 0, True) + data
    headers = dissect(ethernet(IPV6, layers.ipv6(RNG, FRAGMENT, data)))
    assert (headers.fragment, headers.payload_class) == (Fragment.FIRST, None)


def test_a_later_fragment_that_begins_with_options_hides_the_protocol() -> None:
    """RFC 8200, 4.5: its next header is that of the first fragment's part, not of its own bytes."""
    headers = dissect(build(RNG, "plain", "ipv6-later-options", "tcp").frame)
    assert headers.odd is None
    assert (headers.fragment, headers.protocol) == (Fragment.LATER, None)


def test_a_cut_extension_header_is_odd() -> None:
    frame = chain(2, TCP, b"")
    for cut in range(54, len(frame)):
        assert dissect(frame[:cut]).odd == "cut in an extension header"


def test_an_extension_header_longer_than_the_frame_is_odd() -> None:
    packet = layers.ipv6(RNG, DESTINATION_OPTIONS, bytes((TCP, 255)) + bytes(60))
    assert dissect(ethernet(IPV6, packet)).odd == "cut in an extension header"


@pytest.mark.parametrize("protocol", [59, 135, 139, 140, 253])
def test_mobility_host_identity_and_no_next_header_end_the_walk(protocol: int) -> None:
    headers = dissect(ethernet(IPV6, layers.ipv6(RNG, protocol, bytes(40))))
    assert (headers.odd, headers.protocol) == (None, protocol)


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

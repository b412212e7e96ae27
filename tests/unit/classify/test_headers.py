"""`dissect` on frames of every kind; what is expected is written by hand, from the RFCs."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random
from struct import pack

import pytest
from hypothesis import given

from remusnet.classify.headers import Headers, dissect
from remusnet.policy.policy import Fragment, Link, PayloadClass
from tests.lib import layers
from tests.lib.framegen import build
from tests.lib.layers import IPV4, IPV6, TCP, UDP
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

"""`dissect` walks IPv4 and IPv6: options, extension headers, AH, fragments."""

from __future__ import annotations

from random import Random
from struct import pack

import pytest

from remusnet.classify.headers import dissect
from remusnet.policy.policy import Fragment, PayloadClass
from tests.lib import layers
from tests.lib.framegen import build
from tests.lib.layers import AH, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, IPV4, IPV6, TCP, UDP

RNG = Random(7)


def ethernet(ethertype: int, packet: bytes) -> bytes:
    return layers.ethernet(RNG, ethertype, packet)


RTP = bytes.fromhex("80 08") + bytes(170)


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

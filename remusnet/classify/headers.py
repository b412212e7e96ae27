"""What can be known of one frame from its bytes.

This is the definition: a policy holds what the reference classifier says of these `Headers`, and
every other way of looking at a frame (columns, u32, flower, BPF) is tested against it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from struct import Struct

from remusnet.policy.policy import (
    ICMP,
    ICMPV6,
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    LOWEST_MEDIA_PORT,
    NEVER_MEDIA_PORTS,
    PORT_PROTOCOLS,
    SMALLEST_ETHERTYPE,
    STUN_COOKIE,
    TAG_ETHERTYPES,
    TCP,
    UDP,
    Fragment,
    Link,
    PayloadClass,
)

ETHERNET_HEADER = 14
MOST_TAGS = 2
SNAP = b"\xaa\xaa\x03"
SNAP_ETHERTYPE_OUIS = frozenset({b"\x00\x00\x00", b"\x00\x00\xf8"})
"""RFC 1042 and 802.1H: the protocol identifier that follows is an ethertype."""
LLC_IP = b"\x06\x06\x03"
"""IP directly on LLC, a SAP of its own."""

MOST_EXTENSION_HEADERS = 8
HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION_OPTIONS = 0, 43, 44, 51, 60
EXTENSION_HEADERS = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION_OPTIONS})

_U16 = Struct("!H")
_STUN_COOKIE = STUN_COOKIE.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Headers:
    """What a frame's headers say; None is unknown, or not there.

    ``odd``: why the frame can not be judged, else None. What was read before the oddity stays.
    ``link``, ``ethertype``: as `Match` means them; ``tags``: VLAN and priority tags.
    ``version``: 4 or 6, or 0 where it is no IP. ``source``, ``destination``: addresses as integers.
    ``protocol``: behind extension headers and AH; None in a later fragment that hides it.
    ``payload``: where the payload of TCP or UDP starts in the frame; ``payload_length``: its bytes
    by the headers, never more than were on the wire. ``payload_class``: None where the payload is
    of none, or (``payload_seen`` is false) too little of it is there to tell.
    """

    odd: str | None = None
    link: Link | None = None
    tags: int = 0
    ethertype: int | None = None
    version: int = 0
    source: int | None = None
    destination: int | None = None
    dscp: int | None = None
    fragment: Fragment | None = None
    protocol: int | None = None
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    payload: int | None = None
    payload_length: int | None = None
    payload_class: PayloadClass | None = None
    payload_seen: bool = True


def dissect(frame: bytes, length: int | None = None) -> Headers:
    """The headers of ``frame``, of which ``length`` bytes were on the wire (default: all of them).

    Never raises: what is too short or too odd to be judged says so in ``odd``.
    """
    wire = len(frame) if length is None else max(length, len(frame))
    link = _link(frame)
    if link.odd is not None:
        return link
    if link.payload is None:  # LLC that carries no ethertype
        return link
    headers, at = replace(link, payload=None), link.payload
    if headers.ethertype == IPV4_ETHERTYPE:
        return _ipv4(frame, wire, at, headers)
    if headers.ethertype == IPV6_ETHERTYPE:
        return _ipv6(frame, wire, at, headers)
    return headers


def _link(frame: bytes) -> Headers:
    """Link, tags and ethertype; ``payload`` is where the network header starts."""
    if len(frame) < ETHERNET_HEADER:
        return Headers(odd="shorter than an Ethernet header")
    ethertype = _U16.unpack_from(frame, 12)[0]
    headers = Headers(link=Link.PLAIN, ethertype=ethertype, payload=ETHERNET_HEADER)
    headers = _tags(frame, headers)
    if headers.odd is None and (headers.ethertype or 0) < SMALLEST_ETHERTYPE:
        headers = _llc(frame, headers)
        if headers.odd is None and headers.ethertype is not None:
            headers = replace(_tags(frame, headers), link=Link.LLC)
    return headers


def _tags(frame: bytes, headers: Headers) -> Headers:
    """Looks through VLAN tags, of which a frame may have two in all."""
    while headers.ethertype in TAG_ETHERTYPES:
        at = headers.payload or 0
        if headers.tags == MOST_TAGS:
            return replace(headers, odd="more than two VLAN tags", ethertype=None, payload=None)
        headers = replace(headers, link=Link.TAGGED, tags=headers.tags + 1)
        if len(frame) < at + 4:
            return replace(headers, odd="cut in a VLAN tag", ethertype=None, payload=None)
        headers = replace(headers, ethertype=_U16.unpack_from(frame, at + 2)[0], payload=at + 4)
    return headers


def _llc(frame: bytes, headers: Headers) -> Headers:
    """Looks through LLC and SNAP: the ethertype behind them, or none."""
    at = headers.payload or 0
    headers = replace(headers, link=Link.LLC, ethertype=None, payload=None)
    llc = frame[at : at + 3]
    if len(llc) < 3:
        return replace(headers, odd="cut in an LLC header")
    if llc == LLC_IP:
        return replace(headers, ethertype=IPV4_ETHERTYPE, payload=at + 3)
    if llc != SNAP:
        return headers
    if len(frame) < at + 8:
        return replace(headers, odd="cut in a SNAP header")
    if frame[at + 3 : at + 6] not in SNAP_ETHERTYPE_OUIS:
        return headers
    return replace(headers, ethertype=_U16.unpack_from(frame, at + 6)[0], payload=at + 8)


def _ipv4(frame: bytes, wire: int, at: int, headers: Headers) -> Headers:
    if len(frame) < at + 20:
        return replace(headers, odd="cut in an IPv4 header")
    if frame[at] >> 4 != 4:
        return replace(headers, odd=f"IPv4 ethertype, but IP version {frame[at] >> 4}")
    header_length = (frame[at] & 0x0F) * 4
    if header_length < 20:
        return replace(headers, odd="IPv4 header length below 20 bytes")
    if len(frame) < at + header_length:
        return replace(headers, odd="cut in the IPv4 options")
    total = _U16.unpack_from(frame, at + 2)[0]
    flags = _U16.unpack_from(frame, at + 6)[0]
    fragment = Fragment.LATER if flags & 0x1FFF else Fragment.FIRST if flags & 0x2000 else None
    headers = replace(
        headers,
        version=4,
        source=int.from_bytes(frame[at + 12 : at + 16], "big"),
        destination=int.from_bytes(frame[at + 16 : at + 20], "big"),
        dscp=frame[at + 1] >> 2,
        fragment=fragment or Fragment.WHOLE,
    )
    # Segmentation offload of TCP leaves the length 0; an Ethernet trailer is no payload.
    end = wire if total == 0 and frame[at + 9] == TCP else min(wire, at + total)
    if frame[at + 9] != AH:
        return _transport(frame, at + header_length, end, frame[at + 9], headers)
    return _extensions(frame, at + header_length, end, AH, headers)


def _ipv6(frame: bytes, wire: int, at: int, headers: Headers) -> Headers:
    if len(frame) < at + 40:
        return replace(headers, odd="cut in an IPv6 header")
    if frame[at] >> 4 != 6:
        return replace(headers, odd=f"IPv6 ethertype, but IP version {frame[at] >> 4}")
    headers = replace(
        headers,
        version=6,
        source=int.from_bytes(frame[at + 8 : at + 24], "big"),
        destination=int.from_bytes(frame[at + 24 : at + 40], "big"),
        dscp=(_U16.unpack_from(frame, at)[0] >> 6) & 0x3F,
        fragment=Fragment.WHOLE,
    )
    payload = _U16.unpack_from(frame, at + 4)[0]
    # 0: segmentation offload of TCP (or a jumbogram, which no Ethernet carries).
    end = wire if payload == 0 and frame[at + 6] == TCP else min(wire, at + 40 + payload)
    return _extensions(frame, at + 40, end, frame[at + 6], headers)


def _extensions(frame: bytes, at: int, end: int, protocol: int, headers: Headers) -> Headers:
    """Walks AH (RFC 4302) and, in IPv6, the extension headers of RFC 8200."""
    walked = EXTENSION_HEADERS if headers.version == 6 else {AH}
    count = 0
    while protocol in walked:
        if headers.fragment is Fragment.LATER:
            # The chain goes on in the first fragment; here are bytes of unknown meaning.
            return headers
        count += 1
        if count > MOST_EXTENSION_HEADERS:
            return replace(headers, odd="more than eight extension headers")
        if len(frame) < at + 8:
            return replace(headers, odd="cut in an extension header")
        size = _extension_size(protocol, frame[at + 1])
        if protocol == AH and size < 12:
            return replace(headers, odd="AH shorter than 12 bytes")
        if protocol == FRAGMENT:
            fragment = _fragment(_U16.unpack_from(frame, at + 2)[0])
            # A fragment may itself be fragmented; an atomic one within does not make it whole.
            if fragment is not Fragment.WHOLE:
                headers = replace(headers, fragment=fragment)
        if len(frame) < at + size:
            return replace(headers, odd="cut in an extension header")
        protocol, at = frame[at], at + size
    return _transport(frame, at, end, protocol, headers)


def _extension_size(protocol: int, length: int) -> int:
    """Bytes of an extension header whose length field is ``length`` (RFC 8200, RFC 4302)."""
    if protocol == FRAGMENT:
        return 8
    return (length + 2) * 4 if protocol == AH else (length + 1) * 8


def _fragment(flags: int) -> Fragment:
    """Which fragment the offset and flags of an IPv6 fragment header mean."""
    if flags & 0xFFF8:
        return Fragment.LATER
    return Fragment.FIRST if flags & 1 else Fragment.WHOLE


def _transport(frame: bytes, at: int, end: int, protocol: int, headers: Headers) -> Headers:
    headers = replace(headers, protocol=protocol)
    if headers.fragment is Fragment.LATER:
        return headers
    if protocol in (ICMP, ICMPV6):
        return replace(headers, icmp_type=frame[at]) if len(frame) > at else headers
    if protocol not in PORT_PROTOCOLS or len(frame) < at + 4:
        return replace(headers, payload_seen=protocol != UDP)
    ports = _U16.unpack_from(frame, at)[0], _U16.unpack_from(frame, at + 2)[0]
    headers = replace(headers, source_port=ports[0], destination_port=ports[1])
    if protocol == TCP and len(frame) > at + 12:
        size = max(20, (frame[at + 12] >> 4) * 4)
        return replace(headers, payload=at + size, payload_length=max(0, end - at - size))
    if protocol != UDP:
        return headers
    if len(frame) < at + 8:
        return replace(headers, payload_seen=False)
    datagram = _U16.unpack_from(frame, at + 4)[0]
    length = max(0, min(datagram, end - at) - 8)
    first = frame[at + 8 : at + 16]
    media_ports = min(ports) >= LOWEST_MEDIA_PORT and not NEVER_MEDIA_PORTS.intersection(ports)
    if headers.fragment is Fragment.WHOLE and media_ports:
        headers = replace(
            headers,
            payload_class=payload_class(first, length),
            # Enough is captured to exclude every class, or to name one.
            payload_seen=len(first) >= min(8, length),
        )
    return replace(headers, payload=at + 8, payload_length=length)


def payload_class(first: bytes, length: int) -> PayloadClass | None:
    """What a UDP payload of ``length`` bytes is that starts with ``first`` (8 bytes of it suffice).

    Source: RFC 7983 section 7 (first byte), RFC 5761 section 4 (RTP or RTCP), RFC 8489 section 5.
    """
    if len(first) < 2:
        return None
    kind = first[0]
    if 128 <= kind <= 191:
        if 192 <= first[1] <= 223:
            return PayloadClass.RTCP if length >= 8 else None
        return PayloadClass.RTP if length >= 12 else None
    if kind <= 3:
        return PayloadClass.STUN if first[4:8] == _STUN_COOKIE and length >= 20 else None
    if 20 <= kind <= 63:
        return PayloadClass.DTLS if length >= 13 else None
    if 64 <= kind <= 79:
        return PayloadClass.TURN if length >= 4 else None
    return None

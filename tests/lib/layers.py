"""Headers as bytes, one function a header, written from the RFCs and not from remusnet.

Checksums are left 0: nothing that a classifier looks at depends on them. Whatever a header leaves
open (addresses, identifiers, sequence numbers) is drawn from the given generator.
"""

from __future__ import annotations

from random import Random
from struct import pack

PORTS = (
    0, 53, 123, 443, 1023, 1024, 1194, 1701, 2152, 3478, 3544, 4500, 4789, 5004, 5005, 5060, 6081,
    6635, 8472, 10000, 16384, 40000, 51820, 65535,
)  # fmt: skip
"""Around every limit that a classifier may know, and some that it need not know."""
LENGTHS = (0, 1, 2, 7, 8, 11, 12, 13, 19, 20, 172)
"""Payload bytes, around the shortest RTCP (8), RTP (12), DTLS (13) and STUN (20)."""
MEDIA_PORTS = (1024, 5004, 5005, 10000, 16384, 40000, 65535)

IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
ICMP, IPIP, TCP, UDP, SIX_IN_FOUR, GRE, ESP, AH, ICMPV6, NO_NEXT, SCTP = (
    1, 4, 6, 17, 41, 47, 50, 51, 58, 59, 132,
)  # fmt: skip
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60
STUN_COOKIE = 0x2112A442


# -- link ------------------------------------------------------------------------------------------


def ethernet(rng: Random, ethertype: int, payload: bytes) -> bytes:
    """Ethernet II, or 802.3 where ``ethertype`` is a length."""
    source = b"\x02" + rng.randbytes(5)
    destination = b"\x02" + rng.randbytes(5)
    return destination + source + pack("!H", ethertype) + payload


def tag(rng: Random, ethertype: int, vlan: int | None = None) -> bytes:
    """The four bytes behind a tag's ethertype: priority, VLAN and the next ethertype."""
    if vlan is None:
        vlan = rng.randrange(1, 4095)
    return pack("!HH", rng.randrange(8) << 13 | vlan, ethertype)


def snap(ethertype: int, oui: bytes = b"\x00\x00\x00") -> bytes:
    """LLC and SNAP (RFC 1042; 802.1H with OUI 00:00:f8)."""
    return b"\xaa\xaa\x03" + oui + pack("!H", ethertype)


# -- network ---------------------------------------------------------------------------------------


def ipv4(
    rng: Random,
    protocol: int,
    payload: bytes,
    *,
    options: bytes = b"",
    flags: int = 0,
    offset: int = 0,
    total: int | None = None,
) -> bytes:
    """RFC 791. ``flags``: 2 don't fragment, 1 more fragments; ``offset`` in 8-byte units."""
    if total is None:
        total = 20 + len(options) + len(payload)
    words = 5 + len(options) // 4
    return (
        pack(
            "!BBHHHBBH4s4s",
            0x40 | words,
            rng.randrange(64) << 2,
            total,
            rng.getrandbits(16),
            flags << 13 | offset,
            64,
            protocol,
            0,
            b"\x0a" + rng.randbytes(3),
            b"\x0a" + rng.randbytes(3),
        )
        + options
        + payload
    )


def ipv6(rng: Random, next_header: int, payload: bytes, *, length: int | None = None) -> bytes:
    """RFC 8200."""
    if length is None:
        length = len(payload)
    first = 6 << 28 | rng.randrange(64) << 22 | rng.getrandbits(20)
    prefix = b"\x20\x01\x0d\xb8"
    addresses = prefix + rng.randbytes(12) + prefix + rng.randbytes(12)
    return pack("!IHBB", first, length, next_header, 64) + addresses + payload


def options_header(rng: Random, next_header: int, units: int | None = None) -> bytes:
    """A hop-by-hop or destination options header full of PadN (RFC 8200, 4.2)."""
    if units is None:
        units = rng.choice((0, 0, 1, 3))
    padding = units * 8 + 4
    return pack("!BBBB", next_header, units, 1, padding) + bytes(padding)


def routing_header(rng: Random, next_header: int) -> bytes:
    """A type 2 routing header (RFC 6275, 6.4), nothing left to visit."""
    return pack("!BBBBI", next_header, 2, 2, 0, 0) + rng.randbytes(16)


def fragment_header(rng: Random, next_header: int, offset: int, more: bool) -> bytes:
    """RFC 8200, 4.5. ``offset`` in 8-byte units."""
    return pack("!BBHI", next_header, 0, offset << 3 | more, rng.getrandbits(32))


def ah(rng: Random, next_header: int, check: int = 12) -> bytes:
    """RFC 4302 with an integrity check value of ``check`` bytes."""
    words = (12 + check) // 4 - 2
    return pack("!BBH", next_header, words, 0) + rng.randbytes(8 + check)


# -- transport -------------------------------------------------------------------------------------


def tcp(rng: Random, payload: bytes = b"", options: bytes = b"") -> bytes:
    """RFC 9293."""
    ports = rng.choice(PORTS), rng.choice(PORTS)
    words = 5 + len(options) // 4
    sequence = rng.getrandbits(32), rng.getrandbits(32)
    return pack("!HHIIBBHHH", *ports, *sequence, words << 4, 0x18, 512, 0, 0) + options + payload


def udp(
    rng: Random,
    payload: bytes,
    *,
    sport: int | None = None,
    dport: int | None = None,
    length: int | None = None,
) -> bytes:
    """RFC 768."""
    if sport is None:
        sport = rng.choice(PORTS)
    if dport is None:
        dport = rng.choice(PORTS)
    if length is None:
        length = 8 + len(payload)
    return pack("!HHHH", sport, dport, length, 0) + payload


def icmp(rng: Random, kind: int) -> bytes:
    """ICMP or ICMPv6 of type ``kind``, with a body that suits an echo."""
    return pack("!BBHHH", kind, 0, 0, rng.getrandbits(16), 1) + rng.randbytes(16)


def neighbour_discovery(rng: Random, kind: int) -> bytes:
    """RFC 4861: 133 to 137, without options, with the body that each has."""
    body = {133: 4, 134: 12, 135: 20, 136: 20, 137: 36}[kind]
    return pack("!BBH", kind, 0, 0) + bytes(4) + rng.randbytes(body - 4)


def sctp(rng: Random) -> bytes:
    """RFC 9260, with one DATA chunk."""
    ports = rng.choice(PORTS), rng.choice(PORTS)
    chunk = pack("!BBHIHHI", 0, 3, 20, rng.getrandbits(32), 0, 0, 0) + rng.randbytes(4)
    return pack("!HHII", *ports, rng.getrandbits(32), 0) + chunk


def esp(rng: Random) -> bytes:
    """RFC 4303: everything behind the index and the sequence number is hidden."""
    return rng.randbytes(8 + 40)


def gre(payload: bytes, ethertype: int) -> bytes:
    """RFC 2784."""
    return pack("!HH", 0, ethertype) + payload


# -- what UDP carries ------------------------------------------------------------------------------


def _sized(rng: Random, head: bytes, length: int) -> bytes:
    """``head``, cut or continued to ``length`` bytes."""
    return (head + rng.randbytes(max(0, length - len(head))))[:length]


def rtp(rng: Random, length: int) -> bytes:
    """RFC 3550, 5.1: version 2, a payload type that is none of RTCP's."""
    head = bytes((rng.randrange(128, 192), rng.choice((0, 8, 96, 111, 127, 136, 191, 224, 239))))
    return _sized(rng, head, length)


def rtcp(rng: Random, length: int) -> bytes:
    """RFC 3550, 6.4: packet types from 192 to 223 (RFC 5761, 4)."""
    head = bytes((rng.randrange(128, 192), rng.choice((192, 200, 201, 202, 203, 206, 223))))
    return _sized(rng, head, length)


def stun(rng: Random, length: int) -> bytes:
    """RFC 8489, 5: a binding request or response."""
    head = pack("!HHI", rng.choice((0x0001, 0x0101)), max(0, length - 20), STUN_COOKIE)
    return _sized(rng, head, length)


def dtls(rng: Random, length: int) -> bytes:
    """RFC 6347, 4.1: a record of version 1.2; RFC 7983 leaves 20 to 63 to DTLS."""
    head = pack("!BHHIHH", rng.choice((20, 22, 23, 63)), 0xFEFD, 0, 0, 1, max(0, length - 13))
    return _sized(rng, head, length)


def turn(rng: Random, length: int) -> bytes:
    """RFC 8656, 12.4: channel data; RFC 7983 leaves 64 to 79 to it."""
    head = pack("!BBH", rng.choice((64, 79)), rng.getrandbits(8), max(0, length - 4))
    return _sized(rng, head, length)


def quic_long(rng: Random, length: int) -> bytes:
    """RFC 9000, 17.2: a long header of version 1."""
    return _sized(rng, pack("!BI", 0xC0 | rng.getrandbits(4), 1), length)


def quic_short(rng: Random, length: int) -> bytes:
    """RFC 9000, 17.3: a short header, from 80 on (RFC 9443: so that it can be told from TURN)."""
    return _sized(rng, bytes((rng.randrange(80, 128),)), length)


def dns(rng: Random) -> bytes:
    """RFC 1035, 4.1: a query. A quarter of all identifiers begins as RTP does."""
    return pack("!HHHHHH", rng.getrandbits(16), 0x0100, 1, 0, 0, 0) + b"\x01a\x00\x00\x01\x00\x01"


def chained(rng: Random, version: int, headers: list[int], protocol: int, data: bytes) -> bytes:
    """A frame of IP ``version`` whose extension headers are ``headers``, in order."""
    for number in reversed(headers):
        if number == AH:
            data = ah(rng, protocol) + data
        elif number == FRAGMENT:
            data = fragment_header(rng, protocol, 0, False) + data
        elif number == ROUTING:
            data = routing_header(rng, protocol) + data
        else:
            data = options_header(rng, protocol) + data
        protocol = number
    if version == 4:
        return ethernet(rng, IPV4, ipv4(rng, protocol, data))
    return ethernet(rng, IPV6, ipv6(rng, protocol, data))

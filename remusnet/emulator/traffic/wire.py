"""Conversations on the wire: how long each frame is, and its bytes.

scapy makes one frame of each kind; numbers, lengths and checksums are patched into copies of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import GRE, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from remusnet.emulator.traffic.endpoints import Payload, Segment
from remusnet.emulator.traffic.rtp_frames import PEER_MAC
from remusnet.metrics.flows import flow_text
from remusnet.policy.policy import ICMP as ICMP_PROTOCOL
from remusnet.policy.policy import TCP as TCP_PROTOCOL
from remusnet.policy.policy import UDP as UDP_PROTOCOL
from remusnet.scenario.scenario import Host
from remusnet.scenario.traffic import Tunnel

PEER = "203.0.113.1"
_ETHERNET, _IP = 14, 20
_HEADERS = _ETHERNET + _IP
_TCP_HEADER, _UDP_HEADER, _ICMP_HEADER = 20, 8, 8
_SYN, _ACK, _PUSH = 0x02, 0x10, 0x08
_WINDOW = 65_535
# Maximum segment size 1460, SACK permitted, window scale 7.
_SYN_OPTIONS = bytes.fromhex("020405b4 0101 0402 01 030307")

What = Payload | Segment


class Wire(Protocol):
    """Frames of one conversation."""

    @property
    def protocol(self) -> int:
        """The protocol's number in IP."""
        ...

    @property
    def flow(self) -> str:
        """From the client to the server."""
        ...

    def length(self, what: What) -> int:
        """Bytes of the frame on the wire."""
        ...

    def frame(self, what: What, *, from_guest: bool) -> bytes:
        """Its bytes."""
        ...


def _headers(host: Host, transport: Packet, *, from_guest: bool) -> bytes:
    """The headers of a frame, as scapy builds them."""
    macs, ends = (host.mac, PEER_MAC), (host.address, PEER)
    if not from_guest:
        macs, ends = macs[::-1], ends[::-1]
    link = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1], id=0, flags="DF")
    return bytes(link / transport)


def _sealed(frame: bytearray, checksum_at: int) -> bytes:
    """``frame`` with IP's length and checksum and the transport's checksum set right.

    ``checksum_at``: where the transport's is, from its header; it is 0 until now.
    """
    frame[16:18] = (len(frame) - _ETHERNET).to_bytes(2, "big")
    frame[24:26] = bytes(2)
    frame[24:26] = _checksum(bytes(frame[_ETHERNET:_HEADERS])).to_bytes(2, "big")
    protocol, transport = frame[23], bytes(frame[_HEADERS:])
    pseudo = b""
    if protocol != ICMP_PROTOCOL:
        pseudo = bytes(frame[26:34]) + bytes([0, protocol]) + len(transport).to_bytes(2, "big")
    at = _HEADERS + checksum_at
    frame[at : at + 2] = _checksum(pseudo + transport).to_bytes(2, "big")
    return bytes(frame)


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + bytes(len(data) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(slots=True)
class _Ports:
    """A conversation from ``client_port`` to ``server_port``; the guest is the client or not."""

    host: Host
    client_port: int
    server_port: int
    guest_is_client: bool
    protocol: int

    @property
    def flow(self) -> str:
        """From the client to the server."""
        guest, peer = (self.host.address, PEER)
        client, server = (guest, peer) if self.guest_is_client else (peer, guest)
        return flow_text(self.protocol, client, self.client_port, server, self.server_port)

    def ports(self, *, from_guest: bool) -> tuple[int, int]:
        """Source and destination."""
        ports = (self.client_port, self.server_port)
        return ports if from_guest == self.guest_is_client else ports[::-1]


@dataclass(slots=True)
class TcpWire(_Ports):
    """A connection."""

    protocol: int = TCP_PROTOCOL

    def length(self, what: What) -> int:
        """See `Wire`."""
        options = _options_length(what) if isinstance(what, Segment) else 0
        return _HEADERS + _TCP_HEADER + options + what.size

    def frame(self, what: What, *, from_guest: bool) -> bytes:
        """Sequence numbers start at what depends on the ports alone."""
        if not isinstance(what, Segment):
            raise TypeError(f"no segment: {what}")
        sport, dport = self.ports(from_guest=from_guest)
        frame = bytearray(_headers(self.host, TCP(sport=sport, dport=dport), from_guest=from_guest))
        flags = (_SYN if what.syn else _PUSH if what.size else 0) | (_ACK if what.ack else 0)
        base, other = (sport << 16 | dport), (dport << 16 | sport)
        frame[38:42] = ((base + what.sequence) % 2**32).to_bytes(4, "big")
        frame[42:46] = ((other + what.ack) % 2**32 if what.ack else 0).to_bytes(4, "big")
        options = self._options(what, other)
        frame[46] = (_TCP_HEADER + len(options)) // 4 << 4
        frame[47:50] = bytes([flags]) + _WINDOW.to_bytes(2, "big")
        frame[50:52] = bytes(2)
        return _sealed(frame + options + self._payload(what), 16)

    def _options(self, segment: Segment, other: int) -> bytes:
        """As Linux orders them (tcp_options_write); ``other``: where the peer's numbers begin."""
        found = b""
        if segment.syn:
            found += _SYN_OPTIONS
        if segment.stamp:
            sent, echoed = (each % 2**32 for each in segment.stamp)
            found += b"\x01\x01\x08\x0a" + sent.to_bytes(4, "big") + echoed.to_bytes(4, "big")
        if segment.blocks:
            edges = [(other + edge) % 2**32 for block in segment.blocks for edge in block]
            found += bytes([1, 1, 5, 2 + 8 * len(segment.blocks)])
            found += b"".join(edge.to_bytes(4, "big") for edge in edges)
        return found

    def _payload(self, segment: Segment) -> bytes:
        """The segment's bytes: text where a payload has some and lies in it whole, else filler."""
        text = b"".join(payload.text for _, payload in segment.ends)
        return text if len(text) == segment.size else b"x" * segment.size


def _options_length(segment: Segment) -> int:
    """The length of `TcpWire._options`."""
    blocks = 4 + 8 * len(segment.blocks) if segment.blocks else 0
    return len(_SYN_OPTIONS) * segment.syn + (12 if segment.stamp else 0) + blocks


@dataclass(slots=True)
class UdpWire(_Ports):
    """Datagrams between a client and a server."""

    protocol: int = UDP_PROTOCOL

    def length(self, what: What) -> int:
        """See `Wire`."""
        return _HEADERS + _UDP_HEADER + what.size

    def frame(self, what: What, *, from_guest: bool) -> bytes:
        """See `Wire`."""
        if not isinstance(what, Payload):
            raise TypeError(f"no datagram: {what}")
        sport, dport = self.ports(from_guest=from_guest)
        frame = bytearray(
            _headers(self.host, UDP(sport=sport, dport=dport, chksum=0), from_guest=from_guest)
        )
        frame[38:40] = (_UDP_HEADER + what.size).to_bytes(2, "big")
        return _sealed(frame + datagram(what), 6)


def datagram(what: Payload) -> bytes:
    """What a datagram carries: text, or DNS."""
    if what.text:
        return what.text
    question = DNSQR(qname="www.example.com")
    if what.name == "query":
        return bytes(DNS(id=what.tag & 0xFFFF, rd=1, qd=question))
    answer = DNSRR(rrname="www.example.com", ttl=60, rdata="192.0.2.80")
    built = bytes(DNS(id=what.tag & 0xFFFF, qr=1, rd=1, ra=1, qd=question, an=answer))
    # scapy writes the name again; servers point back to the question (RFC 1035, 4.1.4).
    name = built[12:29]
    return built[:29] + built[29:].replace(name, b"\xc0\x0c", 1)


@dataclass(slots=True)
class IcmpWire:
    """Echo requests and replies, with one identifier."""

    host: Host
    identifier: int
    guest_is_client: bool
    protocol: int = ICMP_PROTOCOL

    @property
    def flow(self) -> str:
        """From the client to the server."""
        ends = (self.host.address, PEER) if self.guest_is_client else (PEER, self.host.address)
        return flow_text(self.protocol, ends[0], -1, ends[1], -1)

    def length(self, what: What) -> int:
        """See `Wire`."""
        return _HEADERS + _ICMP_HEADER + what.size

    def frame(self, what: What, *, from_guest: bool) -> bytes:
        """See `Wire`."""
        if not isinstance(what, Payload):
            raise TypeError(f"no echo: {what}")
        kind = 8 if what.name == "echo-request" else 0
        header = ICMP(type=kind, id=self.identifier & 0xFFFF, seq=what.tag & 0xFFFF, chksum=0)
        frame = bytearray(_headers(self.host, header, from_guest=from_guest))
        return _sealed(frame + bytes(at & 0xFF for at in range(what.size)), 2)


class TunnelWire:
    """One frame, again and again: what a tunnel's end sees of traffic within."""

    def __init__(self, host: Host, tunnel: Tunnel) -> None:
        inner = IP(src="10.9.0.1", dst="10.9.0.2") / (
            UDP(sport=5004, dport=5004) / Raw(b"\x80\x08" + bytes(tunnel.size - 2))
            if tunnel.inner == "rtp"
            else TCP(sport=5060, dport=5060, flags="PA") / Raw(b"x" * tunnel.size)
        )
        outer: dict[str, Packet] = {
            "gre": GRE() / inner,
            "ipip": inner,
            "vxlan": UDP(sport=49_152, dport=4789) / VXLAN(vni=1) / Ether() / inner,
            # No reader sees what is in it: only its size counts.
            "esp": ESP(spi=0x1001, seq=1, data=b"\x5a" * len(inner)),
        }
        self._frame = _headers(host, outer[tunnel.kind], from_guest=True)
        self.protocol: int = self._frame[23]
        ports = (49_152, 4789) if tunnel.kind == "vxlan" else (-1, -1)
        self.flow: str = flow_text(self.protocol, host.address, ports[0], PEER, ports[1])

    def length(self, what: What) -> int:
        """See `Wire`."""
        return len(self._frame)

    def frame(self, what: What, *, from_guest: bool) -> bytes:
        """See `Wire`."""
        return self._frame

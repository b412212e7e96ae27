"""RTP among the frames of a capture: its packets, the streams they belong to, what isn't measured.

Not measured is RTP inside of tunnels, or cut by a snap length: `unmeasured` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from remusnet.classify.columns import FRAGMENTS, PAYLOAD_CLASSES, Columns, columns, group_rows
from remusnet.frames import Bools, Frames, Int64s, numbers, stretches
from remusnet.policy.policy import (
    LOWEST_MEDIA_PORT,
    NEVER_MEDIA_PORTS,
    TUNNEL_ETHERTYPES,
    TUNNEL_PROTOCOLS,
    TUNNEL_UDP_PORTS,
    UDP,
    Fragment,
    PayloadClass,
    Tunnel,
)

_FIXED_HEADER = np.dtype(
    [("flags", "u1"), ("type", "u1"), ("sequence", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")]
)
"""RFC 3550, section 5.1."""

FEWEST_PACKETS = 3
"""A stream has at least so many packets, and two in a row with consecutive sequence numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class RtpPackets:
    """n RTP packets in order of arrival; all int64[n].

    ``frame``: index into the capture's frames. ``arrival_ns``: when it was captured, or when it
    came after a replay; ``recorded_ns``: when it was captured.
    ``payload_type`` (0-127), ``sequence`` (16 bits), ``timestamp``, ``ssrc`` (32 bits): as sent.
    """

    frame: Int64s
    arrival_ns: Int64s
    recorded_ns: Int64s
    payload_type: Int64s
    sequence: Int64s
    timestamp: Int64s
    ssrc: Int64s

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: Int64s) -> RtpPackets:
        """The packets at ``rows``, in that order."""
        return RtpPackets(
            self.frame[rows],
            self.arrival_ns[rows],
            self.recorded_ns[rows],
            self.payload_type[rows],
            self.sequence[rows],
            self.timestamp[rows],
            self.ssrc[rows],
        )


def rtp_packets(frames: Frames, columns: Columns, recorded_ns: Int64s | None = None) -> RtpPackets:
    """What looks like RTP, frame by frame, and has its fixed header captured; sorted by time.

    What looks like RTP is `PayloadClass.RTP`: the policies' own definition, here too. Packets of
    equal times keep the order of the capture file. ``recorded_ns``: int64[n] of the frames, where
    those have been moved in time.
    """
    looks = columns.payload_class == PAYLOAD_CLASSES.index(PayloadClass.RTP)
    found = np.flatnonzero(looks & (columns.payload_present >= _FIXED_HEADER.itemsize))
    found = found[np.argsort(frames.time_ns[found], kind="stable")]
    header = np.zeros(0, _FIXED_HEADER)
    if len(found):
        header = stretches(frames.data, _FIXED_HEADER.itemsize)[columns.payload[found]]
        header = header.view(_FIXED_HEADER)
    return RtpPackets(
        found,
        frames.time_ns[found],
        (frames.time_ns if recorded_ns is None else recorded_ns)[found],
        header["type"].astype(np.int64) & 0x7F,
        header["sequence"].astype(np.int64),
        header["timestamp"].astype(np.int64),
        header["ssrc"].astype(np.int64),
    )


def split_streams(packets: RtpPackets, columns: Columns) -> list[RtpPackets]:
    """The packets of each plausible stream (5-tuple and SSRC), in order of first arrival.

    A quarter of all random bytes have RTP's version. Chance does not count on: what has fewer than
    `FEWEST_PACKETS` packets, or never two consecutive sequence numbers in a row, is no stream.
    """
    if len(packets) == 0:
        return []
    frame = packets.frame
    keys = [
        columns.source[frame, 0],
        columns.source[frame, 1],
        columns.destination[frame, 0],
        columns.destination[frame, 1],
        columns.sport[frame],
        columns.dport[frame],
        packets.ssrc,
    ]
    first, group = group_rows(keys)
    order = np.argsort(group, kind="stable")
    grouped, sequence = group[order], packets.sequence[order]
    counts_on = (np.diff(sequence) % 2**16 == 1) & (np.diff(grouped) == 0)
    size = np.bincount(group, minlength=len(first))
    consecutive = np.bincount(grouped[1:][counts_on], minlength=len(first))
    plausible = (size >= FEWEST_PACKETS) & (consecutive > 0)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])
    return [
        packets.take(order[start[number] : start[number + 1]])
        for number in np.flatnonzero(plausible).tolist()
    ]


_ETHERNET = 14
_RTP_HEADER = 12
_LOOKED_AT = 128
"""Bytes of what a tunnel carries: Ethernet, IP with options, UDP and RTP's header have 94."""
_IPV4, _IPV6, _BRIDGED = 0x0800, 0x86DD, 0x6558
_ERSPAN_2, _ERSPAN_3 = 0x88BE, 0x22EB
_MOST_LABELS = 8
_SEALED = (Tunnel.ESP, Tunnel.IPSEC_NAT_T, Tunnel.OPENVPN, Tunnel.WIREGUARD)


@dataclass(frozen=True, slots=True, eq=False)
class _Inside:
    """Where n tunnels' own packets begin: ``row`` of the frame, ``at`` in the data, ``ethertype``.

    int64[n] each; the ethertype is `_BRIDGED` where an Ethernet header is there.
    """

    row: Int64s
    at: Int64s
    ethertype: Int64s


def unmeasured(frames: Frames, headers: Columns) -> tuple[str, ...]:
    """A sentence for each kind of tunnel with RTP in it, or whose content is hidden, and for cuts.

    ``headers`` are those of ``frames``. One tunnel is looked into, not those within it.
    """
    return tuple(_found(frames, headers))


def _found(frames: Frames, headers: Columns) -> Iterator[str]:
    transport = np.zeros(0, np.int64)
    for kind in Tunnel:
        rows = np.flatnonzero(_is(kind, headers))
        if len(rows) == 0:
            continue
        if len(transport) == 0:
            transport = _transport(frames, headers)
        if kind in _SEALED:
            yield f"{len(rows)} frames of {kind} are encrypted: RTP in them is not measured"
            continue
        inside = _inside(kind, rows, frames, headers, transport)
        packets, streams = _rtp_in(inside, frames)
        if streams:
            count = f"{streams} RTP stream{'s' if streams > 1 else ''}"
            yield (
                f"{packets} frames of {kind} carry {count} inside, which are not measured: "
                f"{_unwrapping(inside, frames, headers)}"
            )
    cut = _cut(frames, headers)
    if len(cut) >= FEWEST_PACKETS:
        size = int(frames.caplen[cut].max())
        yield (
            f"{len(cut)} UDP frames are cut before the end of an RTP header, after {size} bytes at "
            "most: RTP in them is not measured; capture with a snap length of 128 or more"
        )


def _is(kind: Tunnel, headers: Columns) -> Bools:
    found = np.zeros(len(headers), np.bool_)
    for ethertype in TUNNEL_ETHERTYPES.get(kind, ()):
        found |= headers.ethertype == ethertype
    if kind in TUNNEL_PROTOCOLS:
        found |= headers.protocol == TUNNEL_PROTOCOLS[kind]
    for port in TUNNEL_UDP_PORTS.get(kind, ()):
        found |= (headers.protocol == UDP) & ((headers.sport == port) | (headers.dport == port))
    if found.any():
        found &= headers.judgeable & (headers.fragment != FRAGMENTS.index(Fragment.LATER))
    return found


def _transport(frames: Frames, headers: Columns) -> Int64s:
    """Where what IP carries begins; extension headers are not walked."""
    at = frames.offset + _ETHERNET + 4 * headers.tags
    size = (numbers(frames.data, at, 1) & 0x0F) * 4
    return np.where(headers.ip_version == 4, at + size, at + 40)


def _inside(
    kind: Tunnel, rows: Int64s, frames: Frames, headers: Columns, transport: Int64s
) -> _Inside:
    """Where the packets begin that the tunnels at ``rows`` carry, as far as their headers tell."""
    link = (frames.offset + _ETHERNET + 4 * headers.tags)[rows]
    at, ethertype = transport[rows], np.zeros(len(rows), np.int64)
    match kind:
        case Tunnel.IPIP:
            ethertype[:] = _IPV4
        case Tunnel.SIX_IN_FOUR:
            ethertype[:] = _IPV6
        case Tunnel.GRE:
            at, ethertype = _gre(frames, at)
        case Tunnel.VXLAN:  # RFC 7348, section 5
            at, ethertype[:] = headers.payload[rows] + 8, _BRIDGED
        case Tunnel.GENEVE:  # RFC 8926, section 3.4
            start = headers.payload[rows]
            at = start + 8 + 4 * (numbers(frames.data, start, 1) & 0x3F)
            ethertype = numbers(frames.data, start + 2, 2)
        case Tunnel.GTP_U:  # 3GPP TS 29.281, section 5.1
            start = headers.payload[rows]
            more = (numbers(frames.data, start, 1) & 0x07) != 0
            at = start + 8 + 4 * more
            ethertype = np.where(
                numbers(frames.data, start + 1, 1) == 255, _by_version(frames, at), 0
            )
        case Tunnel.MPLS:  # RFC 3032, section 2.1; RFC 4385, section 3: the control word
            at = link
            for _ in range(_MOST_LABELS):
                at = np.where(numbers(frames.data, at + 2, 1) & 1, at, at + 4)
            at = at + 4
            ethertype = _by_version(frames, at)
            word = numbers(frames.data, at, 4) >> 28 == 0
            at, ethertype = np.where(word, at + 4, at), np.where(word, _BRIDGED, ethertype)
        case Tunnel.PPPOE:  # RFC 2516, section 4; PPP's numbers of IPv4 and IPv6
            protocol = numbers(frames.data, link + 6, 2)
            at = link + 8
            ethertype = np.select([protocol == 0x21, protocol == 0x57], [_IPV4, _IPV6], 0)
    known = np.isin(ethertype, (_IPV4, _IPV6, _BRIDGED))
    known &= at < frames.offset[rows] + frames.caplen[rows]
    return _Inside(rows[known], at[known], ethertype[known])


def _gre(frames: Frames, at: Int64s) -> tuple[Int64s, Int64s]:
    """RFC 2784 and RFC 2890; ERSPAN as in draft-foschiano-erspan-03, which GRE carries."""
    flags, ethertype = numbers(frames.data, at, 2), numbers(frames.data, at + 2, 2)
    numbered = (flags & 0x1000) != 0
    at = at + 4 + 4 * ((flags & 0x8000) != 0) + 4 * ((flags & 0x2000) != 0) + 4 * numbered
    third = ethertype == _ERSPAN_3
    more = (numbers(frames.data, at + 11, 1) & 1) * 8
    at = at + np.where((ethertype == _ERSPAN_2) & numbered, 8, 0) + np.where(third, 12 + more, 0)
    bridged = third | (ethertype == _ERSPAN_2)
    return at, np.where(bridged, _BRIDGED, ethertype)


def _by_version(frames: Frames, at: Int64s) -> Int64s:
    version = numbers(frames.data, at, 1) >> 4
    return np.select([version == 4, version == 6], [_IPV4, _IPV6], 0)


def _rtp_in(inside: _Inside, frames: Frames) -> tuple[int, int]:
    """How many packets of how many RTP streams there are inside."""
    if len(inside.row) < FEWEST_PACKETS:
        return 0, 0
    bridged = inside.ethertype == _BRIDGED
    size = _ETHERNET + _LOOKED_AT
    data = np.zeros((len(inside.row), size), np.uint8)
    data[:, 12], data[:, 13] = inside.ethertype >> 8, inside.ethertype & 0xFF
    padded = np.concatenate([frames.data, np.zeros(size, np.uint8)])
    data[~bridged, _ETHERNET:] = sliding_window_view(padded, _LOOKED_AT)[inside.at[~bridged]]
    data[bridged] = sliding_window_view(padded, size)[inside.at[bridged]]
    before = inside.at - frames.offset[inside.row] - np.where(bridged, 0, _ETHERNET)
    own = Frames(
        data.reshape(-1),
        np.arange(len(inside.row), dtype=np.int64) * size,
        np.minimum(frames.caplen[inside.row] - before, size),
        frames.length[inside.row] - before,
        frames.time_ns[inside.row],
    )
    headers = columns(own)
    streams = split_streams(rtp_packets(own, headers), headers)
    return sum(map(len, streams)), len(streams)


def _unwrapping(inside: _Inside, frames: Frames, headers: Columns) -> str:
    """What takes the outer headers off, where all have as many bytes."""
    outer = np.unique(inside.at - frames.offset[inside.row])
    kinds = np.unique(inside.ethertype)
    if len(outer) == len(kinds) == 1:
        if kinds[0] == _BRIDGED:
            return f"take the outer headers off, with editcap -L -C {outer[0]} IN OUT"
        same = (headers.ethertype[inside.row] == kinds[0]) & (headers.tags[inside.row] == 0)
        if same.all():
            size = outer[0] - _ETHERNET
            return f"take the outer headers off, with editcap -L -C {_ETHERNET}:{size} IN OUT"
    return "capture behind the tunnel's end, where its packets are bare"


def _cut(frames: Frames, headers: Columns) -> Int64s:
    """Datagrams that may have an RTP header, but not whole."""
    never = list(NEVER_MEDIA_PORTS)
    may_be = (
        (frames.caplen < frames.length)
        & (headers.protocol == UDP)
        & (headers.fragment == FRAGMENTS.index(Fragment.WHOLE))
        & (np.minimum(headers.sport, headers.dport) >= LOWEST_MEDIA_PORT)
        & ~np.isin(headers.sport, never)
        & ~np.isin(headers.dport, never)
    )
    short = (headers.payload_present < _RTP_HEADER) & (headers.payload_length >= _RTP_HEADER)
    return np.flatnonzero(may_be & (short | (headers.payload < 0)))

"""RTP packets among the frames of a capture, and the streams that they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import PAYLOAD_CLASSES, Columns, group_rows
from remusnet.frames import Frames, Int64s, stretches
from remusnet.policy.match import PayloadClass

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

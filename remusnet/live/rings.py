"""Packet sockets with a ring that is shared with the kernel: linux/if_packet.h."""

from __future__ import annotations

import socket
import struct

ETH_P_ALL = 3
_SOL_PACKET = 263
_RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 5, 6, 10, 23
_V3 = 2
_RETIRE_MS = 50
"""A block that isn't full is given to the reader after that time: 64 of them are 3 seconds in
which a busy machine need not let the reader run."""
_FRAME_SIZE = 2048


def open_ring(
    device: str, block: int, blocks: int, protocol: int, *, incoming_only: bool
) -> socket.socket:
    """A TPACKET_V3 socket on ``device`` with ``blocks`` blocks of ``block`` bytes.

    ``incoming_only``: without what this machine sends there (Linux 4.20). Raises OSError.
    """
    # Protocol 0 first: nothing may come before the ring is there.
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        made.setsockopt(_SOL_PACKET, _VERSION, _V3)
        if incoming_only:
            made.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        frames = block * blocks // _FRAME_SIZE
        request = struct.pack("=7I", block, blocks, _FRAME_SIZE, frames, _RETIRE_MS, 0, 0)
        made.setsockopt(_SOL_PACKET, _RX_RING, request)
        made.bind((device, protocol))
    except BaseException:
        made.close()
        raise
    return made


def lost_frames(ring: socket.socket) -> int:
    """Frames that found the ring full since this was asked last. Raises OSError."""
    # struct tpacket_stats_v3: packets, drops, freezes
    said = ring.getsockopt(_SOL_PACKET, _STATISTICS, 12)
    return int(struct.unpack("=III", said)[1])

"""Where the userspace plug gets its frames and gives them back: a TAP device or a veth's end.

Each frame has the header of linux/virtio_net.h before it, which carries what the kernel has not
done yet: a checksum to fill in, a large TCP frame to cut. Written back as it was read, the frame
goes on as it was.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

HEADER = 10
"""Bytes before each frame: struct virtio_net_hdr."""
LARGEST = HEADER + 65536 + 64
_TUN = "/dev/net/tun"
# linux/if_tun.h
_TUNSETIFF, _TUNSETOFFLOAD, _TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_CSUM, _TSO4, _TSO6, _TSO_ECN = 1, 2, 4, 8
# linux/if_packet.h
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
_ETH_P_ALL, _SO_RCVBUFFORCE = 3, 33
_AUXDATA = struct.Struct("=IIIHHHH")
_VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6
_MACS = 12
_RECEIVE_BUFFER = 64 << 20


@dataclass(frozen=True, slots=True)
class Port:
    """Frames with their headers: ``read`` and ``write`` raise BlockingIOError rather than wait."""

    descriptor: int
    read: Callable[[], bytes]
    write: Callable[[bytes], object]
    close: Callable[[], None]


def open_tap(name: str) -> Port:
    """Makes the TAP device ``name``; it goes with the descriptor. Raises OSError where it can't."""
    descriptor = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
        fcntl.ioctl(descriptor, _TUNSETVNETHDRSZ, struct.pack("=i", HEADER))
        fcntl.ioctl(descriptor, _TUNSETOFFLOAD, _CSUM | _TSO4 | _TSO6 | _TSO_ECN)
    except BaseException:
        os.close(descriptor)
        raise
    return Port(
        descriptor,
        lambda: os.read(descriptor, LARGEST),
        lambda frame: os.write(descriptor, frame),
        lambda: os.close(descriptor),
    )


def open_end(name: str) -> Port:
    """The veth end ``name``, which is there: what its other end sends is read. Raises OSError."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    for option in (_PACKET_VNET_HDR, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING):
        made.setsockopt(_SOL_PACKET, option, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    with suppress(PermissionError):  # in a user namespace it stays at the host's net.core.rmem_max
        made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    made.bind((name, _ETH_P_ALL))
    made.setblocking(False)

    def read() -> bytes:
        frame, extra, _, _ = made.recvmsg(LARGEST, socket.CMSG_SPACE(_AUXDATA.size))
        for _, _, data in extra:
            status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(data)
            if status & _VLAN_VALID:
                # The kernel keeps the tag beside the frame.
                tag = struct.pack(">HH", tpid if status & _TPID_VALID else 0x8100, tci)
                at = HEADER + _MACS
                return frame[:at] + tag + frame[at:]
        return frame

    return Port(made.fileno(), read, made.send, made.close)

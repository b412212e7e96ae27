"""A frame that is sent out of the sender's own pages: a transmit ring of packet(7).

The kernel puts the pages into the frame instead of copying it (net/packet/af_packet.c), as
xen-netback does with its guest's. What the sender writes there afterwards is in the frame, until
the kernel copies them, which it does before it clones the frame.
"""

from __future__ import annotations

import mmap
import socket
import struct

from tests.kernel.lab.namespace import Namespace

# linux/if_packet.h
_SOL_PACKET, _PACKET_VERSION, _PACKET_TX_RING, _TPACKET_V2 = 263, 10, 13, 1
_SEND_REQUEST = 1
_PAGE = mmap.PAGESIZE
_STATUS_AND_LENGTH = struct.Struct("=II")
_DATA = 32  # TPACKET2_HDRLEN without the address


class ZeroCopySender:
    """Sends one frame out of ``device``, and keeps the pages it is in.

    A device that copies by itself shows nothing: veth does, lo does not.
    """

    def __init__(self, namespace: Namespace, device: str) -> None:
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        ring = struct.pack("=IIII", _PAGE, 1, _PAGE, 1)  # one block of one frame
        self._socket.setsockopt(_SOL_PACKET, _PACKET_TX_RING, ring)
        self._ring = mmap.mmap(self._socket.fileno(), _PAGE)
        self._socket.bind((device, 0))

    def send(self, frame: bytes) -> None:
        """Sends it; what the pages have is the frame until somebody copies them."""
        self._ring[_DATA : _DATA + len(frame)] = frame
        _STATUS_AND_LENGTH.pack_into(self._ring, 0, _SEND_REQUEST, len(frame))
        self._socket.send(b"", socket.MSG_DONTWAIT)

    def overwrite(self, at: int, data: bytes) -> None:
        """Writes to the pages of the frame, ``at`` bytes from its beginning."""
        self._ring[_DATA + at : _DATA + at + len(data)] = data

    def close(self) -> None:
        """Closes the socket; the pages stay as long as a frame has them."""
        self._ring.close()
        self._socket.close()

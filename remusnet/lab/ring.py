"""Frames that leave a device, with the kernel's time of each, without a system call a frame.

A receive ring of packet(7), version 2: the kernel writes frames and times into memory that we see.
Standard library only: numpy takes seconds to import in a UML kernel.
"""

from __future__ import annotations

import mmap
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

# linux/if_packet.h
_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 263, 5, 6, 10, 23
_TPACKET_V2 = 1
_USER, _VLAN_VALID, _TPID_VALID = 1, 1 << 4, 1 << 6
_OUTGOING = 4
_ETH_P_ALL, _ETH_P_8021Q = 0x0003, 0x8100

_SLOT, _SLOTS, _BLOCK = 2048, 4096, 1 << 16
_HEADER = struct.Struct("=IIIHHIIHH")  # struct tpacket2_hdr
_TYPE_AT = 32 + 10  # sll_pkttype of the struct sockaddr_ll behind the header
_STATUS = struct.Struct("=I")
_ADDRESSES = 12


class Frame(NamedTuple):
    """A frame as it was on the wire, with its tags; ``time_ns``: since 1970."""

    data: bytes
    time_ns: int


class Ring:
    """What ``device`` receives from now on, or with ``outgoing`` what it sends."""

    def __init__(self, device: str, *, outgoing: bool = False) -> None:
        self._kind = _OUTGOING if outgoing else None
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
        if not outgoing:
            self._socket.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        size = _SLOT * _SLOTS
        request = struct.pack("=IIII", _BLOCK, size // _BLOCK, _SLOT, _SLOTS)
        self._socket.setsockopt(_SOL_PACKET, _RX_RING, request)
        self._memory = mmap.mmap(self._socket.fileno(), size)
        self._socket.bind((device, _ETH_P_ALL))
        self._next = 0

    def frames(self) -> Iterator[Frame]:
        """The frames since the last call; raises RuntimeError if the ring ran over."""
        memory = self._memory
        while True:
            at = self._next * _SLOT
            status, _, length, mac, _, seconds, ns, tci, tpid = _HEADER.unpack_from(memory, at)
            if not status & _USER:
                break
            if self._kind is None or memory[at + _TYPE_AT] == self._kind:
                data = memory[at + mac : at + mac + length]
                if status & _VLAN_VALID:
                    tpid = tpid if status & _TPID_VALID else _ETH_P_8021Q
                    tag = struct.pack("!HH", tpid, tci)
                    data = data[:_ADDRESSES] + tag + data[_ADDRESSES:]
                yield Frame(data, seconds * 10**9 + ns)
            _STATUS.pack_into(memory, at, 0)
            self._next = (self._next + 1) % _SLOTS
        _, lost = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        if lost:
            raise RuntimeError(f"the ring lost {lost} frames")

"""A passive tap: all frames of a device, by AF_PACKET's ring (packet_mmap, TPACKET_V3).

The kernel writes frames with their times into a ring that is shared with it; whole blocks of it are
copied to a file without a name, so a frame costs this process next to nothing until it is looked
at. The file goes with the process, however that ends.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from remusnet.frames import Frames, Int64s
from remusnet.live.rings import ETH_P_ALL, lost_frames, open_ring

BLOCK, BLOCKS = 1 << 17, 64
_MOST_BYTES = 2 << 30
"""Of the file: what comes after that is not measured, and the result says so."""
# linux/if_packet.h: struct tpacket_block_desc, tpacket3_hdr, and sockaddr_ll behind that.
_BLOCK_STATUS, _BLOCK_LENGTH = 8, 20
_BLOCK_HEAD = struct.Struct("=8xIIII")
_FRAME_HEAD = struct.Struct("=IIIIIIHHIIH")
_PACKET_TYPE_AT = 58
_OUTGOING = 4
_VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6
_TO_USER = 1
_ALIGNED = 4096
"""Blocks lie in the file at such offsets, so that one that was cut off is found out."""


@dataclass(frozen=True, slots=True, eq=False)
class Tapped:
    """n frames that a tap has seen. ``outgoing``: bool[n], those that this machine sent there."""

    frames: Frames
    outgoing: np.ndarray[tuple[int], np.dtype[np.bool_]]


class Tap:
    """Copies what the ring socket ``source`` gets. `start` begins; `stop` reads what is left."""

    def __init__(self, source: socket.socket) -> None:
        self._socket = source
        self._ring = mmap.mmap(source.fileno(), BLOCK * BLOCKS)
        self._file = tempfile.TemporaryFile(prefix="remusnet-", buffering=0)  # noqa: SIM115
        self._next = self._written = self._read = 0
        self.missed = 0
        """Blocks' bytes that the file had no room for."""
        self.lost = 0
        """Frames that the kernel had no room for in the ring."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Copies from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Copies what has come until now, and no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._copy()
        self._count_lost()
        self._ring.close()
        self._socket.close()

    def new(self) -> Tapped:
        """The frames since the last call."""
        blocks, self._read = self._blocks(self._read, self._written)
        return frames_of(blocks)

    def all(self) -> Tapped:
        """All frames."""
        return frames_of(self._blocks(0, self._written)[0])

    def close(self) -> None:
        """The file is gone."""
        self._file.close()

    def _blocks(self, at: int, end: int) -> tuple[list[bytes], int]:
        """The blocks in the file from ``at`` on, and where they end."""
        blocks = []
        while at < end:
            head = os.pread(self._file.fileno(), 48, at)
            length = struct.unpack_from("=I", head, _BLOCK_LENGTH)[0]
            blocks.append(os.pread(self._file.fileno(), length, at))
            at += -(-length // _ALIGNED) * _ALIGNED
        return blocks, at

    def _run(self) -> None:
        events = select.poll()
        events.register(self._socket, select.POLLIN | select.POLLERR)
        while not self._over.is_set():
            events.poll(100)
            self._copy()
            with suppress(OSError):  # the device is gone: the run says so
                self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _copy(self) -> None:
        while True:
            start = self._next * BLOCK
            (status,) = struct.unpack_from("=I", self._ring, start + _BLOCK_STATUS)
            if not status & _TO_USER:
                return
            (length,) = struct.unpack_from("=I", self._ring, start + _BLOCK_LENGTH)
            room = -(-length // _ALIGNED) * _ALIGNED
            if self._written + room > _MOST_BYTES or not self._write(start, length):
                self.missed += length
            else:
                self._written += room
            struct.pack_into("=I", self._ring, start + _BLOCK_STATUS, 0)
            self._next = (self._next + 1) % BLOCKS

    def _write(self, start: int, length: int) -> bool:
        """Whether the disk took a block."""
        with memoryview(self._ring) as view, view[start : start + length] as block:
            try:
                return os.pwrite(self._file.fileno(), block, self._written) == length
            except OSError:
                return False

    def _count_lost(self) -> None:
        with suppress(OSError):
            self.lost += lost_frames(self._socket)


def open_tap(device: str, *, incoming_only: bool = False) -> socket.socket:
    """The socket with its ring on ``device``, in this thread's namespace. Raises OSError."""
    return open_ring(device, BLOCK, BLOCKS, ETH_P_ALL, incoming_only=incoming_only)


def frames_of(blocks: list[bytes]) -> Tapped:
    """The frames in the ring's ``blocks``, in order."""
    data = b"".join(blocks)
    rows: list[tuple[int, int, int, int, bool]] = []
    tagged: list[tuple[int, int, int]] = []
    base = 0
    for block in blocks:
        for at in _offsets(block):
            head = _FRAME_HEAD.unpack_from(block, at)
            _, seconds, nanoseconds, captured, length, status, mac, _, _, tci, tpid = head
            if status & _VLAN_VALID:
                tagged.append((len(rows), tci, tpid if status & _TPID_VALID else 0x8100))
            rows.append(
                (
                    base + at + mac,
                    captured,
                    length,
                    seconds * 1_000_000_000 + nanoseconds,
                    block[at + _PACKET_TYPE_AT] == _OUTGOING,
                )
            )
        base += len(block)
    table = np.array(rows, np.int64).reshape(len(rows), 5)
    offset, captured_sizes, sizes, times, outgoing = (table[:, each] for each in range(5))
    if tagged:
        data, offset, captured_sizes, sizes = _with_tags(
            data, offset.copy(), captured_sizes.copy(), sizes.copy(), tagged
        )
    frames = Frames(np.frombuffer(data, np.uint8), offset, captured_sizes, sizes, times)
    return Tapped(frames, outgoing.astype(np.bool_))


def _offsets(block: bytes) -> Iterator[int]:
    _, count, at, _ = _BLOCK_HEAD.unpack_from(block)
    for _ in range(count):
        yield at
        (step,) = struct.unpack_from("=I", block, at)
        at += step


def _with_tags(
    data: bytes,
    offset: Int64s,
    captured: Int64s,
    sizes: Int64s,
    tagged: list[tuple[int, int, int]],
) -> tuple[bytes, Int64s, Int64s, Int64s]:
    """The same with the VLAN tags, which the kernel keeps beside a frame, back in their places."""
    more = bytearray()
    for row, tci, tpid in tagged:
        start, size = int(offset[row]), int(captured[row])
        frame = data[start : start + size]
        offset[row] = len(data) + len(more)
        more += frame[:12] + struct.pack(">HH", tpid, tci) + frame[12:]
        captured[row] += 4
        sizes[row] += 4
    return data + bytes(more), offset, captured, sizes

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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from remusnet.frames import Bytes, Frames, Int64s
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
_PIECE = 1 << 20
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
        self._next = self._read = 0
        self.written = 0
        """Bytes in the file."""
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
        begin, self._read = self._read, self.written
        data = np.empty(self._read - begin, np.uint8)
        self.copy_file(begin, data)
        return _frames_in(data, 0, len(data))

    def close(self) -> None:
        """The file is gone."""
        self._file.close()

    def copy_file(self, at: int, into: Bytes) -> None:
        """The file's bytes from ``at`` on."""
        left = into.data
        while left and (count := os.preadv(self._file.fileno(), [left[:_PIECE]], at)):
            left, at = left[count:], at + count

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
            room = _room(length)
            if self.written + room > _MOST_BYTES or not self._write(start, length):
                self.missed += length
            else:
                self.written += room
            struct.pack_into("=I", self._ring, start + _BLOCK_STATUS, 0)
            self._next = (self._next + 1) % BLOCKS

    def _write(self, start: int, length: int) -> bool:
        """Whether the disk took a block."""
        with memoryview(self._ring) as view, view[start : start + length] as block:
            try:
                return os.pwrite(self._file.fileno(), block, self.written) == length
            except OSError:
                return False

    def _count_lost(self) -> None:
        with suppress(OSError):
            self.lost += lost_frames(self._socket)


def open_tap(device: str, *, incoming_only: bool = False) -> socket.socket:
    """The socket with its ring on ``device``, in this thread's namespace. Raises OSError."""
    return open_ring(device, BLOCK, BLOCKS, ETH_P_ALL, incoming_only=incoming_only)


def all_frames(taps: Sequence[Tap]) -> list[Tapped]:
    """All frames of each. The bytes of all are one array, so that nobody has to join them."""
    ends = list(accumulate((each.written for each in taps), initial=0))
    data = np.empty(ends[-1], np.uint8)
    for tap, (begin, end) in zip(taps, pairwise(ends), strict=True):
        tap.copy_file(0, data[begin:end])
    return [_frames_in(data, begin, end) for begin, end in pairwise(ends)]


def _frames_in(data: Bytes, begin: int, end: int) -> Tapped:
    """The frames of the ring's blocks that lie in ``data`` from ``begin`` to ``end``, in order."""
    view = data.data
    tables = [np.empty((0, 5), np.int64)]
    tagged: list[tuple[int, int, int]] = []
    before, start = 0, begin
    while start < end:
        _, count, first, length = _BLOCK_HEAD.unpack_from(view, start)
        # A block at a time: a row of Python's own numbers takes six times an array's memory.
        rows: list[tuple[int, int, int, int, bool]] = []
        at = start + first
        for _ in range(count):
            head = _FRAME_HEAD.unpack_from(view, at)
            step, seconds, nanoseconds, captured, size, status, mac, _, _, tci, tpid = head
            if status & _VLAN_VALID:
                row = before + len(rows)
                tagged.append((row, tci, tpid if status & _TPID_VALID else 0x8100))
            time_ns = seconds * 1_000_000_000 + nanoseconds
            outgoing = view[at + _PACKET_TYPE_AT] == _OUTGOING
            rows.append((at + mac, captured, size, time_ns, outgoing))
            at += step
        tables.append(np.array(rows, np.int64).reshape(len(rows), 5))
        before += len(rows)
        start += _room(length)
    offset, captured_sizes, sizes, times, outgoing_ones = np.concatenate(tables).T.copy()
    if tagged:
        data, offset, captured_sizes, sizes = _with_tags(
            data, offset, captured_sizes, sizes, tagged
        )
    frames = Frames(data, offset, captured_sizes, sizes, times)
    return Tapped(frames, outgoing_ones.astype(np.bool_))


def _room(length: int) -> int:
    """What a block of ``length`` bytes takes in the file."""
    return -(-length // _ALIGNED) * _ALIGNED


def _with_tags(
    data: Bytes,
    offset: Int64s,
    captured: Int64s,
    sizes: Int64s,
    tagged: list[tuple[int, int, int]],
) -> tuple[Bytes, Int64s, Int64s, Int64s]:
    """The same with the VLAN tags, which the kernel keeps beside a frame, back in their places."""
    more = bytearray()
    for row, tci, tpid in tagged:
        start, size = int(offset[row]), int(captured[row])
        frame = data[start : start + size].tobytes()
        offset[row] = len(data) + len(more)
        more += frame[:12] + struct.pack(">HH", tpid, tci) + frame[12:]
        captured[row] += 4
        sizes[row] += 4
    return np.concatenate([data, np.frombuffer(more, np.uint8)]), offset, captured, sizes

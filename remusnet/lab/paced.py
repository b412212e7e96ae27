"""Frames that leave a device at their times, without a system call for each: fq(8) keeps the time.

A system call and a sleep cost 100 us a frame in a UML kernel; its timers cost a tenth of that. Each
frame goes to the kernel early, with its time of departure (SO_TXTIME), many in one sendmmsg(2). fq
is exact to the nanosecond where time is virtual; in real time nobody would know how late it was.
Standard library only: numpy takes seconds to import in a UML kernel.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
import subprocess
import time

MOST = 1_000
"""Frames a call."""
_LARGEST = 1 << 11
_QUEUE = "limit 100000 flow_limit 100000 nopacing timer_slack 1ns"
_SO_SNDBUFFORCE, _SO_TXTIME, _SCM_TXTIME, _CLOCK_MONOTONIC = 32, 61, 61, 1
_BUFFER = 1 << 29
"""Bytes: what a plug holds is charged to its sender, which would block."""

# struct iovec, struct mmsghdr, and a control message of one struct cmsghdr and a u64.
_IOVEC, _HEADER, _CONTROL = struct.Struct("=QQ"), struct.Struct("=QIxxxxQQQQixxxxIxxxx"), "=QiiQ"
_TIME, _TIME_AT = struct.Struct("=Q"), 16
_CONTROL_BYTES = struct.calcsize(_CONTROL)

_libc = ctypes.CDLL(None, use_errno=True)


class Paced:
    """A packet socket at ``device``, whose frames leave at times of CLOCK_REALTIME in ns."""

    def __init__(self, device: str) -> None:
        subprocess.run(
            ["tc", "qdisc", "add", "dev", device, "root", "fq", *_QUEUE.split()], check=True
        )
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((device, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_TXTIME, struct.pack("=iI", _CLOCK_MONOTONIC, 0)
        )
        self._behind_ns = time.time_ns() - time.monotonic_ns()
        self._frames: list[bytes] = []
        self._data, self._base = _memory(MOST * _LARGEST)
        self._iovecs, iovecs = _memory(MOST * _IOVEC.size)
        self._controls, controls = _memory(MOST * _CONTROL_BYTES)
        self._headers, self._first = _memory(MOST * _HEADER.size)
        for each in range(MOST):
            at = controls + each * _CONTROL_BYTES
            iovec = iovecs + each * _IOVEC.size
            _HEADER.pack_into(
                self._headers, each * _HEADER.size, 0, 0, iovec, 1, at, _CONTROL_BYTES, 0, 0
            )
            struct.pack_into(
                _CONTROL, self._controls, each * _CONTROL_BYTES, _CONTROL_BYTES,
                socket.SOL_SOCKET, _SCM_TXTIME, 0,
            )  # fmt: skip

    def __len__(self) -> int:
        """How many wait for `flush`."""
        return len(self._frames)

    def add(self, frame: bytes, time_ns: int) -> None:
        """One more, of `MOST`; times never go back."""
        at = len(self._frames) * _CONTROL_BYTES + _TIME_AT
        _TIME.pack_into(self._controls, at, time_ns - self._behind_ns)
        self._frames.append(frame)

    def flush(self) -> None:
        """Give them to the kernel. Raises OSError."""
        frames, self._frames = self._frames, []
        data = b"".join(frames)
        self._data[: len(data)] = data
        at = self._base
        for number, frame in enumerate(frames):
            _IOVEC.pack_into(self._iovecs, number * _IOVEC.size, at, len(frame))
            at += len(frame)
        done = 0
        while done < len(frames):
            first = ctypes.c_void_p(self._first + done * _HEADER.size)
            sent = _libc.sendmmsg(self._socket.fileno(), first, len(frames) - done, 0)
            if sent < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            done += sent


def _memory(size: int) -> tuple[mmap.mmap, int]:
    """So many bytes, and where they are."""
    memory = mmap.mmap(-1, size)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))

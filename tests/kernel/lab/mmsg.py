"""Many frames in one system call: sendmmsg(2) and recvmmsg(2), which Python lacks.

A system call costs 30 microseconds in a UML kernel: so 100,000 frames take a second, not a minute.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

SLOTS = 512  # frames a call
SNAPLEN = 2048  # bytes kept of a received frame: an MTU of 1,500 and all tags

# struct iovec, struct mmsghdr and struct sockaddr_ll of 64-bit Linux.
_IOVEC = np.dtype([("base", "u8"), ("len", "u8")])
_MMSGHDR = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "len"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
_SOCKADDR_LL = np.dtype({"names": ["pkttype"], "formats": ["u1"], "offsets": [10], "itemsize": 20})
# Two control messages, in the order of net/packet/af_packet.c, packet_recvmsg(): SO_TIMESTAMPNS
# (struct timespec), PACKET_AUXDATA (struct tpacket_auxdata). Each follows a struct cmsghdr.
CONTROL = np.dtype(
    {
        "names": ["type1", "seconds", "nanoseconds", "type2", "status", "tci", "tpid"],
        "formats": ["i4", "i8", "i8", "i4", "u4", "u2", "u2"],
        "offsets": [12, 16, 24, 44, 48, 64, 66],
        "itemsize": 72,
    }
)

_libc = ctypes.CDLL(None, use_errno=True)


class Batch:
    """Up to `SLOTS` frames or datagrams, laid out once to be sent many times."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        lengths = np.fromiter(map(len, frames), np.uint64, len(frames))
        self._data = np.frombuffer(b"".join(frames), np.uint8)
        self._iovecs = np.zeros(len(frames), _IOVEC)
        self._iovecs["base"] = self._data.ctypes.data + np.cumsum(lengths) - lengths
        self._iovecs["len"] = lengths
        self._headers = _headers(self._iovecs)

    def send(self, made: socket.socket, deadline: float = 0) -> None:
        """Send each; ``OSError`` for the first that the kernel refuses.

        ENOBUFS says that the receiving side's backlog (net.core.netdev_max_backlog, 1,000 frames)
        was full and the frame dropped: until ``deadline`` (`time.monotonic`) it is sent again once
        the kernel has caught up.
        """
        done = 0
        while done < len(self._headers):
            try:
                done += _call(_libc.sendmmsg, made, self._headers[done:], 0)
            except OSError as error:
                if error.errno != errno.ENOBUFS or time.monotonic() > deadline:
                    raise
                time.sleep(0.001)


def send_all(made: socket.socket, frames: Sequence[bytes]) -> None:
    """Send each frame, however many, as `Batch.send` does within 10 s."""
    deadline = time.monotonic() + 10
    for first in range(0, len(frames), SLOTS):
        Batch(frames[first : first + SLOTS]).send(made, deadline)


class Slots:
    """Buffers to receive into, used again for each call."""

    def __init__(self) -> None:
        self._data = np.zeros((SLOTS, SNAPLEN), np.uint8)
        self._control = np.zeros(SLOTS, CONTROL)
        self._addresses = np.zeros(SLOTS, _SOCKADDR_LL)
        iovecs = np.zeros(SLOTS, _IOVEC)
        iovecs["base"] = _addresses_of(self._data)
        iovecs["len"] = SNAPLEN
        self._iovecs = iovecs
        self._headers = _headers(iovecs)
        self._headers["control"] = _addresses_of(self._control)
        self._headers["name"] = _addresses_of(self._addresses)

    def receive(self, made: socket.socket) -> Iterator[tuple[bytes, int, int, np.void]]:
        """What waits: (frame cut to ``SNAPLEN``, length, packet type, ``CONTROL``) of each."""
        got = SLOTS
        while got == SLOTS:
            got = self.fill(made)
            lengths = self._headers["len"][:got].tolist()
            kinds = self._addresses["pkttype"][:got].tolist()
            for index, (length, kind) in enumerate(zip(lengths, kinds, strict=True)):
                frame = self._data[index, :length].tobytes()
                yield frame, length, kind, self._control[index]

    def fill(self, made: socket.socket) -> int:
        """Receives what waits, at most `SLOTS`, and says how many: not what."""
        # The kernel has overwritten these with the sizes that it used.
        self._headers["controllen"] = CONTROL.itemsize
        self._headers["namelen"] = _SOCKADDR_LL.itemsize
        try:
            flags = socket.MSG_DONTWAIT | socket.MSG_TRUNC
            return _call(_libc.recvmmsg, made, self._headers, flags, None)
        except BlockingIOError:
            return 0


def _headers(iovecs: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    headers = np.zeros(len(iovecs), _MMSGHDR)
    headers["iov"] = _addresses_of(iovecs)
    headers["iovlen"] = 1
    return headers


def _addresses_of(rows: npt.NDArray[np.generic]) -> npt.NDArray[np.uint64]:
    return np.uint64(rows.ctypes.data) + np.arange(len(rows), dtype=np.uint64) * np.uint64(
        rows.strides[0]
    )


def _call(
    function: ctypes._NamedFuncPointer,
    made: socket.socket,
    headers: npt.NDArray[np.void],
    flags: int,
    *more: None,
) -> int:
    """How many messages went; ``OSError`` as the kernel says."""
    pointer = ctypes.c_void_p(headers.ctypes.data)
    done: int = function(made.fileno(), pointer, len(headers), flags, *more)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done

"""Raw frames into a device and out of it, through packet sockets (packet(7)).

A frame carries its number in its source address, so that every frame, however short or damaged, can
be told from all others at the other end, whatever happened in between.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from tests.kernel.lab.mmsg import Batch, Slots, send_all
from tests.kernel.lab.namespace import Namespace
from tests.kernel.lab.wait import wait_until

# linux/if_packet.h and asm-generic/socket.h; the socket module has none of them.
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_AUXDATA = 8
_PACKET_IGNORE_OUTGOING = 23
_PACKET_OUTGOING = 4
_TP_STATUS_VLAN_VALID = 1 << 4
_TP_STATUS_VLAN_TPID_VALID = 1 << 6
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_ETH_P_ALL = 0x0003
_ETH_P_8021Q = 0x8100

_STAMP = b"\x02\xfe"  # locally administered, one receiver: a bridge forwards it


def stamped(frame: bytes, number: int) -> bytes:
    """``frame`` (14 bytes or more) from the source address that says ``number`` (32 bits)."""
    return frame[:6] + _STAMP + number.to_bytes(4, "big") + frame[12:]


def stamp_of(frame: bytes) -> int | None:
    """The number of a frame made by ``stamped``; None for all others, such as the kernel's own."""
    return int.from_bytes(frame[8:12], "big") if frame[6:8] == _STAMP else None


class Captured(NamedTuple):
    """A frame as it was on the wire, with its outermost tag, and the kernel's time of it.

    ``frame`` is cut to 2,048 bytes (the tag not counted); ``length`` is what the wire had.
    """

    frame: bytes
    length: int
    time_ns: int


class Sender:
    """Sends frames out of ``device`` as they are."""

    def __init__(self, namespace: Namespace, device: str) -> None:
        self._socket = _packet_socket(namespace, device, protocol=0)
        # A frame that a plug holds is charged to its sender: with the usual 208 KiB it would block
        # after some hundred held frames.
        _enlarge(self._socket, _SO_SNDBUFFORCE, socket.SO_SNDBUF, 1 << 29)
        # A test that blocks for good would take its kernel along. (settimeout() would not block.)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@qq", 10, 0))

    def charged(self) -> int:
        """Bytes of memory that the kernel has of frames that this sender has sent (SIOCOUTQ)."""
        found = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(found, sys.byteorder)

    def send(self, frames: Iterable[bytes]) -> int:
        """Send each frame; returns how many.

        Raises ``OSError``: EMSGSIZE for a frame above the MTU, EAGAIN if one blocks for 10 s.
        """
        batch = list(frames)
        send_all(self._socket, batch)
        return len(batch)

    def send_batch(self, batch: Batch) -> None:
        """Send what was laid out before; ``OSError`` as `Batch.send` says."""
        batch.send(self._socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()


class Capture:
    """Frames that ``device`` receives from now on, or with ``outgoing`` those that it sends.

    What leaves an IFB (a frame that its plug has released) is outgoing there.
    """

    def __init__(self, namespace: Namespace, device: str, *, outgoing: bool = False) -> None:
        self._outgoing = outgoing
        # Without a protocol it hears nothing; bound, it hears this device only.
        self._socket = _packet_socket(namespace, device, protocol=0)
        _enlarge(self._socket, _SO_RCVBUFFORCE, socket.SO_RCVBUF, 1 << 26)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if not outgoing:
            self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._slots = Slots()
        self._socket.bind((device, _ETH_P_ALL))

    def limit_buffer(self, size: int) -> None:
        """Let the socket keep ``size`` bytes only (the kernel doubles it, for its overhead)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def drain(self) -> list[Captured]:
        """What has come since the last call.

        Raises ``AssertionError`` if the socket's buffer ran over: then nothing may be concluded.
        """
        return [_captured(*each) for each in self._received()]

    def stamps(self) -> list[int]:
        """The numbers of the stamped frames that have come since the last call, in their order."""
        # Before any tag: the stamp is there whether the kernel has moved the tag or not.
        numbers = [stamp_of(frame) for frame, _, _ in self._received()]
        return [number for number in numbers if number is not None]

    def expect(self, count: int, timeout: float = 10) -> list[int]:
        """The numbers of the stamped frames, once there are at least ``count``.

        Raises ``AssertionError`` if they don't come within ``timeout`` seconds.
        """
        numbers: list[int] = []

        def enough() -> bool:
            numbers.extend(self.stamps())
            return len(numbers) >= count

        wait_until(enough, f"{count} frames", timeout)
        return numbers

    def _received(self) -> Iterator[tuple[bytes, int, np.void]]:
        """Frame, length and control message of each; raises as `drain` does, at the end.

        The control message is there until the next one is asked for.
        """
        for frame, length, kind, control in self._slots.receive(self._socket):
            if not self._outgoing or kind == _PACKET_OUTGOING:
                yield frame, length, control
        statistics = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        lost = struct.unpack("=II", statistics)[1]
        assert not lost, f"the capture lost {lost} frames: drain it more often"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()


def _packet_socket(namespace: Namespace, device: str, protocol: int) -> socket.socket:
    with namespace.entered():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, protocol)
    made.bind((device, protocol))
    return made


def _enlarge(made: socket.socket, forced: int, plain: int, size: int) -> None:
    try:
        made.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        # Root of a user namespace only: the kernel cuts it to its own limit.
        made.setsockopt(socket.SOL_SOCKET, plain, size)


def _captured(frame: bytes, length: int, control: np.void) -> Captured:
    """A received frame; the kernel has moved its outermost tag to the control message."""
    time_ns = int(control["seconds"]) * 10**9 + int(control["nanoseconds"])
    status = int(control["status"])
    if status & _TP_STATUS_VLAN_VALID:
        known = status & _TP_STATUS_VLAN_TPID_VALID
        tpid = int(control["tpid"]) if known else _ETH_P_8021Q
        frame = frame[:12] + struct.pack("!HH", tpid, int(control["tci"])) + frame[12:]
        length += 4
    return Captured(frame, length, time_ns)

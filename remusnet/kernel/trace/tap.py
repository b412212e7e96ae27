"""A tap on a device: what comes in, or what goes out of it, with the kernel's times (packet(7)).

A vif's tap sees a frame before the filters at its ingress do. What an IFB sends is what its plug
has released; the kernel does not show it to the vif's tap a second time.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct
from types import TracebackType
from typing import Self

from remusnet.errors import InvalidInput, MissingDependency, NotPermitted, quoted

# linux/if_packet.h, asm-generic/socket.h
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING = 263, 6, 8, 23
_PACKET_OUTGOING, _ETH_P_ALL, _ETH_P_8021Q = 4, 3, 0x8100
_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33
_TP_STATUS_VLAN_VALID, _TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
_AUXDATA = Struct("=IIIHHHH")  # status, length, snapped, mac, net, tci, tpid
_TIMESPEC = Struct("@qq")
_TAG = Struct("!HH")
_STATISTICS = Struct("=II")
_TAG_AT = 12
_LARGEST = 1 << 17  # a GSO frame has up to 64 KiB and its headers
_ANCILLARY = 256
_BUFFER = 1 << 25
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Tapped:
    """A frame with its tags, at ``time_ns`` (Unix epoch)."""

    frame: bytes
    time_ns: int


class DeviceGone(Exception):
    """The device that was listened at is not there any more; says so in words."""


class Tap:
    """Listens at ``device`` in the caller's network namespace; ``outgoing``: to what it sends, else
    to what it receives.

    ``unseen``: frames lost so far because this process read too late. ``has_more``: whether the
    last `drain` may have left some. Raises InvalidInput for a device that is not there,
    NotPermitted, MissingDependency.
    """

    def __init__(self, device: str, *, outgoing: bool = False) -> None:
        self._device = device
        self._outgoing = outgoing
        self.unseen = 0
        self.has_more = False
        try:
            # Without a protocol it hears nothing until it is bound to its device.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise NotPermitted(f"only root may see the frames of {quoted(device)}") from None
        except OSError as error:
            raise MissingDependency(f"no packet sockets: {error.strerror}") from error
        for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
            with suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if not outgoing:
            with suppress(OSError):  # before Linux 4.20 those are read, and left out below
                self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._received = bytearray(_LARGEST)
        try:
            self._index = socket.if_nametoindex(device)
            self._socket.bind((device, _ETH_P_ALL))
        except OSError as error:
            self._socket.close()
            raise InvalidInput(f"no such device: {quoted(device)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Readable where there is something to `drain`."""
        return self._socket.fileno()

    def drain(self, most: int = 10_000) -> list[Tapped]:
        """The frames since the last call, in order: ``most`` of them, the rest with the next.

        Raises DeviceGone.
        """
        found = []
        self.has_more = False
        for _ in range(most):
            try:
                size, ancillary, _, where = self._socket.recvmsg_into(
                    [self._received], _ANCILLARY, socket.MSG_DONTWAIT
                )
            except BlockingIOError:
                break
            except OSError:  # it went down (ENETDOWN, said once), and may come up again
                self._check()
                continue
            if (where[2] == _PACKET_OUTGOING) is self._outgoing:
                found.append(_tapped(bytes(self._received[:size]), ancillary))
        else:
            self.has_more = True
        statistics = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        self.unseen += _STATISTICS.unpack(statistics)[1]
        return found

    def _check(self) -> None:
        try:
            there = socket.if_nametoindex(self._device)
        except OSError:
            there = 0
        if there != self._index:
            raise DeviceGone(f"{self._device} is gone")


def _tapped(frame: bytes, ancillary: list[tuple[int, int, bytes]]) -> Tapped:
    """The kernel has moved the outermost tag, and says it beside the frame."""
    time_ns = 0
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            time_ns = seconds * _NS + nanoseconds
        elif (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = _AUXDATA.unpack(data)
            if status & _TP_STATUS_VLAN_VALID:
                tpid = tpid if status & _TP_STATUS_VLAN_TPID_VALID else _ETH_P_8021Q
                frame = frame[:_TAG_AT] + _TAG.pack(tpid, tci) + frame[_TAG_AT:]
    return Tapped(frame, time_ns)

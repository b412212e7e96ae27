"""UDP sockets: what they hear, when that has arrived, and the sources that they leave unheard."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from remusnet.sip.flows import Endpoint, Flow, Transport
from remusnet.sip.transport import source_filter
from remusnet.sip.transport.floods import Floods, source_of
from remusnet.sip.transport.intake import Intake

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_EXTRA = socket.CMSG_SPACE(_TIMESPEC.size)
# The kernel's default holds some 200 messages: a pause of the server would lose calls.
RECEIVE_BUFFER = 4 * 1024 * 1024
_LARGEST_DATAGRAM = 65535
# So many datagrams have one time of arrival, the first's; so many times that many are read before
# others of the event loop have a turn.
_TOGETHER = 8
_TIMES = 8
_REMEMBERED = 4096
_RESPONSE = b"SIP/2.0 "

OnBytes = Callable[[bytes, Flow], None]


class Datagrams:
    """A UDP socket that is bound: what it hears goes to ``intake``, from there to ``on_bytes``."""

    def __init__(
        self,
        bound: socket.socket,
        on_bytes: OnBytes,
        floods: Floods,
        intake: Intake,
        now: Callable[[], float],
    ) -> None:
        self.socket = bound
        self.local = Endpoint(*bound.getsockname()[:2])
        self._on_bytes = on_bytes
        self._floods = floods
        self._intake = intake
        self._now = now
        self._flows: dict[tuple[str, int], Flow] = {}
        with suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        with suppress(OSError):
            # As root: beyond the limit of /proc/sys/net/core/rmem_max.
            bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        with suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.filter()

    @property
    def buffer(self) -> int:
        """What its buffer holds, in bytes, as it was asked for: the kernel doubles that."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2

    @property
    def dropped(self) -> int:
        """How many datagrams the kernel has dropped: of blocked sources, or for want of room."""
        return source_filter.dropped(self.socket)

    def filter(self) -> None:
        """Let the kernel drop what comes of blocked sources."""
        with suppress(OSError):  # then it is dropped here
            source_filter.drop(self.socket, list(self._floods.blocked))

    def read(self) -> None:
        """Take in what has come."""
        for _ in range(_TIMES):
            if self._intake.full or not self._read_some():
                break
        self._intake.go()

    def _read_some(self) -> bool:
        """Take in some of it; whether there may be more."""
        try:
            data, extra, _flags, source = self.socket.recvmsg(_LARGEST_DATAGRAM, _EXTRA)
        except BlockingIOError:
            return False
        except OSError:
            # An earlier datagram was refused (ICMP): its transaction will time out.
            return True
        arrived = self._now() - _waited(extra)
        counts, blocked = self._floods.datagrams.at(arrived), self._floods.blocked
        for number in range(_TOGETHER):
            if number:
                try:
                    data, source = self.socket.recvfrom(_LARGEST_DATAGRAM)
                except BlockingIOError:
                    return False
                except OSError:
                    continue
            sender = source_of(source[0])
            if sender in blocked:  # it was in the buffer already
                self._intake.dropped += 1
            elif data:
                if data[:8] != _RESPONSE:
                    counts[sender] = counts.get(sender, 0) + 1
                take = partial(self._on_bytes, data, self._flow(source))
                what = (source[1], data)
                self._intake.put(sender, arrived, len(data), take, drop=True, what=what)
        return True

    def close(self) -> None:
        """Hear nothing more."""
        self.socket.close()

    def _flow(self, source: tuple[str, int]) -> Flow:
        key = source[:2]
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= _REMEMBERED:
                self._flows.clear()
            remote = Endpoint(source[0].partition("%")[0], source[1])
            flow = self._flows[key] = Flow(Transport.UDP, self.local, remote)
        return flow


def _waited(extra: list[tuple[int, int, bytes]]) -> float:
    """How long ago a datagram reached the kernel, in seconds."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            # Both by the wall clock, which may be set meanwhile.
            passed: float = time.time() - seconds - nanoseconds / 1e9
            return max(passed, 0.0)
    return 0.0

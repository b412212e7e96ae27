"""UDP sockets: what they hear, how long that has waited, and who is not listened to."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from remusnet.sip.flows import Endpoint, Flow, Transport
from remusnet.sip.transport import source_filter
from remusnet.sip.transport.floods import Floods, source_of

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_EXTRA = socket.CMSG_SPACE(_TIMESPEC.size)
# The kernel's default holds some 200 messages: a pause of the server would lose calls.
RECEIVE_BUFFER = 4 * 1024 * 1024
_LARGEST_DATAGRAM = 65535
# So many datagrams are read before others have a turn.
_AT_ONCE = 8
_REMEMBERED = 4096
_RESPONSE = b"SIP/2.0 "

OnBytes = Callable[[bytes, Flow], None]


class Datagrams:
    """A UDP socket that is bound. ``busy``: whether what was read before is to be handled first."""

    def __init__(
        self,
        bound: socket.socket,
        on_bytes: OnBytes,
        floods: Floods,
        now: Callable[[], float],
        busy: Callable[[], bool],
    ) -> None:
        self.socket = bound
        self.local = Endpoint(*bound.getsockname()[:2])
        self.ignored = 0  # of blocked sources, in the buffer already when they were blocked
        self._on_bytes = on_bytes
        self._floods = floods
        self._now = now
        self._busy = busy
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
        """Pass on some of what has come."""
        if self._busy():
            return  # it waits in the kernel, where it takes no turn from those before it
        try:
            data, extra, _flags, source = self.socket.recvmsg(_LARGEST_DATAGRAM, _EXTRA)
        except OSError:
            # Nothing; or an earlier datagram was refused (ICMP): its transaction will time out.
            return
        waited = _waited(extra)
        arrived = self._now() - waited
        floods = self._floods
        counts, blocked = floods.datagrams.at(arrived), floods.blocked
        # Before this turn's are counted, which have arrived later than its first.
        floods.waited(waited, floods.datagrams, arrived)
        for number in range(_AT_ONCE):
            if number:
                try:
                    data, source = self.socket.recvfrom(_LARGEST_DATAGRAM)
                except BlockingIOError:
                    break
                except OSError:
                    continue
            sender = source_of(source[0])
            if sender in blocked:
                self.ignored += 1
            elif data:
                if data[:8] != _RESPONSE:
                    counts[sender] = counts.get(sender, 0) + 1
                self._on_bytes(data, self._flow(source))

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

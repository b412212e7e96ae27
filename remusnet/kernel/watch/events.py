"""What the kernel tells of qdiscs, filters and devices, as it happens, read by a thread.

A message says which object it is about, how that is now, and which socket asked for the change (the
header's port). A plug that was told something says so too, but not what (sch_plug has no dump).

A listener that reads too late loses messages: the kernel says so once (ENOBUFS), and so does
`Lost`. A listener that gets `Lost` has to look at the kernel anew.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from remusnet.errors import MissingDependency
from remusnet.kernel.state.observe import decode_device, decode_qdisc
from remusnet.kernel.wire.codec import (
    RTM_DELLINK,
    RTM_DELQDISC,
    RTM_DELTFILTER,
    RTM_NEWLINK,
    RTM_NEWQDISC,
    RTM_NEWTFILTER,
    TCMSG,
)
from remusnet.kernel.wire.netlink import messages_in, open_socket
from remusnet.kernel.wire.objects import Device, Qdisc

_RTMGRP_LINK, _RTMGRP_TC = 1, 8  # linux/rtnetlink.h
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_RECEIVE_BUFFER = 1 << 22
_LARGEST = 1 << 16
_MOST_UNREAD = 20_000
"""Events that `Events.wait` has not given yet; with more all are dropped, and `Lost` says so."""


@dataclass(frozen=True, slots=True)
class QdiscEvent:
    """A qdisc was made, told something (``gone``: deleted) by the socket ``port`` at ``at_ns``
    (time.monotonic_ns). ``index``: its device; ``parent``: where it is there.
    """

    at_ns: int
    port: int
    index: int
    parent: int
    qdisc: Qdisc
    gone: bool


@dataclass(frozen=True, slots=True)
class FilterEvent:
    """A filter of the device ``index`` was made or deleted."""

    at_ns: int
    port: int
    index: int


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """A device is as it says now, or is ``gone``."""

    at_ns: int
    device: Device
    gone: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """Events are missing from here on."""

    at_ns: int


Event = QdiscEvent | FilterEvent | LinkEvent | Lost


def by_pyroute2() -> socket.socket:
    """A socket that hears of links, qdiscs and filters, for a process that listens for long."""
    from pyroute2 import IPRoute  # here: its import takes longer than a command

    with IPRoute() as route:
        route.bind(_RTMGRP_LINK | _RTMGRP_TC)
        # Read here and not by IPRoute: 0.9 reads in an event loop of its own, 0.7 in none, and
        # neither tells of messages that are lost before it reads the next.
        return socket.socket(fileno=os.dup(route.fileno()))


def by_hand() -> socket.socket:
    """The same for a moment: pyroute2's import would take longer than the listening."""
    made = socket.socket(fileno=open_socket().detach())
    made.bind((0, _RTMGRP_LINK | _RTMGRP_TC))
    return made


class Events:
    """Listens from the beginning of the context to its end, in the caller's network namespace.

    ``subscribe`` opens the socket. Raises MissingDependency without netlink.
    """

    def __init__(self, subscribe: Callable[[], socket.socket] = by_pyroute2) -> None:
        try:
            self._socket = subscribe()
        except OSError as error:
            raise MissingDependency(f"no netlink: {error.strerror}") from error
        for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
            with suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _RECEIVE_BUFFER)
        self._unread: SimpleQueue[Event | None] = SimpleQueue()
        self._wake_read, self._wake = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._read, name="kernel events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.write(self._wake, b"\0")
        self._thread.join()
        self._socket.close()
        os.close(self._wake)
        os.close(self._wake_read)

    def limit_buffer(self, size: int) -> None:
        """Let the kernel keep ``size`` bytes for us only (it doubles that)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def interrupt(self) -> None:
        """Ends a `wait` at once; a signal handler may call it."""
        self._unread.put(None)

    def wait(self, timeout: float) -> list[Event]:
        """The events, in order, as soon as there are any; none after ``timeout`` seconds, or where
        `interrupt` was called.
        """
        found: list[Event] = []
        try:
            event = self._unread.get(timeout=max(0.0, timeout))
            while event is not None:
                found.append(event)
                event = self._unread.get_nowait()
        except Empty:
            pass
        return found

    def _read(self) -> None:
        poll = select.poll()
        for descriptor in (self._socket.fileno(), self._wake_read):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._wake_read in ready:
                return
            self._take()

    def _take(self) -> None:
        try:
            data = self._socket.recv(_LARGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._unread.put(Lost(time.monotonic_ns()))
            return
        if self._unread.qsize() > _MOST_UNREAD:
            with suppress(Empty):
                while True:
                    self._unread.get_nowait()
            self._unread.put(Lost(time.monotonic_ns()))
        for event in decode(data, time.monotonic_ns()):
            self._unread.put(event)


def decode(data: bytes, at_ns: int) -> Iterator[Event]:
    """The events of a datagram; nothing for messages of other kinds."""
    for kind, _, _, port, body in messages_in(data):
        if kind in (RTM_NEWQDISC, RTM_DELQDISC):
            index, parent, qdisc = decode_qdisc(body)
            yield QdiscEvent(at_ns, port, index, parent, qdisc, kind == RTM_DELQDISC)
        elif kind in (RTM_NEWTFILTER, RTM_DELTFILTER):
            yield FilterEvent(at_ns, port, TCMSG.unpack_from(body)[1])
        elif kind in (RTM_NEWLINK, RTM_DELLINK):
            yield LinkEvent(at_ns, decode_device(body), kind == RTM_DELLINK)

"""The keeper: the process of the userspace plug, which stands in where a kernel has no sch_plug.

What the rules hold, they redirect to a device of the keeper's. It keeps that in the model of
sch_plug (its counters, its limit, its tail drop: `remusnet.emulator.machine.vif.Plug`), and writes
it back at the commit; from there it goes to the uplink, past the rules. A frame that
bypasses never comes here.

At a BUFFER all that has come is read first, so nothing sent before a checkpoint is counted after
it. What is still on its way then belongs to the next epoch: it leaves late, never early.
"""

from __future__ import annotations

import errno
import gc
import mmap
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass
from enum import IntEnum

from remusnet.emulator.machine.vif import Plug
from remusnet.live.ports import HEADER, Port

_BATCH = 512
"""Frames read before an order is looked for."""
_MOST_AT_BUFFER = 50_000
_COUNTS = struct.Struct("=8q")


class Order(IntEnum):
    """What the keeper can be told; the first four are sch_plug's operations."""

    BUFFER = 0
    RELEASE = 1
    RELEASE_ALL = 2
    DROP = 3
    """Held frames are lost, as with a host that dies."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames since the start, but ``backlog`` (bytes held now) and ``waiting`` (frames).

    ``lost``: held frames that went with a failure; ``cpu_ns``: processor time of the keeper.
    """

    held: int = 0
    held_bytes: int = 0
    released: int = 0
    dropped: int = 0
    lost: int = 0
    backlog: int = 0
    waiting: int = 0
    cpu_ns: int = 0


class Board:
    """The keeper's counts, in memory that it shares with the processes that have started it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def read(self) -> Counts:
        """As of the last batch."""
        return Counts(*_COUNTS.unpack_from(self._memory))

    def write(self, *counts: int) -> None:
        """All of `Counts`, in order."""
        _COUNTS.pack_into(self._memory, 0, *counts)


class Keeper:
    """Keeps frames that come from ``port``; takes orders from ``orders``.

    Each order is answered with a time of CLOCK_REALTIME, 8 bytes: for BUFFER, what was sent later
    belongs to the next epoch.
    """

    def __init__(self, port: Port, orders: socket.socket, board: Board, limit: int) -> None:
        self._port = port
        self._orders = orders
        self._board = board
        self._limit = limit
        self._plug: Plug[bytes] = Plug(limit)
        self._plug.release_indefinite()
        self._held = self._held_bytes = self._released = self._dropped = self._lost = 0

    def run(self) -> None:
        """Obeys until ``orders`` is closed. Raises OSError where the device is gone."""
        self._orders.setblocking(False)
        events = select.poll()
        events.register(self._port.descriptor, select.POLLIN)
        events.register(self._orders, select.POLLIN)
        while True:
            events.poll()
            self._take(_BATCH)
            if not self._obey():
                return
            self._send()
            self._tell()

    def _take(self, most: int) -> None:
        """Reads what has come, ``most`` frames of it."""
        read, enqueue = self._port.read, self._plug.enqueue
        for _ in range(most):
            try:
                frame = read()
            except BlockingIOError:
                return
            length = len(frame) - HEADER
            self._held += 1
            self._held_bytes += length
            if not enqueue(frame, length):
                self._dropped += 1

    def _send(self) -> None:
        """Writes what may leave."""
        write = self._port.write
        while (frame := self._plug.dequeue()) is not None:
            try:
                write(frame)
                self._released += 1
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ENOBUFS, errno.ENETDOWN):
                    raise
                self._dropped += 1  # the kernel has no memory for it, or the device is down
            if not self._released % _BATCH:
                # The device's queue must not run over while much is sent.
                self._take(_BATCH)

    def _obey(self) -> bool:
        """Does what the runner orders; false where that has ended."""
        try:
            order = self._orders.recv(1)
        except BlockingIOError:
            return True
        if not order:
            return False
        now = time.time_ns()
        match Order(order[0]):
            case Order.BUFFER:
                self._take(_MOST_AT_BUFFER)
                # Nothing that is sent from here on has been read: it belongs to the next epoch.
                now = time.time_ns()
                self._plug.buffer()
            case Order.RELEASE:
                self._plug.release_one()
            case Order.RELEASE_ALL:
                self._plug.release_indefinite()
            case Order.DROP:
                self._take(_MOST_AT_BUFFER)
                self._lost += len(self._plug)
                self._plug = Plug(self._limit)
                self._plug.release_indefinite()
        self._tell()
        self._orders.send(now.to_bytes(8, "little"))
        return True

    def _tell(self) -> None:
        self._board.write(
            self._held,
            self._held_bytes,
            self._released,
            self._dropped,
            self._lost,
            self._plug.backlog,
            len(self._plug),
            time.process_time_ns(),
        )


def keep(port: Port, orders: socket.socket, board: Board, limit: int) -> int:
    """The whole life of the keeper's process; its exit code: 0 where it was let go."""
    # A terminal's Ctrl-C goes to all; the runner says when the keeper is needed no more.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.freeze()
    gc.disable()  # it makes no cycles, and a pause would make frames late
    try:
        Keeper(port, orders, board, limit).run()
    except OSError:
        return 1  # the device was deleted, or the runner has died
    return 0

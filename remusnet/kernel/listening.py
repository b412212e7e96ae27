"""Listens to what drivers tell a plug, and to when its guest sends: without touching either.

The kernel tells of each change of a qdisc (RTNLGRP_TC), and which socket asked; a packet socket on
each vif tells when frames come from the guest, and of each one byte at most.
"""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from remusnet.errors import InvalidInput, NotPermitted, quoted
from remusnet.frames import Int64s
from remusnet.kernel.plug_status import find_plug, index_of
from remusnet.kernel.state.observe import decode_qdisc
from remusnet.kernel.wire.codec import RTM_NEWQDISC, TC_H_ROOT
from remusnet.kernel.wire.netlink import Netlink, messages_in, open_socket
from remusnet.scenario.observed import Observed, Order

_RTMGRP_TC = 8  # linux/rtnetlink.h
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS, _SO_ATTACH_FILTER = 33, 35, 26  # asm-generic/socket.h
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23  # linux/if_packet.h
_ETH_P_ALL = 3
_BUFFER_BYTES = 1 << 23
_LARGEST = 1 << 16
_CLOSE_NS = 200_000
"""Frames that are closer than that are one burst: no checkpoint is that short."""
_MOST_AT_ONCE = 2000
_TIME = struct.Struct("=qq")
_ONE_BYTE = struct.pack("=HBBI", 0x06, 0, 0, 1)  # BPF_RET 1


@dataclass(frozen=True, slots=True)
class Heard:
    """How far it is: ``orders`` that were heard, and for how long it has listened."""

    orders: int
    elapsed_ns: int


def listen(
    buffer: str,
    vifs: Sequence[str],
    duration_ns: int,
    *,
    pages: Callable[[], int | None] = lambda: None,
    tell: Callable[[Heard], None] = lambda _: None,
) -> tuple[Observed, BaseException | None]:
    """What drivers tell the plug of ``buffer`` in ``duration_ns``, and when ``vifs`` hear the
    guest.

    ``pages`` is asked at each order: how many dirty pages a checkpoint had that has been logged
    since it was asked before. ``tell`` is called about twice a second. Ctrl-C ends it early; then
    the exception is the second. Raises InvalidInput, Conflict, NotPermitted.
    """
    index = index_of(buffer)
    with Netlink() as netlink:
        find_plug(netlink, buffer, index)
    with ExitStack() as stack:
        plug = stack.enter_context(_subscribed())
        guests = [stack.enter_context(_Guest(vif)) for vif in vifs]
        orders: list[Order] = []
        ending = _loop(plug, guests, index, duration_ns, pages, tell, orders)
        missed = sum(each.missed() for each in guests)
        bursts = _together([each.bursts() for each in guests])
    return Observed(tuple(orders), bursts, missed), ending


def _loop(
    plug: socket.socket,
    guests: Sequence[_Guest],
    index: int,
    duration_ns: int,
    pages: Callable[[], int | None],
    tell: Callable[[Heard], None],
    orders: list[Order],
) -> BaseException | None:
    begun = time.monotonic_ns()
    told = begun
    poll = select.poll()
    for number in (plug.fileno(), *(each.fileno() for each in guests)):
        poll.register(number, select.POLLIN)
    lost = False
    try:
        while (left := begun + duration_ns - time.monotonic_ns()) > 0:
            poll.poll(min(left, 500_000_000) // 1_000_000 + 1)
            try:
                lost = _take_orders(plug, index, pages, orders, lost=lost)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
            for guest in guests:
                guest.take()
            now = time.monotonic_ns()
            if now - told > 500_000_000:
                told = now
                tell(Heard(len(orders), now - begun))
    except (KeyboardInterrupt, SystemExit) as ending:
        return ending
    return None


def _take_orders(
    plug: socket.socket,
    index: int,
    pages: Callable[[], int | None],
    orders: list[Order],
    *,
    lost: bool,
) -> bool:
    """All that the kernel has told by now; whether some is lost before what comes next."""
    while True:
        try:
            data = plug.recv(_LARGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return lost
        at_ns = time.time_ns()  # the clock of the frames' stamps
        for port, where, counters in _changes(data):
            if where == index:
                passed, backlog = counters
                orders.append(Order(at_ns, passed, backlog, port, pages(), lost))
                lost = False


def _changes(data: bytes) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """The changes of plugs: the sender's port, the device, frames passed, bytes that wait."""
    for kind, _, _, port, body in messages_in(data):
        if kind == RTM_NEWQDISC:
            index, parent, qdisc = decode_qdisc(body)
            if qdisc.kind == "plug" and parent == TC_H_ROOT:
                yield port, index, (qdisc.counters.packets, qdisc.counters.backlog)


class _Guest:
    """A vif, and when frames came from behind it."""

    def __init__(self, vif: str) -> None:
        index_of(vif)
        try:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise NotPermitted("listening to a vif needs root (CAP_NET_RAW)") from None
        self._socket = made
        try:
            made.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            _enlarge(made)
            program = ctypes.create_string_buffer(_ONE_BYTE)
            where = struct.pack("@HP", 1, ctypes.addressof(program))
            made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, where)
            made.bind((vif, _ETH_P_ALL))
        except OSError as error:
            made.close()
            raise InvalidInput(f"{quoted(vif)}: {error.strerror}") from error
        self._first, self._last = array("q"), array("q")

    def __enter__(self) -> _Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def take(self) -> None:
        """The frames that wait, some at most: the plug's orders should not wait for them."""
        first, last = self._first, self._last
        for _ in range(_MOST_AT_ONCE):
            try:
                _, ancillary, _, _ = self._socket.recvmsg(1, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if not ancillary:
                continue
            seconds, ns = _TIME.unpack(ancillary[0][2][: _TIME.size])
            at_ns = seconds * 1_000_000_000 + ns
            if last and 0 <= at_ns - last[-1] < _CLOSE_NS:
                last[-1] = at_ns
            else:
                first.append(at_ns)
                last.append(at_ns)

    def missed(self) -> int:
        """Frames that found no room."""
        found = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("=II", found)[1])

    def bursts(self) -> Int64s:
        return np.column_stack([np.array(self._first, np.int64), np.array(self._last, np.int64)])


def _together(
    found: Sequence[Int64s],
) -> Int64s:
    """The bursts of several vifs of one guest as one: where they overlap or follow closely."""
    if len(found) == 1:
        return found[0]
    every = np.concatenate(found)
    every = every[np.argsort(every[:, 0], kind="stable")]
    if not len(every):
        return every
    ends = np.maximum.accumulate(every[:, 1])
    begins = np.concatenate([[True], every[1:, 0] - ends[:-1] >= _CLOSE_NS])
    return np.column_stack([every[begins, 0], ends[np.append(begins[1:], True)]])


def _subscribed() -> socket.socket:
    made = socket.socket(fileno=open_socket().detach())
    _enlarge(made)
    made.bind((0, _RTMGRP_TC))
    return made


def _enlarge(made: socket.socket) -> None:
    for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
        try:
            made.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        except PermissionError:
            continue

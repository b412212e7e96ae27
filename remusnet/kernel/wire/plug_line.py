"""The line to one plug: operations go out on it, refusals and news of its device come in.

The kernel has done a message when its send returns. So none asks to be acknowledged: only a refusal
is answered. One receive that finds nothing then says two things at once: the operation was done,
and nothing has purged the plug.

What purges a plug (an IFB set down, a new txqueuelen: dev_deactivate in net/sched/sch_generic.c)
empties its queue, but not its counters of frames, so that the next RELEASE_ONE lets as many frames
of the open epoch go. Its counters can't be read, and frames that have come since hide the gap in
those that can. But the kernel tells all listeners for news of links of each purge, in order.
"""

from __future__ import annotations

import _socket
from array import array
from struct import Struct

from remusnet.errors import KernelRefused, MissingDependency
from remusnet.kernel.wire.codec import (
    HEADER,
    IFF_UP,
    IFINFOMSG,
    LINK,
    NLM_F_ACK,
    NLMSG_HEADER_FLAGS_AT,
    NLMSG_SEQUENCE_AT,
    RTM_NEWLINK,
)
from remusnet.kernel.wire.netlink import NLMSG_ERROR, Answer, open_socket, read_answer

_RTMGRP_LINK = 1  # linux/rtnetlink.h
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# linux/filter.h: load a half-word or a word from a fixed place, compare, return.
_LDH, _LD, _JEQ, _RET = 0x28, 0x20, 0x15, 0x06
_TYPE_AT, _INDEX_AT = 4, HEADER.size + 4
_WHOLE = 0xFFFFFFFF
_INSTRUCTION = Struct("=HBBI")
_PROGRAM = Struct("@HP")
_USHORT, _UINT = Struct("=H"), Struct("=I")
# News of a link has all its attributes: some 1,500 bytes for an IFB.
_LARGEST = 1 << 16

WAS_DOWN = "it was set down"
NEW_QUEUE = "its txqueuelen was changed"


class PlugLine:
    """A socket for the plug of the device ``index``, in the caller's network namespace.

    ``purge``: why the plug was emptied since the last `forget`, empty if nothing has. ``up``:
    whether the device was up by the last news. Raises MissingDependency without netlink.
    """

    def __init__(self, index: int) -> None:
        self.purge = ""
        self.up = True
        self._queue = 0
        self._sequence = 0
        self._received = bytearray(_LARGEST)
        try:
            self._socket = open_socket()
        except OSError as error:
            raise MissingDependency(f"no netlink: {error.strerror}") from error
        _hear_only(self._socket, index)
        self._socket.bind((0, _RTMGRP_LINK))

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor: readable where there is something to `look` at."""
        return self._socket.fileno()

    def expect(self, *, up: bool, queue: int) -> None:
        """Says how the device is now, with its txqueuelen; asked for after the line was opened."""
        self.up, self._queue = up, queue

    def send(self, request: bytearray) -> None:
        """Sends one message; the kernel has done or refused it when this returns.

        Its sequence number and flags are put in place, without a copy. Raises KernelRefused where
        the kernel has no memory for it.
        """
        self._sequence = self._sequence + 1 & 0xFFFFFFFF
        _UINT.pack_into(request, NLMSG_SEQUENCE_AT, self._sequence)
        try:
            self._socket.send(request)
        except OSError as error:
            raise _lost(error) from error

    def look(self) -> Answer | None:
        """Reads all that has come: the refusal of the message sent last, None for done.

        Raises KernelRefused where some of the answers are lost: then it is unknown.
        """
        refusal = None
        while True:
            try:
                size = self._socket.recv_into(self._received, 0, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                return refusal
            except OSError as error:
                raise _lost(error) from error
            refusal = self._take(bytes(self._received[:size])) or refusal

    def forget(self) -> None:
        """Forgets the purges so far: the driver has dealt with them."""
        self.purge = ""

    def _take(self, data: bytes) -> Answer | None:
        _, kind, flags, sequence, _ = HEADER.unpack_from(data)
        if kind == NLMSG_ERROR:
            # A driver that was interrupted between a send and its look finds that refusal here.
            return read_answer(flags, data[HEADER.size :]) if sequence == self._sequence else None
        if kind == RTM_NEWLINK:
            self._hear(data[HEADER.size :])
        return None

    def _hear(self, body: bytes) -> None:
        _, _, _, flags, _ = IFINFOMSG.unpack_from(body)
        self.up = bool(flags & IFF_UP)
        if not self.up:
            self.purge = self.purge or WAS_DOWN
        queue = LINK.decode(body, IFINFOMSG.size).get("queue")
        if queue is not None and queue != self._queue:
            self._queue = queue
            self.purge = self.purge or NEW_QUEUE


def unacknowledged(request: bytes) -> bytearray:
    """``request`` as `PlugLine.send` takes it: only its refusal is answered."""
    made = bytearray(request)
    (flags,) = _USHORT.unpack_from(made, NLMSG_HEADER_FLAGS_AT)
    _USHORT.pack_into(made, NLMSG_HEADER_FLAGS_AT, flags & ~NLM_F_ACK)
    return made


def _hear_only(line: _socket.socket, index: int) -> None:
    """The kernel drops news of other devices, so that they can't fill the line."""
    # The filter sees words in network order.
    kind = int.from_bytes(_USHORT.pack(NLMSG_ERROR), "big")
    device = int.from_bytes(_UINT.pack(index), "big")
    program = (
        (_LDH, 0, 0, _TYPE_AT),
        (_JEQ, 2, 0, kind),
        (_LD, 0, 0, _INDEX_AT),
        (_JEQ, 0, 1, device),
        (_RET, 0, 0, _WHOLE),
        (_RET, 0, 0, 0),
    )
    code = array("B", b"".join(_INSTRUCTION.pack(*each) for each in program))
    address, _ = code.buffer_info()
    line.setsockopt(_socket.SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM.pack(len(program), address))


def _lost(error: OSError) -> KernelRefused:
    return KernelRefused(f"no answer from the kernel: {error.strerror}")

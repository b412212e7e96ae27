"""How the kernel is asked: by its routing netlink, and by bpf(2) where that doesn't tell. Light.

Netlink acknowledges each message. docs/explanation/netlink.md says why pyroute2 isn't used here,
with figures.

From Linux 6.6 on, the kernel asks programs attached by tcx before a device's tc filters; one that
says TCX_PASS lets a frame through that no filter has seen (net/core/dev.c, sch_handle_ingress).
They are no qdiscs and no filters: only bpf(2) tells of them. XDP programs come before them, and
show in the device's own dump.

Layouts: linux/netlink.h, linux/bpf.h (``union bpf_attr`` and ``struct bpf_prog_info``).
"""

from __future__ import annotations

import _socket  # socket imports enum and selectors, which takes longer than most messages
import errno
import os
from _struct import Struct, calcsize  # struct is a file more to read

from remusnet.kernel.wire.codec import HEADER, NLMSG_SEQUENCE_AT, UINT, attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from remusnet.errors import KernelRefused, NotPermitted

NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_DUMP_INTR = 0x10
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_NLMSGERR_ATTR_MSG = 1
_NETLINK_ROUTE, _SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 0, 270, 10, 11
_CAP_NET_ADMIN = 12  # linux/capability.h

_INT = Struct("=i")
_RECEIVE_BUFFER = 1 << 20
# The kernel fills at most 32 KiB of a dump at once (netlink_dump, net/netlink/af_netlink.c).
_LARGEST_DATAGRAM = 1 << 16
_MOST_BYTES_A_SEND = 1 << 16
_DUMP_ATTEMPTS = 5


class Answer:
    """What the kernel said to one message: an errno (0: done), and its own words if it has any."""

    __slots__ = ("error", "text")

    def __init__(self, error: int, text: str = "") -> None:
        self.error = error
        self.text = text


def open_socket() -> _socket.socket:
    """A socket to the kernel's routing netlink, not bound yet. Raises OSError."""
    made = _socket.socket(
        _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, _NETLINK_ROUTE
    )
    # Acknowledgements without a copy of the request, and with the kernel's own words.
    made.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    made.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    made.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return made


class Netlink:
    """One socket to the kernel's routing netlink, in the caller's network namespace.

    A context manager. Raises MissingDependency where the system has no netlink.
    """

    def __init__(self) -> None:
        try:
            self._socket = open_socket()
        except OSError as error:
            from remusnet.errors import MissingDependency  # here, and below: only failures need it

            raise MissingDependency(f"no netlink: {error.strerror}") from error
        self._socket.bind((0, 0))
        self._sequence = 0
        self._received = memoryview(bytearray(_LARGEST_DATAGRAM))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The socket's port: events that its messages make say it as their sender's."""
        return int(self._socket.getsockname()[0])

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def ask(self, messages: Sequence[bytes]) -> list[Answer]:
        """Sends ``messages`` together; an answer for each, in order.

        The kernel goes on after a message that fails: who sends several must be able to bear that.
        """
        answers: list[Answer] = []
        for chunk in _chunks(messages):
            first = self._sequence + 1
            self._sequence += len(chunk)
            out = b"".join(_numbered(each, first + at) for at, each in enumerate(chunk))
            self._socket.send(out)
            waiting = len(chunk)
            while waiting:
                for kind, flags, sequence, payload in self._receive():
                    if kind == NLMSG_ERROR and sequence >= first:
                        answers.append(read_answer(flags, payload))
                        waiting -= 1
        return answers

    def do(self, request: bytes, what: str) -> None:
        """Sends one message. Raises NotPermitted or KernelRefused, naming ``what``."""
        (answer,) = self.ask([request])
        if answer.error:
            raise refusal(answer, what)

    def dump(self, request: bytes) -> list[tuple[int, bytes]]:
        """All objects of a dump: (message type, body) each.

        Raises KernelRefused, or where the kernel's objects change faster than they can be read.
        """
        for _ in range(_DUMP_ATTEMPTS):
            found, interrupted = self._collect(request)
            if not interrupted:
                return found
        from remusnet.errors import KernelRefused

        raise KernelRefused("the kernel's devices change too fast to be read; try again")

    def get(self, request: bytes) -> list[tuple[int, bytes]]:
        """What the kernel answers to one request that is no dump: (message type, body) each.

        Raises KernelRefused or NotPermitted.
        """
        return self._collect(request)[0]

    def find(self, request: bytes) -> bytes | None:
        """The body of the one object that ``request`` asks for; None where there is no such device.

        Raises as `get` does.
        """
        found = self._collect(request, absent=errno.ENODEV)[0]
        return found[0][1] if found else None

    def _collect(self, request: bytes, absent: int = 0) -> tuple[list[tuple[int, bytes]], bool]:
        self._sequence += 1
        mine = self._sequence
        self._socket.send(
            request[:NLMSG_SEQUENCE_AT] + UINT.pack(mine) + request[NLMSG_SEQUENCE_AT + 4 :]
        )
        found: list[tuple[int, bytes]] = []
        interrupted = False
        while True:
            for kind, flags, sequence, payload in self._receive():
                if sequence != mine:
                    continue
                interrupted |= bool(flags & _NLM_F_DUMP_INTR)
                if kind == _NLMSG_DONE:
                    return found, interrupted
                if kind == NLMSG_ERROR:
                    answer = read_answer(flags, payload)
                    if answer.error and answer.error != absent:
                        raise refusal(answer, "read the kernel's devices and filters")
                    return found, interrupted
                found.append((kind, payload))

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        size = self._socket.recv_into(self._received)
        for kind, flags, sequence, _, body in messages_in(bytes(self._received[:size])):
            yield kind, flags, sequence, body


def messages_in(data: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """The messages of a datagram: type, flags, sequence, sender's port and body of each.

    A length that no message can have ends the walk.
    """
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, sequence, port = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, port, data[at + HEADER.size : at + length]
        at += length + (-length % 4)


def _numbered(request: bytes, sequence: int) -> bytes:
    end = NLMSG_SEQUENCE_AT + UINT.size
    return request[:NLMSG_SEQUENCE_AT] + UINT.pack(sequence) + request[end:]


def refusal(answer: Answer, what: str) -> KernelRefused | NotPermitted:
    """The error to raise for an ``answer`` to ``what`` (as in "add the plug on ifb-1.0")."""
    from remusnet.errors import KernelRefused, NotPermitted

    reason = os.strerror(answer.error)
    name = errno.errorcode.get(answer.error, str(answer.error))
    said = f" ({answer.text})" if answer.text else ""
    if answer.error in (errno.EPERM, errno.EACCES):
        return NotPermitted(f"could not {what}: {reason}{said}; run it as root")
    return KernelRefused(f"could not {what}: {reason} [{name}]{said}")


def read_answer(flags: int, payload: bytes) -> Answer:
    """The answer in the payload of an NLMSG_ERROR: errno, and the kernel's words if it has any."""
    error = -_INT.unpack_from(payload)[0]
    text = ""
    if flags & _NLM_F_ACK_TLVS:
        # Behind the errno stands the request's header, or all of the request if it was not capped.
        length = HEADER.unpack_from(payload, _INT.size)[0]
        size = HEADER.size if flags & _NLM_F_CAPPED else length + (-length % 4)
        said = attributes(payload[_INT.size + size :]).get(_NLMSGERR_ATTR_MSG, b"")
        text = said.rstrip(b"\0").decode(errors="replace")
    return Answer(error, text)


def _chunks(messages: Sequence[bytes]) -> Iterator[list[bytes]]:
    """``messages`` in pieces that fit a send, and whose answers fit the receive buffer."""
    chunk: list[bytes] = []
    size = 0
    for each in messages:
        if chunk and size + len(each) > _MOST_BYTES_A_SEND:
            yield chunk
            chunk, size = [], 0
        chunk.append(each)
        size += len(each)
    if chunk:
        yield chunk


def require_rights(what: str) -> None:
    """Raises NotPermitted where the process lacks CAP_NET_ADMIN."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == "CapEff" and not int(value, 16) >> _CAP_NET_ADMIN & 1:
                from remusnet.errors import NotPermitted

                raise NotPermitted(f"only root may {what}: run it with sudo")


_PROG_QUERY, _GET_FD_BY_ID, _INFO_BY_FD = 16, 13, 15
_TCX_INGRESS = 46
_FIRST_WITH_TCX = (6, 6)
_LOOPBACK = 1  # the number of lo in each network namespace
_MOST = 64  # BPF_MPROG_MAX (linux/bpf_mprog.h)
_SYSCALLS = {"x86_64": 321, "ppc64": 361, "ppc64le": 361, "s390x": 351}
_SYSCALL: list[Callable[..., int]] = []
_ELSEWHERE = 280  # asm-generic/unistd.h: aarch64, riscv64, loongarch64

_QUERY = Struct("=IIIIQI4xQQQQ")  # device, type, flags (2), numbers, count; flags, links, revision
_COUNT_AT = 24
_BY_ID = Struct("=III")  # number, next, flags
_ABOUT = Struct("=IIQ")  # descriptor, size, where
_INFO_SIZE, _NAME_AT, _NAME_SIZE = 80, 64, 16


def may_have_tcx(release: str | None = None) -> bool:
    """Whether the running kernel (``release``) is one from which on there is tcx."""
    numbers = (release or os.uname().release).split("-")[0].split(".")
    try:
        return (int(numbers[0]), int(numbers[1])) >= _FIRST_WITH_TCX
    except (ValueError, IndexError):
        return True  # asking does no harm


def tcx_programs(device: int) -> tuple[int, ...] | None:
    """The numbers of the programs at the ingress of the device of that number, the first asked
    first; none where the kernel has no tcx or no such device. None: it does not tell us.
    """
    if not may_have_tcx():
        return ()
    import ctypes

    numbers = (ctypes.c_uint32 * _MOST)()
    where = ctypes.addressof(numbers)
    query = bytearray(_QUERY.pack(device, _TCX_INGRESS, 0, 0, where, _MOST, 0, 0, 0, 0))
    _, number = _bpf(_PROG_QUERY, query)
    if number:
        return () if number in (errno.EINVAL, errno.ENODEV) else None
    (count,) = UINT.unpack_from(query, _COUNT_AT)
    return tuple(numbers[:count])


def tells_of_tcx() -> bool:
    """Whether the kernel would tell us of tcx programs, if there were any."""
    return tcx_programs(_LOOPBACK) is not None


def program_name(number: int) -> str:
    """The name of a program; empty where it has none, is gone, or we may not ask."""
    import ctypes

    descriptor, _ = _bpf(_GET_FD_BY_ID, bytearray(_BY_ID.pack(number, 0, 0)))
    if descriptor < 0:
        return ""
    try:
        info = ctypes.create_string_buffer(_INFO_SIZE)
        about = bytearray(_ABOUT.pack(descriptor, _INFO_SIZE, ctypes.addressof(info)))
        if _bpf(_INFO_BY_FD, about)[1]:
            return ""
        name = info.raw[_NAME_AT : _NAME_AT + _NAME_SIZE].partition(b"\0")[0]
        return name.decode("ascii", errors="replace")
    finally:
        os.close(descriptor)


def _bpf(command: int, attributes: bytearray) -> tuple[int, int]:
    """bpf(2): its result, and an errno, 0 for none. The kernel writes into ``attributes``."""
    import ctypes

    if calcsize("P") != 8:  # another table of system calls, and no Dom0
        return -1, errno.ENOSYS
    if not _SYSCALL:
        # Once: ctypes makes a class for each library that is opened.
        syscall = ctypes.CDLL(None, use_errno=True).syscall
        syscall.restype = ctypes.c_long
        _SYSCALL.append(syscall)
    shared = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    number = _SYSCALLS.get(os.uname().machine, _ELSEWHERE)
    result = _SYSCALL[0](
        ctypes.c_long(number),
        ctypes.c_long(command),
        ctypes.byref(shared),
        ctypes.c_long(len(attributes)),
    )
    return int(result), ctypes.get_errno() if result < 0 else 0

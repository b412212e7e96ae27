"""A whole protection in one go, on a vif that nobody has touched yet. Light.

For Xen's netbuf script, which has to answer before `remusnet.kernel.wire.netlink` is imported: it
takes encoded filters (`remusnet.host.netbuf.ready`) and imports next to nothing. Wherever the
kernel is not as a fresh vif leaves it, this gives up, and `remusnet.kernel.change.apply` does it
the long way.
Tests compare its messages with those of `remusnet.kernel.wire.messages`, byte by byte.
"""

from __future__ import annotations

import _socket  # socket imports enum and selectors, which takes longer than all that is done here
import binascii
import errno
from struct import Struct

from remusnet.kernel.wire.bpf_programs import may_have_tcx, tcx_programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VIF, BUFFER, SINK = "V", "B", "S"
"""In a template: where the numbers of the vif, of the buffer device and of its sink go."""

_NETLINK_ROUTE, _SOL_NETLINK, _NETLINK_CAP_ACK = 0, 270, 10
_REQUEST, _REQUEST_ACK, _REQUEST_DUMP, _CREATE_EXCL = 0x01, 0x05, 0x301, 0x600
_ECHO = 0x08
_ERROR, _DONE = 2, 3
_ANSWER, _DUMP = 4096, 1 << 17
_NEWLINK, _GETLINK, _SETLINK, _NEWQDISC, _GETQDISC, _GETTFILTER = 16, 18, 19, 36, 38, 46
_IFNAME, _TXQLEN, _LINKINFO, _IFALIAS, _AF_SPEC, _TX_QUEUES, _RX_QUEUES = 3, 13, 18, 20, 26, 31, 32
_INFO_KIND, _ADDR_GEN_MODE = 1, 8
_XDP, _XDP_ATTACHED = 43, 2
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
_ROOT, _MIN_INGRESS = 0xFFFFFFFF, 0xFFFFFFF2
_KIND, _OPTIONS = 1, 2
_RELEASE_INDEFINITE, _LIMIT = 2, 3
_UP = 1
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EOPNOTSUPP)

_HEADER = Struct("=IHHII")
_ATTRIBUTE = Struct("=HH")
_LINK = Struct("=BxHiII")
_TC = Struct("=BxxxiIII")
_PLUG = Struct("=iI")
_INT = Struct("=i")
_UINT = Struct("=I")


class GaveUp(Exception):
    """The kernel is not as it should be for this; what has been done so far stays."""


class Kernel:
    """One socket, in the caller's network namespace. All methods raise GaveUp or OSError."""

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        self._socket = _socket.socket(
            _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, _NETLINK_ROUTE
        )
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def do(self, message: bytes, harmless: tuple[int, ...] = ()) -> None:
        """Sends one message and waits for its acknowledgement: no request is two ahead."""
        self._socket.send(message)
        answer = self._socket.recv(_ANSWER)
        _, kind, _, _, _ = _HEADER.unpack_from(answer)
        number = -_INT.unpack_from(answer, _HEADER.size)[0]
        if kind != _ERROR or (number and number not in harmless):
            raise GaveUp(errno.errorcode.get(number, str(number)))

    def get(self, kind: int, body: bytes) -> bytes:
        """The body of one object."""
        # Without the echo the kernel tells of a qdisc only those who listen to all of them.
        request = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ECHO, 0, 0) + body
        self._socket.send(request)
        data = self._socket.recv(_DUMP)
        if _HEADER.unpack_from(data)[1] == _ERROR:
            raise GaveUp
        return data[_HEADER.size :]

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """The bodies of all objects."""
        request = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, 0, 0) + body
        self._socket.send(request)
        found: list[bytes] = []
        while True:
            data = self._socket.recv(_DUMP)
            at = 0
            while at < len(data):
                length, what, _, _, _ = _HEADER.unpack_from(data, at)
                if what == _DONE:
                    return found
                if what == _ERROR or length < _HEADER.size:
                    raise GaveUp
                found.append(data[at + _HEADER.size : at + length])
                at += length + (-length % 4)


def protect(
    vifs: Sequence[str],
    buffer: str,
    sink: str,
    limit: int,
    templates: Sequence[Sequence[bytes | str]],
) -> tuple[list[tuple[str, int, str]], dict[str, int]]:
    """Makes ``buffer`` with a plug of ``limit`` bytes, opens it, and redirects ``vifs`` to it.

    ``sink``: made too, where it is not empty. ``templates``: the messages of one vif, in order.
    Nothing is redirected before the plug is there. Gives the name and number of each device, and
    what it is: ``B``, ``S``, or the `fingerprint` of a vif; and what a receipt notes of the plug
    and its device. Raises GaveUp.
    """
    try:
        kernel = Kernel()
    except OSError as error:
        raise GaveUp from error
    try:
        numbers = [_socket.if_nametoindex(vif) for vif in vifs]
        if any(sees_frames_first(kernel, number) for number in numbers):
            raise GaveUp
        kernel.do(create(buffer))
        index = _socket.if_nametoindex(buffer)
        kernel.do(mark(index, buffer_alias(vifs)))
        kernel.do(quiet(index), _NO_IPV6)
        kernel.do(raise_(index))
        kernel.do(add_plug(index, limit))
        kernel.do(open_plug(index))
        places = {BUFFER: _UINT.pack(index)}
        made = [(buffer, index, BUFFER)]
        if sink:
            number = _make_sink(kernel, sink, sink_alias(vifs))
            places[SINK] = _UINT.pack(number)
            made.append((sink, number, SINK))
        for number in numbers:
            places[VIF] = _UINT.pack(number)
            for template in templates:
                kernel.do(fill(template, places))
        prints = [str(fingerprint(kernel, number)) for number in numbers]
        marks = {"index": index, "handle": _handle(kernel, index), "queue": _queue(kernel, index)}
        return [*made, *zip(vifs, numbers, prints, strict=True)], marks
    except OSError as error:
        raise GaveUp from error
    finally:
        kernel.close()


def _make_sink(kernel: Kernel, sink: str, alias: str) -> int:
    kernel.do(create(sink))
    index = _socket.if_nametoindex(sink)
    kernel.do(mark(index, alias))
    kernel.do(seal_sink(index))
    kernel.do(quiet(index), _NO_IPV6)
    kernel.do(raise_(index))
    return index


def sees_frames_first(kernel: Kernel, vif: int) -> bool:
    """Whether an XDP or tcx program of somebody's may let frames of ``vif`` pass."""
    found = attributes(kernel.get(_GETLINK, _LINK.pack(0, 0, vif, 0, 0)), _LINK.size)
    attached = attributes(found.get(_XDP, b""), 0).get(_XDP_ATTACHED, b"\0")
    return attached != b"\0" or bool(may_have_tcx() and tcx_programs(vif))


def _handle(kernel: Kernel, index: int) -> int:
    """The handle of the root qdisc."""
    body = kernel.get(_GETQDISC, _TC.pack(0, index, 0, _ROOT, 0))
    handle: int = _TC.unpack_from(body)[2]
    return handle


def _queue(kernel: Kernel, index: int) -> int:
    """The txqueuelen of a device."""
    found = attributes(kernel.get(_GETLINK, _LINK.pack(0, 0, index, 0, 0)), _LINK.size)
    length: int = _UINT.unpack_from(found.get(_TXQLEN, bytes(_UINT.size)))[0]
    return length


def fingerprint(kernel: Kernel, vif: int) -> int:
    """What tells the filters of ``vif`` from others: their handles, preferences and protocols."""
    where = _TC.pack(0, vif, 0, _MIN_INGRESS, 0)
    heads = (each[: _TC.size] for each in kernel.dump(_GETTFILTER, where))
    return binascii.crc32(b"".join(heads))


def attributes(data: bytes, at: int) -> dict[int, bytes]:
    """The attributes in ``data`` from ``at`` on, by type."""
    found = {}
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            raise GaveUp
        found[kind & _TYPE_MASK] = data[at + _ATTRIBUTE.size : at + length]
        at += length + (-length % 4)
    return found


def exists(device: str) -> bool:
    """Whether there is such a network device."""
    try:
        return _socket.if_nametoindex(device) > 0
    except OSError:
        return False


def fill(template: Sequence[bytes | str], places: dict[str, bytes]) -> bytes:
    """A template as a message."""
    return b"".join(places[each] if isinstance(each, str) else each for each in template)


def buffer_alias(vifs: Sequence[str]) -> str:
    """As `remusnet.plan.plan.buffer_alias`."""
    return f"remusnet:{','.join(vifs)}"


def sink_alias(vifs: Sequence[str]) -> str:
    """As `remusnet.plan.plan.sink_alias`."""
    return f"remusnet/sink:{','.join(vifs)}"


def create(device: str) -> bytes:
    """As CreateBuffer and CreateSink."""
    body = _LINK.pack(0, 0, 0, 0, 0) + _text(_IFNAME, device)
    body += _attribute(_TX_QUEUES, _UINT.pack(1)) + _attribute(_RX_QUEUES, _UINT.pack(1))
    body += _attribute(_LINKINFO | _NESTED, _text(_INFO_KIND, "ifb"))
    return message(_NEWLINK, _CREATE_EXCL, body)


def mark(index: int, alias: str) -> bytes:
    """As MarkDevice."""
    body = _LINK.pack(0, 0, index, 0, 0) + _attribute(_IFALIAS, alias.encode())
    return message(_SETLINK, 0, body)


def quiet(index: int) -> bytes:
    """As QuietDevice."""
    mode = _attribute(_ADDR_GEN_MODE, b"\1")
    family = _attribute(_socket.AF_INET6 | _NESTED, mode)
    body = _LINK.pack(0, 0, index, 0, 0) + _attribute(_AF_SPEC | _NESTED, family)
    return message(_SETLINK, 0, body)


def raise_(index: int) -> bytes:
    """As RaiseDevice."""
    return message(_NEWLINK, 0, _LINK.pack(0, 0, index, _UP, _UP))


def seal_sink(index: int) -> bytes:
    """As SealSink."""
    where = _TC.pack(0, index, 0, _ROOT, 0)
    return message(
        _NEWQDISC, _CREATE_EXCL, where + _text(_KIND, "pfifo") + _attribute(_OPTIONS, bytes(4))
    )


def add_plug(index: int, limit: int) -> bytes:
    """As AddPlug."""
    return message(_NEWQDISC, _CREATE_EXCL, _plug(index, _LIMIT, limit))


def open_plug(index: int) -> bytes:
    """As OpenPlug."""
    return message(_NEWQDISC, 0, _plug(index, _RELEASE_INDEFINITE, 0))


def _plug(index: int, action: int, limit: int) -> bytes:
    where = _TC.pack(0, index, 0, _ROOT, 0) + _text(_KIND, "plug")
    return where + _attribute(_OPTIONS, _PLUG.pack(action, limit))


def message(kind: int, flags: int, body: bytes) -> bytes:
    """One that the kernel acknowledges."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST_ACK, 0, 0) + body


def _attribute(kind: int, payload: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")

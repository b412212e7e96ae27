"""The end of a protection that `remusnet.kernel.quick` has made and nobody has touched. Light.

As `remusnet.kernel.change.remove` does it: opened first, drained, and only then taken away.
Wherever something is not as it was made, this gives up, and remove does it the long way.
"""

from __future__ import annotations

import _socket  # as in remusnet.kernel.quick
import time
from struct import Struct

from remusnet.kernel.quick import (
    BUFFER,
    SINK,
    GaveUp,
    Kernel,
    attributes,
    buffer_alias,
    fingerprint,
    message,
    open_plug,
    sink_alias,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_GETLINK, _DELLINK, _GETQDISC, _DELQDISC = 18, 17, 38, 37
_ROOT, _INGRESS, _INGRESS_HANDLE = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFF0000
_IFALIAS, _STATS64 = 20, 23
_KIND, _STATS2, _QUEUE = 1, 7, 3

_ATTRIBUTE = Struct("=HH")
_LINK = Struct("=BxHiII")
_TC = Struct("=BxxxiIII")
_UINT = Struct("=I")
# rtnl_link_stats64 (linux/if_link.h): rx_packets, tx_packets, 4 more, rx_dropped.
_COUNTERS = Struct("=7Q")

_LONGEST_SECONDS = 0.2
"""What takes longer to leave is left to `remusnet.kernel.change.drain`, which knows what to say."""
_POLL_SECONDS = 0.0002
# A frame that another processor was just classifying may still come.
_EMPTY_LOOKS = 2


def end(made: Sequence[tuple[str, int, str]]) -> None:
    """Ends it: what is held leaves, then the vifs are as before and the devices of ours are gone.

    ``made``: as `remusnet.kernel.quick.protect` has given it. Raises GaveUp.
    """
    try:
        kernel = Kernel()
    except OSError as error:
        raise GaveUp from error
    try:
        for name, number, _ in made:
            if _socket.if_nametoindex(name) != number:
                raise GaveUp
        vifs = [each for each in made if each[2] not in (BUFFER, SINK)]
        (index,) = [number for _, number, what in made if what == BUFFER]
        sinks = [number for _, number, what in made if what == SINK]
        names = [name for name, _, _ in vifs]
        if _alias(kernel, index) != buffer_alias(names) or _waiting(kernel, index) is None:
            raise GaveUp
        for sink in sinks:
            if _alias(kernel, sink) != sink_alias(names):
                raise GaveUp
            if _root(kernel, sink, b"pfifo\0") is None:
                raise GaveUp
        if any(str(fingerprint(kernel, number)) != print_ for _, number, print_ in vifs):
            raise GaveUp
        # Opened while frames still come through it: none that comes later overtakes a held one.
        kernel.do(open_plug(index))
        _drain(kernel, index)
        for _, number, _ in vifs:
            where = _TC.pack(0, number, _INGRESS_HANDLE, _INGRESS, 0)
            kernel.do(message(_DELQDISC, 0, where + _text(_KIND, "ingress")))
        kernel.do(open_plug(index))
        _drain(kernel, index)
        plug = _TC.pack(0, index, 0, _ROOT, 0) + _text(_KIND, "plug")
        kernel.do(message(_DELQDISC, 0, plug))
        for number in (*sinks, index):
            kernel.do(message(_DELLINK, 0, _LINK.pack(0, 0, number, 0, 0)))
    except OSError as error:
        raise GaveUp from error
    finally:
        kernel.close()


def _drain(kernel: Kernel, index: int) -> None:
    deadline = time.monotonic() + _LONGEST_SECONDS
    empty = 0
    while True:
        empty = 0 if _waiting(kernel, index) or _in_flight(kernel, index) else empty + 1
        if empty == _EMPTY_LOOKS:
            return
        if time.monotonic() > deadline:
            raise GaveUp
        time.sleep(_POLL_SECONDS)


def _waiting(kernel: Kernel, index: int) -> int | None:
    """Packets in the plug at the root of a device; None where its root is no plug."""
    found = _root(kernel, index, b"plug\0")
    if found is None:
        return None
    stats = attributes(found.get(_STATS2, b""), 0)
    packets: int = _UINT.unpack_from(stats.get(_QUEUE, b"\0\0\0\0"))[0]
    return packets


def _root(kernel: Kernel, index: int, kind: bytes) -> dict[int, bytes] | None:
    """The attributes of the root qdisc of a device; None where it is of another kind."""
    for body in kernel.dump(_GETQDISC, _TC.pack(0, index, 0, _ROOT, 0)):
        _, where, _, parent, _ = _TC.unpack_from(body)
        found = attributes(body, _TC.size)
        if (where, parent, found.get(_KIND)) == (index, _ROOT, kind):
            return found
    return None


def _in_flight(kernel: Kernel, index: int) -> int:
    """As `remusnet.kernel.state.observe.in_flight`."""
    counters = _link(kernel, index).get(_STATS64, bytes(_COUNTERS.size))
    received, transmitted, _, _, _, _, dropped = _COUNTERS.unpack_from(counters)
    return int(received - dropped - transmitted)


def _alias(kernel: Kernel, index: int) -> str:
    return _link(kernel, index).get(_IFALIAS, b"").rstrip(b"\0").decode(errors="replace")


def _link(kernel: Kernel, index: int) -> dict[int, bytes]:
    return attributes(kernel.get(_GETLINK, _LINK.pack(0, 0, index, 0, 0)), _LINK.size)


def _text(kind: int, text: str) -> bytes:
    payload = text.encode() + b"\0"
    return (
        _ATTRIBUTE.pack(_ATTRIBUTE.size + len(payload), kind)
        + payload
        + b"\0" * (-len(payload) % 4)
    )

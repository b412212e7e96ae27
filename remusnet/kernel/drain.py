"""Waiting until a plug that was opened has let out all that it held."""

from __future__ import annotations

import time
from collections.abc import Callable

from remusnet.errors import Conflict
from remusnet.kernel.messages import PlugAction, plug_message
from remusnet.kernel.netlink import Netlink
from remusnet.kernel.observe import in_flight, root_qdisc
from remusnet.units import format_size

LONGEST_WAIT = 5.0
_FIRST_POLL, _LONGEST_POLL = 0.0005, 0.02
# A frame that another processor was just classifying may still come.
_EMPTY_LOOKS = 2


def drain(
    netlink: Netlink,
    device: str,
    index: int,
    *,
    longest_wait: float = LONGEST_WAIT,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Waits until the plug of ``device`` is empty and the device has passed everything on.

    It is opened again each time: a BUFFER that came after the first opening would keep frames for
    good. ``check`` is called in between. Raises Conflict after ``longest_wait`` seconds.
    """
    deadline = time.monotonic() + longest_wait
    poll = _FIRST_POLL
    empty = 0
    while empty < _EMPTY_LOOKS:
        root = root_qdisc(netlink, index)
        if root is None or root.kind != "plug":
            return
        empty = 0 if root.counters.qlen or in_flight(netlink, index) else empty + 1
        if time.monotonic() > deadline:
            raise Conflict(
                f"{device} still holds {format_size(root.counters.backlog)} after "
                f"{longest_wait:g} s: something closes its plug again; stop what drives it"
            )
        if root.counters.qlen:
            opening = plug_message(index, PlugAction.RELEASE_INDEFINITE, handle=root.handle)
            netlink.do(opening, f"open {device}")
        check()
        time.sleep(poll)
        poll = min(2 * poll, _LONGEST_POLL)

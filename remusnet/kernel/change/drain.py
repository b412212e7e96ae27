"""Waiting until a plug that was opened has let out all that it held."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from remusnet.errors import Conflict
from remusnet.kernel.state.observe import in_flight, roots
from remusnet.kernel.wire.codec import plug_message
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Netlink
from remusnet.kernel.wire.objects import Qdisc
from remusnet.units import format_size

LONGEST_WAIT = 5.0
_FIRST_POLL, _LONGEST_POLL = 0.0005, 0.02
# A frame that another processor was just classifying may still come.
_EMPTY_LOOKS = 2


def drain(
    netlink: Netlink,
    devices: Mapping[str, int],
    *,
    longest_wait: float = LONGEST_WAIT,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Waits until the plugs of ``devices`` (numbers by name) are empty, and the devices have passed
    everything on. One look is for all of them: the kernel shows all qdiscs or none.

    They are opened again each time: a BUFFER that came after the first opening would keep frames
    for good. ``check`` is called in between. Raises Conflict after ``longest_wait`` seconds.
    """
    deadline = time.monotonic() + longest_wait
    poll = _FIRST_POLL
    empty = dict.fromkeys(devices, 0)
    while empty:
        found = roots(netlink)
        holding = []
        for device in tuple(empty):
            root = found.get(devices[device])
            if root is None or root.kind != "plug":
                del empty[device]
                continue
            if root.counters.qlen:
                holding.append((device, devices[device], root))
            busy = root.counters.qlen or in_flight(netlink, devices[device])
            empty[device] = 0 if busy else empty[device] + 1
            if empty[device] == _EMPTY_LOOKS:
                del empty[device]
        if time.monotonic() > deadline and empty:
            raise _stuck(found, {device: devices[device] for device in empty}, longest_wait)
        for device, index, root in holding:
            opening = plug_message(index, PlugAction.RELEASE_INDEFINITE, handle=root.handle)
            netlink.do(opening, f"open {device}")
        check()
        time.sleep(poll)
        poll = min(2 * poll, _LONGEST_POLL)


def _stuck(found: Mapping[int, Qdisc], devices: Mapping[str, int], waited: float) -> Conflict:
    still = ", ".join(
        f"{device} still holds {format_size(found[index].counters.backlog)}"
        for device, index in devices.items()
    )
    return Conflict(
        f"{still} after {waited:g} s: something closes its plug again; stop what drives it"
    )

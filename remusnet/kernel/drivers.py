"""Whether something drives a plug: then its frames are not ours to release.

A driver of remusnet's own holds a lock (`remusnet.kernel.locks.driver_lock`). Others, Xen's among
them, show only in what they do: a plug that lets some frames go and keeps others is no plug that
was opened or forgotten. One that holds nothing, or releases nothing while it is watched, can't be
told from one that nobody drives; docs/reference/apply.md says so.
"""

from __future__ import annotations

import time
from pathlib import Path

from remusnet.errors import Conflict
from remusnet.kernel.locks import driver_of, last_driver
from remusnet.kernel.netlink import Netlink
from remusnet.kernel.observe import root_qdisc
from remusnet.kernel.plug_record import PlugRecord, record_of
from remusnet.kernel.state import Seen

WATCH_SECONDS = 0.5
_LOOKS = 25


def refuse_driven(netlink: Netlink, seen: Seen, run_dir: Path, buffer: str) -> None:
    """Raises Conflict where something drives the plug of ``buffer``.

    Takes `WATCH_SECONDS` where the plug holds something, else no time.
    """
    if not buffer:
        return
    who = driver_of(run_dir, buffer)
    if who:
        raise Conflict(f"the plug of {buffer} is driven{who}: stop that first, or give --force")
    device, root = seen.devices.get(buffer), seen.root(buffer)
    if device is None or root is None or root.kind != "plug" or not root.counters.qlen:
        return
    if _is_driven(netlink, device.index):
        raise Conflict(
            f"something drives the plug of {buffer}: it lets frames go and holds others "
            "(checkpoints of a guest that is still protected?); stop that first, or give --force"
        )


def stuck(buffer: str, seen: Seen, run_dir: Path) -> tuple[str, ...]:
    """A sentence where a plug holds frames that its last driver has left: it was killed."""
    root = seen.root(buffer)
    if root is None or root.kind != "plug" or not root.counters.qlen:
        return ()
    last = last_driver(run_dir, buffer)
    # Who comes to an end leaves a record.
    if not last or driver_of(run_dir, buffer) or record_of(run_dir, buffer, seen) != PlugRecord():
        return ()
    text = (
        f"{buffer} holds {root.counters.qlen} packets, and process {last} has left it without a "
        "word (killed?): unless something else drives it they stay until "
        f'"remusnet plug {buffer} release-all"'
    )
    return (text,)


def _is_driven(netlink: Netlink, index: int) -> bool:
    released: set[int] = set()
    holding = 0
    for _ in range(_LOOKS):
        root = root_qdisc(netlink, index)
        if root is None:
            return False
        released.add(root.counters.packets)
        holding += root.counters.qlen > 0
        time.sleep(WATCH_SECONDS / _LOOKS)
    # An open plug holds nothing, but for the moment in which a frame goes through it.
    return len(released) > 1 and holding > _LOOKS // 2

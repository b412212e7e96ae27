"""Whether something drives a plug: then its frames are not ours to release.

A driver of remusnet's own holds a lock (`remusnet.kernel.run_dir.locks.driver_lock`). Others, Xen's
among them, show only in what they do: a plug that lets some frames go and keeps others is no plug
that was opened or forgotten. One that holds nothing, or releases nothing while it is watched, can't
be told from one that nobody drives; docs/reference/apply.md says so.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from pathlib import Path

from remusnet.errors import Conflict
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.run_dir.locks import driver_lock_name, driver_of, last_driver
from remusnet.kernel.run_dir.problems import Problems, folder_error
from remusnet.kernel.state.observe import Seen, roots
from remusnet.kernel.state.plug_record import PlugRecord, forget_record, record_of
from remusnet.kernel.wire.netlink import Netlink

WATCH_SECONDS = 0.5
_LOOKS = 25


def refuse_driven(netlink: Netlink, seen: Seen, run_dir: Path, buffers: Iterable[str]) -> None:
    """Raises Conflict where something drives the plug of one of ``buffers``.

    Takes `WATCH_SECONDS` where a plug holds something, for all of them together, else no time.
    """
    watched = []
    for buffer in buffers:
        who = driver_of(run_dir, buffer)
        if who:
            raise Conflict(f"the plug of {buffer} is driven{who}: stop that first, or give --force")
        root = seen.root(buffer)
        if root is not None and root.kind == "plug" and root.counters.qlen:
            watched.append(seen.devices[buffer].index)
    driven = [seen.names[index] for index in _driven(netlink, watched)]
    if driven:
        raise Conflict(
            f"something drives the plug of {', '.join(driven)}: it lets frames go and holds others "
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


def forget_driver(folder: Path, buffer: str, problems: Problems | None = None) -> None:
    """Deletes the lock file and the plug's record of a buffer device that is no more.

    What can't be deleted is among ``problems``, or raises as ``change_lock`` does.
    """
    try:
        with OwnFolder(str(folder)) as opened:
            opened.delete(driver_lock_name(buffer))
    except FileNotFoundError:
        return
    except OSError as error:
        if problems is None:
            raise folder_error(folder, error) from error
        problems.note("could not delete the driver's lock file", folder, error)
    forget_record(folder, buffer, problems)


def _driven(netlink: Netlink, watched: Collection[int]) -> list[int]:
    """Those of the devices ``watched`` whose plugs let some frames go and keep others."""
    released: dict[int, set[int]] = {index: set() for index in watched}
    holding = dict.fromkeys(watched, 0)
    for _ in range(_LOOKS if watched else 0):
        found = roots(netlink)
        for index in watched:
            if index in found:
                released[index].add(found[index].counters.packets)
                holding[index] += found[index].counters.qlen > 0
        time.sleep(WATCH_SECONDS / _LOOKS)
    # An open plug holds nothing, but for the moment in which a frame goes through it.
    return [each for each in watched if len(released[each]) > 1 and holding[each] > _LOOKS // 2]

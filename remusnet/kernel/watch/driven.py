"""Whether something drives a plug: what is driven is not ours to release.

A driver of remusnet's own holds a lock. Others, Xen's among them, show in what they tell the plug:
``remusnet watch`` has heard it, where that runs; else the command listens for a while. Then a
driver whose next checkpoint is further away is not heard; docs/reference/apply.md says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from remusnet.defaults import LONGEST_LISTEN_S
from remusnet.errors import Conflict
from remusnet.kernel.run_dir import driver_of
from remusnet.kernel.state.observe import Seen, roots
from remusnet.kernel.state.receipt import Receipt
from remusnet.kernel.watch.events import Events, by_hand
from remusnet.kernel.watch.record import Watched, watched
from remusnet.kernel.watch.senders import Senders
from remusnet.kernel.wire.netlink import Netlink
from remusnet.results.driving import Activity, Driver

_LEAST_LISTEN_S = 0.5
_BEHIND_S = 0.1
"""The watcher has written down who came before then: `remusnet.kernel.watch.record.FIRST_NS`."""
_LISTEN_INTERVALS = 1.5
"""A checkpoint takes its interval, and what suspend, copy and commit take."""


def refuse_driven(
    netlink: Netlink,
    seen: Seen,
    run_dir: Path,
    buffers: Iterable[str],
    receipts: Mapping[str, Receipt],
    longest_listen: float = LONGEST_LISTEN_S,
) -> None:
    """Raises Conflict where something drives the plug of one of ``buffers``.

    Without a watcher it listens until the first order, for all plugs together: as long as the
    longest interval of ``receipts`` says, half a second at least, ``longest_listen`` at most.
    """
    plugs = {}
    for buffer in buffers:
        who = driver_of(run_dir, buffer)
        if who:
            raise Conflict(f"the plug of {buffer} is driven{who}: stop that first, or give --force")
        root = seen.root(buffer)
        if root is not None and root.kind == "plug":
            plugs[seen.devices[buffer].index] = buffer
    if not plugs:
        return
    ours = [each.interval_ns for each in receipts.values() if each.buffer in plugs.values()]
    listen_s = max(_LEAST_LISTEN_S, _LISTEN_INTERVALS * max(ours, default=0) / 1e9)
    known = watched(run_dir)
    driven = {}
    if known is not None and time.monotonic_ns() - known.since_ns > listen_s * 1e9:
        driven = {each: found for each in plugs.values() if (found := _active(known, each))}
        listen_s = _BEHIND_S
    driven = driven or _listen(netlink, plugs, min(listen_s, longest_listen), known)
    if driven:
        each = "; ".join(f"{buffer}: {_words(drivers[0])}" for buffer, drivers in driven.items())
        raise Conflict(
            f"something drives the plug of {', '.join(driven)} ({each}; checkpoints of a guest "
            "that is still protected?): stop that first, or give --force"
        )


def _active(known: Watched, buffer: str) -> list[Driver]:
    found = known.drivers.get(buffer, ())
    return [each for each in found if each.activity is not Activity.GONE]


def _listen(
    netlink: Netlink, plugs: Mapping[int, str], seconds: float, known: Watched | None
) -> dict[str, list[Driver]]:
    """The senders of orders to ``plugs`` (by their devices' numbers) within ``seconds``."""
    deadline = time.monotonic() + seconds
    with Events(by_hand) as events:
        senders = Senders(roots(netlink))
        while (left := deadline - time.monotonic()) > 0:
            orders = [senders.take(event) for event in events.wait(left)]
            if not any(orders):
                continue
            now_ns = time.monotonic_ns()
            heard = {buffer: _heard(senders, at, now_ns, known) for at, buffer in plugs.items()}
            if any(heard.values()):
                return {buffer: drivers for buffer, drivers in heard.items() if drivers}
    return {}


def _heard(senders: Senders, index: int, now_ns: int, known: Watched | None) -> list[Driver]:
    """The senders heard, without the watcher, which only tells plugs their limits."""
    watcher = None if known is None else known.process
    found = senders.heard(index, now_ns)
    return [each for each in found if watcher is None or each.process != watcher]


def _words(driver: Driver) -> str:
    if driver.period_ns is None:
        return f"{driver} has told it something"
    pace = f"a checkpoint each {driver.period_ns / 1e6:.0f} ms"
    if driver.activity is Activity.DRIVES:
        return f"{driver}, {pace}"
    return f"{driver}, {driver.activity.value} now, {pace} before"

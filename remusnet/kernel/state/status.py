"""status: what is installed, and how much it holds and lets pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from remusnet.kernel.run_dir import driver_of
from remusnet.kernel.state.drift import counts, drift
from remusnet.kernel.state.drivers import record_of, stuck
from remusnet.kernel.state.inventory import Found, inventory
from remusnet.kernel.state.observe import Seen, observe, roots
from remusnet.kernel.state.ownership import holding, no_such_vif
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.wire.netlink import Netlink
from remusnet.kernel.wire.objects import Counters, Qdisc, SeenFilter
from remusnet.results.protection import Status

_WARN_FROM = 0.8
"""Share of the limit: above it the next epoch may not fit, and what does not fit is dropped."""


def status(
    vifs: Sequence[str] = (), *, run_dir: Path, netlink: Netlink | None = None
) -> tuple[tuple[Status, ...], tuple[str, ...]]:
    """The protections of ``vifs`` (none: all), and notes for the user. Changes nothing.

    Raises InvalidInput for a vif that is not there, NotPermitted, or KernelRefused.
    """
    if netlink is None:
        with Netlink() as own:
            return status(vifs, run_dir=run_dir, netlink=own)
    receipts, notes = Receipts(run_dir).read()
    seen = observe(netlink)
    there = inventory(seen, receipts)
    known = {vif for each in there for vif in each.vifs}
    for vif in vifs:
        if vif not in known and vif not in seen.devices:
            raise no_such_vif(vif, seen)
    chosen = [each for each in there if not vifs or set(each.vifs) & set(vifs)]
    # Once more, behind the filters: what came between would count as failed, but not as taken.
    later = roots(netlink)
    return tuple(_status(each, seen, later, run_dir) for each in chosen), notes


def _status(found: Found, seen: Seen, later: Mapping[int, Qdisc], run_dir: Path) -> Status:
    root = seen.root(found.buffer)
    plug = root.counters if root is not None and root.kind == "plug" else None
    holds = tuple(holding(found.vifs, seen))
    behind = None if root is None else later.get(seen.devices[found.buffer].index, root)
    counted = counts(
        found.buffer, found.vifs, found.receipt, seen, behind.counters if behind else None
    )
    waiting = plug or Counters()
    return Status(
        protected=found.protected,
        held=counted.held,
        bypassed=None if plug is None else _bypassed(found, seen, counted.taken),
        backlog=waiting.backlog,
        waiting=waiting.qlen,
        overflowed=waiting.drops,
        refused=counted.refused,
        decouple=_is_copied(found, holds, seen),
        uncopied=_uncopied(holds, later),
        plug=record_of(run_dir, found.buffer, seen).state.value if found.buffer else "unknown",
        driver=driver_of(run_dir, found.buffer) if found.buffer else "",
        warnings=(*_warnings(found, seen, waiting), *stuck(found.buffer, seen, run_dir)),
    )


def _is_copied(found: Found, holds: Sequence[SeenFilter], seen: Seen) -> bool:
    """Whether frames are copied: by the filters; where they went with the vifs, by the receipt."""
    if not any(vif in seen.devices for vif in found.vifs):
        return found.receipt is not None and bool(found.receipt.sink)
    sinks = (seen.names.get(each.sink or 0, "") for each in holds)
    return bool(holds) and all(name in seen.devices and seen.devices[name].up for name in sinks)


def _uncopied(holds: Sequence[SeenFilter], later: Mapping[int, Qdisc]) -> int:
    """What no sink took: what a sealed sink drops counts as failed too, to act_mirred."""
    failed = sum(each.uncopied for each in holds)
    sinks = {each.sink for each in holds if each.sink is not None}
    return max(0, failed - sum(later[at].counters.drops for at in sinks if at in later))


def _bypassed(found: Found, seen: Seen, taken: int) -> int | None:
    """The frames that came in and that no filter took.

    A bypass has no action that counts. A clsact qdisc counts what leaves too, and a qdisc that was
    there before us counts what came before us.
    """
    came = 0
    for vif in found.vifs:
        qdisc = seen.ingress_of(vif)
        shared = found.receipt is None or vif in found.receipt.shared
        if qdisc is None or qdisc.kind != "ingress" or shared:
            return None
        came += qdisc.counters.packets
    return max(0, came - taken)


def _warnings(found: Found, seen: Seen, plug: Counters) -> list[str]:
    warnings = []
    if found.lodges_in:
        owners = ", ".join(found.owners)
        warnings.append(f"sends what is held to {found.lodges_in}, the buffer device of {owners}")
    elif found.receipt is None:
        warnings.append("no receipt: what it is is known by the kernel's marks only")
    else:
        limit = found.receipt.limit
        if plug.backlog >= _WARN_FROM * limit:
            share = 100 * plug.backlog // limit
            warnings.append(
                f"{found.buffer} is {share} % full: what does not fit any more is dropped"
            )
        if gone := [vif for vif in found.vifs if vif not in seen.devices]:
            warnings.append(f"{', '.join(gone)} is gone: what it has sent can't leave any more")
        elif drift(found.receipt, seen):
            warnings.append('not as it was applied: see "remusnet verify"')
    if plug.drops:
        warnings.append(f"{plug.drops} packets were dropped: the plug's limit is too small")
    return warnings

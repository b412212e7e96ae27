"""From what the kernel has to what a plan wants: the operations that are missing.

Where nothing is there they are the plan's own, in its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from remusnet.kernel.change.transition import Transition
from remusnet.kernel.state.drift import Wanted
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.ownership import (
    BANKS,
    is_about,
    is_marked,
    is_shared,
    own_filters,
    sinks_for,
    vifs_of,
)
from remusnet.kernel.state.receipt import Phase, Receipt, has_new_queue
from remusnet.plan.names import buffer_alias, sink_alias
from remusnet.plan.operations import (
    AddFilter,
    AddIngress,
    AddPlug,
    ClearPlug,
    ClosePlug,
    CreateBuffer,
    DeleteSink,
    LowerDevice,
    MarkDevice,
    OpenPlug,
    QuietDevice,
    RaiseDevice,
    SealSink,
    SetLimit,
    sink_operations,
)
from remusnet.plan.plan import Plan, Protection
from remusnet.plan.rows import Operation
from remusnet.policy.verdict import Verdict


def changes(
    plan: Plan,
    seen: Seen,
    receipts: Mapping[str, Receipt],
    limits: Mapping[str, int],
    driven: Iterable[str] = (),
    wanted: Wanted | None = None,
) -> Iterator[Operation]:
    """What turns ``seen`` into ``plan``; nothing where it is that already.

    ``limits``: the plugs' limits in bytes by their buffer devices, as far as they are known.
    ``driven``: buffer devices whose plug somebody drives: it is not opened. ``wanted``: the filters
    of the plan, where they are worked out already. The state has been checked
    (`remusnet.kernel.state.ownership.check`).
    """
    wanted = wanted or Wanted(plan)
    for protection in plan.protections:
        receipt = receipts.get(protection.buffer)
        limit = limits.get(protection.buffer)
        open_it = protection.buffer not in driven and not _was_applied(protection, receipt, seen)
        purged = receipt is not None and has_new_queue(receipt, seen)
        yield from _buffer(plan, protection, seen, limit, open_it=open_it, purged=purged)
        yield from _sink(protection, seen)
        for vif in protection.vifs:
            yield from _vif(wanted, protection, vif, seen, receipt)
        for each in sinks_for(protection.vifs, seen):
            if each.name != protection.sink:
                yield DeleteSink(each.name, each.alias)


def _buffer(
    plan: Plan,
    protection: Protection,
    seen: Seen,
    limit: int | None,
    *,
    open_it: bool,
    purged: bool,
) -> Iterator[Operation]:
    name, alias = protection.buffer, buffer_alias(protection.vifs)
    device, root = seen.devices.get(name), seen.root(name)
    if device is None:
        yield CreateBuffer(name)
        yield MarkDevice(name, alias)
    elif device.alias != alias:
        yield MarkDevice(name, alias, device.alias or None)
    if device is not None and device.up and purged and root is not None:
        yield LowerDevice(name)
    if device is None or not device.up or (purged and root is not None):
        if root is not None:
            yield ClearPlug(name)
            yield ClosePlug(name)
        yield QuietDevice(name)
        yield RaiseDevice(name)
    if root is None:
        yield AddPlug(name, plan.limit)
    elif limit != plan.limit:
        yield SetLimit(name, plan.limit, limit)
    if open_it and not _is_held_already(protection, seen):
        # Never where frames were held before: some driver may think that they still are.
        yield OpenPlug(name)


def _sink(protection: Protection, seen: Seen) -> Iterator[Operation]:
    """It drops what it gets before anything is mirrored to it, whatever it was."""
    if not protection.sink:
        return
    name, alias = protection.sink, sink_alias(protection.vifs)
    device = seen.devices.get(name)
    if device is None:
        yield from sink_operations(name, alias)
        return
    if device.alias != alias:
        yield MarkDevice(name, alias, device.alias or None)
    if seen.root(name) is None:
        yield SealSink(name)
    if not device.up:
        yield QuietDevice(name)
        yield RaiseDevice(name)


def _was_applied(protection: Protection, receipt: Receipt | None, seen: Seen) -> bool:
    """Whether this very plug has held frames of one of these very vifs.

    Then it is not ours to open, though by now no filter sends there: what it holds is held still.
    """
    root = seen.root(protection.buffer)
    if receipt is None or root is None:
        return False
    same_plug = receipt.handle == root.handle if receipt.handle else receipt.phase is Phase.APPLIED
    return same_plug and any(is_about(receipt, vif, seen) for vif in protection.vifs)


def _is_held_already(protection: Protection, seen: Seen) -> bool:
    """Whether the vifs have filters of ours that hold, wherever these send to by now."""
    device = seen.devices.get(protection.buffer)
    before = vifs_of(device) if device is not None else None
    return any(
        each.verdict is Verdict.HOLD and is_marked(each)
        for vif in (*protection.vifs, *(before or ()))
        for each in seen.filters_of(vif)
    )


def _vif(
    wanted: Wanted, protection: Protection, vif: str, seen: Seen, receipt: Receipt | None
) -> Iterator[Operation]:
    if seen.ingress_of(vif) is None:
        yield AddIngress(vif)
        for each in wanted.added(BANKS[0]):
            yield AddFilter(vif, protection.buffer, each, sink=protection.sink)
        return
    shared = is_shared(vif, seen, receipt)
    own = own_filters(vif, seen, receipt)
    yield from Transition(wanted, vif, protection, seen, own, shared).operations()

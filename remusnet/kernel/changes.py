"""From what the kernel has to what a plan wants: the operations that are missing.

Where nothing is there they are the plan's own, in its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from remusnet.kernel.ownership import BANKS, is_marked, is_shared, own_filters, sinks_for, vifs_of
from remusnet.kernel.receipt import Receipt
from remusnet.kernel.state import Seen
from remusnet.kernel.transition import Transition
from remusnet.kernel.wanted import Wanted
from remusnet.plan.operations import (
    AddFilter,
    AddIngress,
    AddPlug,
    CreateBuffer,
    DeleteSink,
    MarkDevice,
    OpenPlug,
    Operation,
    QuietDevice,
    RaiseDevice,
    SealSink,
    SetLimit,
    sink_operations,
)
from remusnet.plan.plan import Plan, Protection, buffer_alias, sink_alias


def changes(
    plan: Plan,
    seen: Seen,
    receipts: Mapping[str, Receipt],
    limits: Mapping[str, int],
    driven: Iterable[str] = (),
) -> Iterator[Operation]:
    """What turns ``seen`` into ``plan``; nothing where it is that already.

    ``limits``: the plugs' limits in bytes by their buffer devices, as far as they are known.
    ``driven``: buffer devices whose plug somebody drives: it is not opened. The state has been
    checked (`remusnet.kernel.ownership.check`).
    """
    wanted = Wanted(plan)
    for protection in plan.protections:
        receipt = receipts.get(protection.buffer)
        limit = limits.get(protection.buffer)
        yield from _buffer(plan, protection, seen, limit, open_it=protection.buffer not in driven)
        yield from _sink(protection, seen)
        for vif in protection.vifs:
            yield from _vif(wanted, protection, vif, seen, receipt)
        for each in sinks_for(protection.vifs, seen):
            if each.name != protection.sink:
                yield DeleteSink(each.name, each.alias)


def _buffer(
    plan: Plan, protection: Protection, seen: Seen, limit: int | None, *, open_it: bool
) -> Iterator[Operation]:
    name, alias = protection.buffer, buffer_alias(protection.vifs)
    device, root = seen.devices.get(name), seen.root(name)
    if device is None:
        yield CreateBuffer(name)
        yield MarkDevice(name, alias)
    elif device.alias != alias:
        yield MarkDevice(name, alias, device.alias or None)
    if device is None or not device.up:
        yield QuietDevice(name)
        yield RaiseDevice(name)
    if root is None:
        yield AddPlug(name, plan.limit)
    elif limit != plan.limit:
        yield SetLimit(name, plan.limit, limit)
    if root is None or (open_it and not _is_redirected_to(name, seen)):
        # Never on a plug that frames are sent to: it may hold what must not leave yet.
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


def _is_redirected_to(buffer: str, seen: Seen) -> bool:
    device = seen.devices[buffer]
    return any(
        each.target == device.index
        for vif in vifs_of(device) or ()
        for each in seen.filters_of(vif)
        if is_marked(each)
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

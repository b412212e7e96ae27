"""One plan and what it takes to do it now: the operations that are missing, and what to say.

Where nothing is there the operations are the plan's own, in its order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from remusnet.kernel.change.transition import Transition
from remusnet.kernel.run_dir import driver_of
from remusnet.kernel.state.drift import Wanted, counts, dropped, wanted_of
from remusnet.kernel.state.drivers import record_of, stuck
from remusnet.kernel.state.observe import Seen, observe, observe_only
from remusnet.kernel.state.ownership import (
    BANKS,
    buffers_by_vif,
    check,
    is_about,
    is_marked,
    is_shared,
    own_filters,
    senders,
    sinks_for,
    vifs_of,
)
from remusnet.kernel.state.receipt import (
    MARKS,
    Phase,
    Receipt,
    Receipts,
    has_new_plug,
    has_new_queue,
    noted,
    receipts_of,
)
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.devices import buffer_alias, sink_alias
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
)
from remusnet.plan.plan import Plan, Protection, sink_operations
from remusnet.plan.rows import Operation
from remusnet.policy.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Order:
    """A plan to be done, all of it or nothing; the rest is for its receipts.

    ``rate``: bits a second; ``interval_ns``: of checkpoints, and ``interval_from``, its source.
    ``driven``: buffer devices whose plugs a process drives, as was seen; ``absent``: vifs of the
    plan that are left alone, for they are not there.
    """

    plan: Plan
    rate: int
    interval_ns: int
    interval_from: str = ""
    driven: Collection[str] = ()
    absent: Collection[str] = ()


@dataclass(slots=True)
class Look:
    """What there was when it was looked at: the kernel, the receipts, and what is known beside.

    ``damaged``: a sentence for each receipt that can't be read. ``limits``: of the plugs, in
    bytes, as far as they are known. ``sending``: the vifs that send to each buffer device.
    """

    seen: Seen
    receipts: Mapping[str, Receipt]
    run_dir: Path
    damaged: tuple[str, ...]
    limits: Mapping[str, int]
    sending: Mapping[str, tuple[str, ...]]
    # The buffer device of each vif by the receipts: made once, as a host has many orders.
    _buffers: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._buffers = buffers_by_vif(self.receipts)

    def check(self, order: Order) -> None:
        """Raises as `remusnet.kernel.state.ownership.check` does."""
        check(order.plan, self.seen, self.receipts, order.absent, self._buffers)


def look_at(netlink: Netlink, run_dir: Path, plans: Sequence[Plan], *, alone: bool = False) -> Look:
    """A look at all that ``plans`` are about. Raises as `observe` and `Receipts.read` do.

    ``alone``: at nothing else, so other vifs that send to their buffer devices are not found.
    """
    vifs = {vif for plan in plans for vif in plan.vifs}
    buffers = {each.buffer for plan in plans for each in plan.protections}
    seen = look_now(netlink, plans, alone=alone)
    receipts, damaged = Receipts(run_dir).read()
    sending = senders(seen)
    there = not alone and not buffers.isdisjoint(seen.devices)
    others = {name for name, each in seen.devices.items() if each.index in seen.ingress} - vifs
    if there and others:
        for buffer, names in senders(observe(netlink, sorted(others))).items():
            sending[buffer] = (*sending.get(buffer, ()), *names)
    mine = {buffer: receipts[buffer] for buffer in buffers & receipts.keys()}
    return Look(seen, receipts, run_dir, damaged, limits_of(run_dir, seen, mine), sending)


def look_now(netlink: Netlink, plans: Sequence[Plan], *, alone: bool) -> Seen:
    """The kernel now, with the filters of the plans' vifs; ``alone``: as of `look_at`."""
    vifs = [vif for plan in plans for vif in plan.vifs]
    if not alone:
        return observe(netlink, vifs)
    protections = [each for plan in plans for each in plan.protections]
    others = {name for each in protections for name in (each.buffer, each.sink) if name}
    return observe_only(netlink, vifs, others)


@dataclass(frozen=True, slots=True)
class Step:
    """What an order comes to: ``operations`` that are missing, the ``receipts`` that there will be,
    and ``notes`` for the user.
    """

    order: Order
    operations: tuple[Operation, ...]
    receipts: tuple[Receipt, ...]
    notes: tuple[str, ...]

    @property
    def buffers(self) -> tuple[str, ...]:
        """The buffer devices of its protections."""
        return tuple(each.buffer for each in self.order.plan.protections)


def step_of(order: Order, look: Look) -> Step:
    """The step from what ``look`` has seen to ``order``.

    Raises Conflict where it would touch what is not ours, InvalidInput where a vif is not there.
    """
    plan, seen, before = order.plan, look.seen, look.receipts
    look.check(order)
    driven = [
        each.buffer
        for each in plan.protections
        if each.buffer in order.driven or driver_of(look.run_dir, each.buffer)
    ]
    missing = tuple(changes(plan, seen, before, look.limits, driven, order.absent))
    after = receipts_of(
        plan,
        rate=order.rate,
        interval_ns=order.interval_ns,
        shared=_shared(plan, seen, before),
        indexes=_indexes(order, seen, before),
        interval_from=order.interval_from,
    )
    notes = [*_lodgers(plan, look.sending)]
    notes += [*_replaced(after, seen, before, driven), *_closed(missing)]
    for each in plan.protections:
        if seen.root(each.buffer) is not None:
            notes += stuck(each.buffer, seen, look.run_dir)
    return Step(order, missing, after, tuple(notes))


def intents(step: Step, look: Look) -> Iterator[Receipt]:
    """The receipts of ``step`` before it is done, with what the ones before have noted of the
    kernel: a command that finds them after a kill knows which plug holds.
    """
    for each in step.receipts:
        old = look.receipts.get(each.buffer)
        yield each if old is None else replace(each, **{m: getattr(old, m) for m in MARKS})


def _indexes(order: Order, seen: Seen, before: Mapping[str, Receipt]) -> dict[str, int] | None:
    """The numbers of the vifs, of absent ones those that they had; None where one is unknown."""
    found = {}
    for each in order.plan.protections:
        old = before.get(each.buffer)
        for vif in each.vifs:
            if vif not in order.absent:
                found[vif] = seen.devices[vif].index
            elif old is not None and (index := old.index_of(vif)):
                found[vif] = index
            else:
                return None
    return found


def completed(step: Step, look: Look, now: Seen) -> tuple[Receipt, ...]:
    """The receipts of ``step`` with what is there ``now``, and what was counted before it."""
    operations, then = step.operations, look.seen
    refiltered = {each.buffer for each in operations if isinstance(each, AddFilter)}
    told = {each.device for each in operations if isinstance(each, AddPlug | SetLimit)}
    anew = {each.device for each in operations if isinstance(each, AddIngress)}
    found = []
    for each in step.receipts:
        old = look.receipts.get(each.buffer)
        counted = None
        if each.buffer in refiltered:
            vifs = [vif for vif in each.vifs if vif not in anew]
            so_far = counts(each.buffer, vifs, old, then)
            counted = (so_far.taken, so_far.refused) if vifs else (0, 0)
        told_now = each.buffer in told
        found.append(noted(each, now, before=old, refiltered=counted, told=told_now))
    return tuple(found)


def _lodgers(plan: Plan, sending: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """A sentence for each vif that sends to a buffer device of the plan and is none of its own."""
    for each in plan.protections:
        vifs = [vif for vif in sending.get(each.buffer, ()) if vif not in plan.vifs]
        if vifs:
            yield (
                f"{', '.join(vifs)} {'sends' if len(vifs) == 1 else 'send'} what is held to "
                f'{each.buffer} too (a vif that was renamed?): "remusnet remove {" ".join(vifs)}" '
                "ends that"
            )


def _replaced(
    receipts: Sequence[Receipt], seen: Seen, before: Mapping[str, Receipt], driven: Sequence[str]
) -> Iterator[str]:
    """A sentence for each plug that another program has made in the place of ours."""
    for each in receipts:
        old = before.get(each.buffer)
        if old is not None and has_new_plug(old, seen) and each.buffer not in driven:
            yield (
                f"somebody has replaced the plug of {each.buffer}: what drove it can't drive this "
                f'one; where it stays closed, "remusnet plug {each.buffer} release-all" opens it'
            )


def _closed(operations: Sequence[Operation]) -> Iterator[str]:
    """A sentence for each plug that was made or cleared, and that nothing has opened since."""
    opened = {each.device for each in operations if type(each) is OpenPlug}
    for each in operations:
        if not isinstance(each, AddPlug | ClosePlug) or each.device in opened:
            continue
        if isinstance(each, AddPlug):
            what = "has a new plug, which is closed; what drove the old one can't drive it"
        else:
            what = "has lost what it held; its plug is closed until the next release"
        yield (
            f"{each.device} {what}: where nothing drives it, "
            f'"remusnet plug {each.device} release-all" opens it'
        )


def limits_of(run_dir: Path, seen: Seen, receipts: Mapping[str, Receipt]) -> dict[str, int]:
    """What the plugs were told last: by a driver, or else by the apply of the receipt.

    A plug that has dropped frames since may have been told another limit, which can't be read.
    """
    limits = {}
    for buffer, receipt in receipts.items():
        known = record_of(run_dir, buffer, seen).limit
        if known is None and not has_new_plug(receipt, seen):
            known = receipt.limit
        if dropped(receipt, seen):
            known = None
        if receipt.phase is Phase.APPLIED and known is not None:
            limits[buffer] = known
    return limits


def _shared(plan: Plan, seen: Seen, receipts: Mapping[str, Receipt]) -> dict[str, bool]:
    return {
        # One that is made anew is ours, whosever the one before was.
        vif: seen.ingress_of(vif) is not None
        and is_shared(vif, seen, receipts.get(protection.buffer))
        for protection in plan.protections
        for vif in protection.vifs
    }


def changes(
    plan: Plan,
    seen: Seen,
    receipts: Mapping[str, Receipt],
    limits: Mapping[str, int],
    driven: Iterable[str] = (),
    absent: Collection[str] = (),
) -> Iterator[Operation]:
    """What turns ``seen`` into ``plan``; nothing where it is that already.

    ``limits``: the plugs' limits in bytes by their buffer devices, as far as they are known.
    ``driven``: buffer devices whose plug a process drives: it is not opened. ``absent``: vifs that
    are left alone. The state has been checked (`remusnet.kernel.state.ownership.check`).
    """
    wanted = wanted_of(plan)
    for protection in plan.protections:
        receipt = receipts.get(protection.buffer)
        limit = limits.get(protection.buffer)
        open_it = protection.buffer not in driven and not _was_applied(protection, receipt, seen)
        purged = receipt is not None and has_new_queue(receipt, seen)
        yield from _buffer(plan, protection, seen, limit, open_it=open_it, purged=purged)
        yield from _sink(protection, seen)
        for vif in protection.vifs:
            if vif in absent:
                continue
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

"""One plan and what it takes to do it now: the operations that are missing, and what to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from remusnet.kernel.change.changes import changes
from remusnet.kernel.run_dir import driver_of
from remusnet.kernel.state.counts import counts, dropped
from remusnet.kernel.state.drift import Wanted
from remusnet.kernel.state.drivers import record_of, stuck
from remusnet.kernel.state.inventory import senders
from remusnet.kernel.state.observe import Seen, observe
from remusnet.kernel.state.ownership import check, is_shared
from remusnet.kernel.state.receipt import (
    MARKS,
    Phase,
    Receipt,
    Receipts,
    has_new_plug,
    noted,
    receipts_of,
)
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.operations import AddFilter, AddIngress, AddPlug, ClosePlug, OpenPlug, SetLimit
from remusnet.plan.plan import Plan
from remusnet.plan.rows import Operation


@dataclass(frozen=True, slots=True)
class Order:
    """A plan to be done, all of it or nothing; the rest is for its receipts.

    ``rate``: bits a second; ``interval_ns``: of checkpoints, and ``interval_from``, who says so.
    """

    plan: Plan
    rate: int
    interval_ns: int
    interval_from: str = ""


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
    _wanted: dict[int, tuple[Plan, Wanted]] = field(default_factory=dict)

    def wanted(self, plan: Plan) -> Wanted:
        """The filters of ``plan``: worked out once for all plans of the same classification."""
        return self._wanted.setdefault(id(plan.classification), (plan, Wanted(plan)))[1]


def look_at(netlink: Netlink, run_dir: Path, plans: Sequence[Plan]) -> Look:
    """A look at all that ``plans`` are about. Raises as `observe` and `Receipts.read` do."""
    vifs = {vif for plan in plans for vif in plan.vifs}
    seen = observe(netlink, vifs)
    receipts, damaged = Receipts(run_dir).read()
    sending = senders(seen)
    there = any(each.buffer in seen.devices for plan in plans for each in plan.protections)
    others = {name for name, each in seen.devices.items() if each.index in seen.ingress} - vifs
    if there and others:
        for buffer, names in senders(observe(netlink, sorted(others))).items():
            sending[buffer] = (*sending.get(buffer, ()), *names)
    limits = limits_of(run_dir, seen, receipts)
    return Look(seen, receipts, run_dir, damaged, limits, sending)


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
        """Of its protections."""
        return tuple(each.buffer for each in self.order.plan.protections)


def step_of(order: Order, look: Look) -> Step:
    """The step from what ``look`` has seen to ``order``.

    Raises Conflict where it would touch what is not ours, InvalidInput where a vif is not there.
    """
    plan, seen, before = order.plan, look.seen, look.receipts
    check(plan, seen, before)
    driven = [p.buffer for p in plan.protections if driver_of(look.run_dir, p.buffer)]
    missing = tuple(changes(plan, seen, before, look.limits, driven, look.wanted(plan)))
    after = receipts_of(
        plan,
        rate=order.rate,
        interval_ns=order.interval_ns,
        shared=_shared(plan, seen, before),
        indexes={vif: seen.devices[vif].index for vif in plan.vifs},
        interval_from=order.interval_from,
    )
    notes = [*_lodgers(plan, look.sending)]
    notes += [*_replaced(after, seen, before, driven), *_closed(missing)]
    for each in plan.protections:
        notes += stuck(each.buffer, seen, look.run_dir)
    return Step(order, missing, after, tuple(notes))


def intents(step: Step, look: Look) -> Iterator[Receipt]:
    """The receipts of ``step`` before it is done, with what the ones before have noted of the
    kernel: whoever finds them after a kill knows which plug holds.
    """
    for each in step.receipts:
        old = look.receipts.get(each.buffer)
        yield each if old is None else replace(each, **{m: getattr(old, m) for m in MARKS})


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
    """A sentence for each plug that somebody has made in the place of ours."""
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

    Those that have dropped frames since may have been told something else: nobody knows.
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
        vif: is_shared(vif, seen, receipts.get(protection.buffer))
        for protection in plan.protections
        for vif in protection.vifs
    }

"""apply: makes the kernel what a plan says, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from remusnet.errors import InvalidInput, KernelRefused, RemusnetError
from remusnet.kernel.change.changes import changes
from remusnet.kernel.change.execute import Executor, interrupts
from remusnet.kernel.run_dir import LONGEST_WAIT, Problems, change_lock, driver_of
from remusnet.kernel.state.counts import counts, dropped
from remusnet.kernel.state.drift import drift
from remusnet.kernel.state.drivers import plug_id, record_of, stuck, write_record
from remusnet.kernel.state.inventory import senders
from remusnet.kernel.state.observe import Seen, observe
from remusnet.kernel.state.ownership import check, is_shared
from remusnet.kernel.state.receipt import (
    Phase,
    Receipt,
    Receipts,
    has_new_plug,
    noted,
    receipts_of,
)
from remusnet.kernel.wire.netlink import Netlink, require_rights
from remusnet.plan.operations import AddFilter, AddIngress, AddPlug, ClosePlug, OpenPlug, SetLimit
from remusnet.plan.plan import Plan
from remusnet.plan.rows import Operation
from remusnet.results.protection import Applied


def apply(
    plan: Plan,
    *,
    rate: int,
    interval_ns: int,
    run_dir: Path,
    interval_from: str = "",
    netlink: Netlink | None = None,
    longest_wait: float = LONGEST_WAIT,
) -> Applied:
    """Makes the kernel what ``plan`` says, and looks whether it is.

    ``rate`` (bits a second), ``interval_ns`` and ``interval_from`` are for the receipt.
    ``netlink``: a socket to use instead of a new one; ``longest_wait``: seconds to wait for
    another remusnet.

    Whatever goes wrong, a signal too, leaves the kernel and the receipts as they were. Raises
    Conflict, InvalidInput, MissingDependency, NotPermitted, KernelRefused or Interrupted.
    """
    require_rights("change network devices")
    if netlink is None:
        with Netlink() as own:
            return apply(
                plan,
                rate=rate,
                interval_ns=interval_ns,
                run_dir=run_dir,
                interval_from=interval_from,
                netlink=own,
                longest_wait=longest_wait,
            )
    with change_lock(run_dir, longest_wait), interrupts() as noted:
        seen = observe(netlink, plan.vifs)
        store = Receipts(run_dir)
        before, damaged = store.read()
        check(plan, seen, before)
        driven = [p.buffer for p in plan.protections if driver_of(run_dir, p.buffer)]
        limits = _limits(run_dir, seen, before)
        missing = tuple(changes(plan, seen, before, limits, driven))
        after = receipts_of(
            plan,
            rate=rate,
            interval_ns=interval_ns,
            shared=_shared(plan, seen, before),
            indexes={vif: seen.devices[vif].index for vif in plan.vifs},
            interval_from=interval_from,
        )
        notes = [*damaged, *_lodgers(netlink, plan, seen)]
        notes += [*_replaced(after, seen, before, driven), *_closed(missing)]
        for each in plan.protections:
            notes += stuck(each.buffer, seen, run_dir)
        if not missing:
            after = _noted(after, seen, before, missing, seen)
            store.write((each for each in after if before.get(each.buffer) != each), Phase.APPLIED)
            return Applied(plan, (), tuple(notes))
        executor = Executor(netlink, seen, noted.check)
        try:
            store.write(after, Phase.APPLYING)
            executor.run(missing)
            noted.check()
            after = _noted(after, seen, before, missing, _verify(netlink, plan, after))
            store.write(after, Phase.APPLIED)
            problems = _note_limit(run_dir, seen, plan)
        except BaseException as error:
            _take_back(executor, store, after, before, error)
            raise
        return Applied(plan, missing, (*notes, *problems))


def _lodgers(netlink: Netlink, plan: Plan, seen: Seen) -> Iterator[str]:
    """A sentence for each vif that sends to a buffer device of the plan and is none of its own."""
    there = {each.buffer for each in plan.protections if each.buffer in seen.devices}
    others = {name for name, each in seen.devices.items() if each.index in seen.ingress}
    others.difference_update(plan.vifs)
    if not there or not others:
        return
    for buffer, vifs in senders(observe(netlink, sorted(others))).items():
        if buffer in there:
            yield (
                f"{', '.join(vifs)} {'sends' if len(vifs) == 1 else 'send'} what is held to "
                f'{buffer} too (a vif that was renamed?): "remusnet remove {" ".join(vifs)}" '
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


def _noted(
    receipts: Sequence[Receipt],
    then: Seen,
    before: Mapping[str, Receipt],
    operations: Sequence[Operation],
    now: Seen,
) -> tuple[Receipt, ...]:
    """``receipts`` with what is there ``now``, and what was counted ``then``."""
    refiltered = {each.buffer for each in operations if isinstance(each, AddFilter)}
    told = {each.device for each in operations if isinstance(each, AddPlug | SetLimit)}
    anew = {each.device for each in operations if isinstance(each, AddIngress)}
    found = []
    for each in receipts:
        old = before.get(each.buffer)
        counted = None
        if each.buffer in refiltered:
            vifs = [vif for vif in each.vifs if vif not in anew]
            so_far = counts(each.buffer, vifs, old, then)
            counted = (so_far.taken, so_far.refused) if vifs else (0, 0)
        told_now = each.buffer in told
        found.append(noted(each, now, before=old, refiltered=counted, told=told_now))
    return tuple(found)


def _limits(run_dir: Path, seen: Seen, receipts: Mapping[str, Receipt]) -> dict[str, int]:
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


def _note_limit(run_dir: Path, seen: Seen, plan: Plan) -> tuple[str, ...]:
    """Keeps the record of a plug true, where its driver has left one; says what stopped that."""
    problems = Problems()
    for each in plan.protections:
        record = record_of(run_dir, each.buffer, seen)
        root = seen.root(each.buffer)
        if root is not None and record.limit not in (None, plan.limit):
            identity = plug_id(seen.devices[each.buffer].index, root.handle)
            write_record(
                run_dir, each.buffer, identity, replace(record, limit=plan.limit), problems
            )
    return problems.lines


def _shared(plan: Plan, seen: Seen, receipts: Mapping[str, Receipt]) -> dict[str, bool]:
    return {
        vif: is_shared(vif, seen, receipts.get(protection.buffer))
        for protection in plan.protections
        for vif in protection.vifs
    }


def _verify(netlink: Netlink, plan: Plan, receipts: Sequence[Receipt]) -> Seen:
    seen = observe(netlink, plan.vifs)
    found = [each for receipt in receipts for each in drift(receipt, seen)]
    if found:
        more = f" (and {len(found) - 1} more)" if found[1:] else ""
        raise KernelRefused(f"the kernel has not become what was planned: {found[0]}{more}")
    return seen


def _take_back(
    executor: Executor,
    store: Receipts,
    after: Sequence[Receipt],
    before: Mapping[str, Receipt],
    error: BaseException,
) -> None:
    """Undoes what is done. Raises KernelRefused where that fails too: then the intent stays."""
    problems = executor.undo()
    if problems:
        vifs = " ".join(vif for each in after for vif in each.vifs)
        raise KernelRefused(
            f"{error}; and taking it back failed: {'; '.join(problems)}: "
            f'"remusnet verify" shows what is left, "remusnet remove {vifs}" clears it'
        ) from error
    for each in after:
        old = before.get(each.buffer)
        try:
            if old is None:
                store.delete([each.buffer])
            else:
                store.write([old], old.phase)
        except RemusnetError as second:
            raise InvalidInput(
                f"{error}; the kernel is as before, but its receipt is not ({second}): mend that, "
                f'then "remusnet apply" or "remusnet remove {" ".join(each.vifs)}" sets it right'
            ) from error

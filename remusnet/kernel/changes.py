"""From what the kernel has to what a plan wants: the operations that are missing, in a safe order.

Where nothing is there they are the plan's own. Where another policy is there, its filters stay
until those of the plan are complete, in the other of two banks of preferences. At each step a frame
that bypasses is let pass by the old or by the new policy, and none that both hold leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from remusnet.classify.filters import ETH_P_ALL, EVERY_FRAME, LAST_PREF, Filter
from remusnet.kernel.matches import canonical, kind_of
from remusnet.kernel.ownership import BANKS, GUARD_PREF, is_shared, own_filters, vifs_of
from remusnet.kernel.receipt import Receipt
from remusnet.kernel.state import Seen, SeenFilter
from remusnet.plan.operations import (
    COOKIE,
    SHARED_COOKIE,
    AddFilter,
    AddIngress,
    AddPlug,
    CreateBuffer,
    DeleteFilters,
    MarkBuffer,
    OpenPlug,
    Operation,
    QuietBuffer,
    RaiseBuffer,
    SetLimit,
)
from remusnet.plan.plan import Plan, Protection, alias_of
from remusnet.policy.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Wanted:
    """A plan's filters as a vif should have them: in each bank, in the order of asking."""

    plan: Plan

    def filters(self, bank: int, target: int, *, shared: bool) -> tuple[SeenFilter, ...]:
        """As the kernel should show them: ``target`` is the number of the buffer device."""
        cookie = bytes.fromhex(SHARED_COOKIE if shared else COOKIE)
        ordered = sorted(self.plan.filters(bank), key=lambda each: each.pref)
        return tuple(
            SeenFilter(
                kind_of(each.match).name,
                each.pref,
                each.protocol,
                canonical(each),
                each.verdict,
                target if each.verdict is Verdict.HOLD else 0,
                cookie if each.verdict is Verdict.HOLD else b"",
            )
            for each in ordered
        )


def changes(
    plan: Plan, seen: Seen, receipts: Mapping[str, Receipt], driven: Iterable[str] = ()
) -> Iterator[Operation]:
    """What turns ``seen`` into ``plan``; nothing where it is that already.

    ``driven``: buffer devices whose plug somebody drives: it is left as it is. The state has been
    checked (`remusnet.kernel.ownership.check`).
    """
    for protection in plan.protections:
        receipt = receipts.get(protection.buffer)
        yield from _buffer(plan, protection, seen, receipt, open_it=protection.buffer not in driven)
        for vif in protection.vifs:
            yield from _vif(plan, protection, vif, seen, receipt)


def _buffer(
    plan: Plan, protection: Protection, seen: Seen, receipt: Receipt | None, *, open_it: bool
) -> Iterator[Operation]:
    name, alias = protection.buffer, alias_of(protection)
    device, root = seen.devices.get(name), seen.root(name)
    if device is None:
        yield CreateBuffer(name)
        yield MarkBuffer(name, alias)
    elif device.alias != alias:
        yield MarkBuffer(name, alias, device.alias or None)
    if device is None or not device.up:
        yield QuietBuffer(name)
        yield RaiseBuffer(name)
    limit = None if receipt is None else receipt.limit
    if root is None:
        yield AddPlug(name, plan.limit)
    elif limit != plan.limit:
        yield SetLimit(name, plan.limit, limit)
    if root is None or (open_it and not _is_redirected_to(name, seen)):
        # Never on a plug that frames are sent to: it may hold what must not leave yet.
        yield OpenPlug(name)


def _is_redirected_to(buffer: str, seen: Seen) -> bool:
    device = seen.devices[buffer]
    return any(
        each.target == device.index
        for vif in vifs_of(device) or ()
        for each in own_filters(seen.filters_of(vif))
    )


def _vif(
    plan: Plan, protection: Protection, vif: str, seen: Seen, receipt: Receipt | None
) -> Iterator[Operation]:
    if seen.ingress_of(vif) is None:
        yield AddIngress(vif)
        for each in plan.filters():
            yield AddFilter(vif, protection.buffer, each)
        return
    shared = is_shared(vif, seen, receipt)
    own = own_filters(seen.filters_of(vif))
    device = seen.devices.get(protection.buffer)
    target = device.index if device else -1
    banks = {bank: tuple(f for f in own if _bank_of(f) == bank) for bank in BANKS}
    guard = [each for each in own if each.pref == GUARD_PREF]

    def add(bank: int) -> Iterator[Operation]:
        for each in plan.filters(bank):
            yield AddFilter(vif, protection.buffer, each, shared)

    def delete(filters: Iterable[SeenFilter]) -> Iterator[Operation]:
        return _deletions(vif, protection.buffer, filters, shared=shared)

    wanted = Wanted(plan)
    complete = [b for b in BANKS if banks[b] == wanted.filters(b, target, shared=shared)]
    if complete:
        (others,) = (b for b in BANKS if b != complete[0])
        yield from delete(banks[others])
        yield from delete(guard)
    elif not guard and not all(banks.values()):
        free = next(bank for bank in BANKS if not banks[bank])
        (other,) = (bank for bank in BANKS if bank != free)
        yield from add(free)
        yield from delete(banks[other])
    else:
        # Cut short in an update, or changed by hand: nobody knows which of the two can be trusted.
        guarding = AddFilter(vif, protection.buffer, _guard(plan), shared)
        if not guard:
            yield guarding
        for bank in BANKS:
            yield from delete(banks[bank])
        yield from add(BANKS[0])
        yield from delete(guard or [SeenFilter("", GUARD_PREF, guarding.filter.protocol)])


def _bank_of(seen: SeenFilter) -> int:
    return BANKS[1] if seen.pref >= BANKS[1] else BANKS[0] if seen.pref != GUARD_PREF else -1


def _guard(plan: Plan) -> Filter:
    """Holds every frame, in the words of the plan's own classifier where it has such a filter."""
    for each in plan.classification.filters:
        if each.pref == LAST_PREF and each.verdict is Verdict.HOLD:
            return replace(each, pref=GUARD_PREF, comment="hold every frame meanwhile")
    comment = "hold every frame meanwhile"
    return Filter(GUARD_PREF, ETH_P_ALL, EVERY_FRAME, Verdict.HOLD, comment)


def _deletions(
    vif: str, buffer: str, filters: Iterable[SeenFilter], *, shared: bool
) -> Iterator[Operation]:
    """By ascending preference, so that what holds every other frame goes last."""
    by_pref = sorted(filters, key=lambda each: each.pref)
    for (pref, protocol), group in groupby(by_pref, key=lambda each: (each.pref, each.protocol)):
        again = tuple(
            AddFilter(vif, buffer, Filter(pref, protocol, each.match, each.verdict, ""), shared)
            for each in group
            if each.match is not None and each.verdict is not None
        )
        yield DeleteFilters(vif, pref, protocol, shared, again)

"""remove: ends a protection without losing what it holds, or, for a fenced guest, drops that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from remusnet.classify.filters import LAST_PREF
from remusnet.errors import Conflict, RemusnetError
from remusnet.kernel.drivers import refuse_driven
from remusnet.kernel.execute import Executor
from remusnet.kernel.interrupts import Interrupted, interrupts
from remusnet.kernel.inventory import Found, inventory
from remusnet.kernel.locks import LONGEST_WAIT, change_lock, forget_driver
from remusnet.kernel.netlink import Netlink
from remusnet.kernel.observe import observe
from remusnet.kernel.ownership import (
    BANKS,
    GUARD_PREF,
    check_root,
    check_sink,
    foreign_filters,
    is_begun,
    is_shared,
    no_such_vif,
    own_filters,
    sinks_for,
    vifs_of,
)
from remusnet.kernel.receipt import Phase, Receipts
from remusnet.kernel.rights import require_rights
from remusnet.kernel.run_dir import Problems
from remusnet.kernel.state import Seen
from remusnet.plan.names import sink_name
from remusnet.plan.operations import (
    DeleteDevice,
    DeleteFilters,
    DeleteIngress,
    DeletePlug,
    DrainPlug,
    MarkDevice,
    Operation,
    ReleasePlug,
)
from remusnet.plan.outcome import Removed
from remusnet.plan.plan import buffer_alias, sink_alias

_HOLD_EVERY_FRAME = (GUARD_PREF, *(LAST_PREF + bank for bank in BANKS))


@dataclass(frozen=True, slots=True)
class _Ending:
    """A protection, and those of its vifs that end: ``whole`` if none is left."""

    found: Found
    vifs: tuple[str, ...]

    @property
    def rest(self) -> tuple[str, ...]:
        return tuple(vif for vif in self.found.vifs if vif not in self.vifs)


def remove(
    vifs: Sequence[str],
    *,
    run_dir: Path,
    force: bool = False,
    drop: bool = False,
    netlink: Netlink | None = None,
    longest_wait: float = LONGEST_WAIT,
) -> Removed:
    """Ends the protection of ``vifs`` and leaves no trace of it.

    What is held leaves first; with ``drop`` it never does. Works from the kernel's marks where the
    receipt is gone, and from any state that a kill has left. What can't be written in ``run_dir``
    stops nothing, and is among the result's problems. Where the end of one protection fails the
    others end all the same, and the error names all that failed. ``longest_wait``: seconds to wait
    for another remusnet. Raises Conflict while something drives
    the plug (unless ``force``), or where somebody else's things would go too; InvalidInput for a
    vif that is not there and was not protected; NotPermitted, KernelRefused, Interrupted.
    """
    require_rights("change network devices")
    if netlink is None:
        with Netlink() as own:
            return remove(
                vifs,
                run_dir=run_dir,
                force=force,
                drop=drop,
                netlink=own,
                longest_wait=longest_wait,
            )
    problems = Problems()
    with change_lock(run_dir, longest_wait, problems), interrupts() as noted:
        store = Receipts(run_dir, problems)
        receipts, _ = store.read()
        seen = observe(netlink)
        endings = tuple(_endings(vifs, inventory(seen, receipts)))
        gone = {vif for each in endings for vif in each.vifs}
        for vif in vifs:
            if vif not in gone and vif not in seen.devices:
                raise no_such_vif(vif, seen)
        if not force:
            for each in endings:
                refuse_driven(netlink, seen, run_dir, each.found.buffer)
        operations = tuple(tuple(_operations(each, seen, drop=drop)) for each in endings)
        kept = [each.found.receipt for each in endings if each.found.receipt is not None]
        store.write(kept, Phase.REMOVING)
        executor = Executor(netlink, seen, noted.check)
        errors: list[RemusnetError] = []
        for each, wanted in zip(endings, operations, strict=True):
            try:
                executor.run(wanted)
            except Interrupted:
                raise
            except RemusnetError as error:
                errors.append(error)  # the others end all the same
            else:
                _settle([each], store, run_dir, problems)
        if errors:
            raise type(errors[0])("; ".join(dict.fromkeys((*map(str, errors), *problems.lines))))
        return Removed(
            tuple(vif for vif in vifs if vif in gone),
            tuple(vif for vif in vifs if vif not in gone),
            tuple(op for wanted in operations for op in wanted),
            drop,
            problems.lines,
        )


def _endings(vifs: Sequence[str], there: Iterable[Found]) -> Iterator[_Ending]:
    for found in there:
        ending = tuple(vif for vif in found.vifs if vif in vifs)
        if ending:
            yield _Ending(found, ending)


def _settle(endings: Iterable[_Ending], store: Receipts, run_dir: Path, problems: Problems) -> None:
    for each in endings:
        receipt = each.found.receipt
        if each.rest and receipt is not None:
            shared = tuple(vif for vif in receipt.shared if vif in each.rest)
            store.write([replace(receipt, vifs=each.rest, shared=shared)], Phase.APPLIED)
        elif each.found.buffer and not each.rest:
            store.delete([each.found.buffer])
            forget_driver(run_dir, each.found.buffer, problems)


def _operations(ending: _Ending, seen: Seen, *, drop: bool) -> Iterator[Operation]:
    buffer = ending.found.buffer
    ours = _is_ours(ending.found, seen)
    if ours:
        check_root(buffer, seen)
    sinks = _sinks(ending.found, seen)
    for each in sinks:
        check_sink(each, seen)
    filters = [op for vif in ending.vifs for op in _filters(vif, ending.found, seen)]
    if ending.rest:
        if drop:
            raise Conflict(
                f"{buffer} holds frames of {', '.join(ending.rest)} too: name all its vifs"
            )
        yield from filters
        if ours:
            yield MarkDevice(buffer, buffer_alias(ending.rest))
        for each in sinks:
            yield MarkDevice(each, sink_alias(ending.rest))
        return
    has_plug = ours and seen.root(buffer) is not None
    if drop:
        # The device and all that it holds first: until the end, the filters drop what they held.
        if ours:
            yield DeleteDevice(buffer)
        yield from map(DeleteDevice, sinks)
        yield from filters
        return
    if has_plug:
        # Opened while frames still come through it: none that comes later overtakes a held one.
        yield ReleasePlug(buffer)
        yield DrainPlug(buffer)
    yield from filters
    if has_plug:
        # What was on its way into the plug when the filters went.
        yield ReleasePlug(buffer)
        yield DrainPlug(buffer)
        yield DeletePlug(buffer)
    yield from map(DeleteDevice, sinks)
    if ours:
        yield DeleteDevice(buffer)


def _is_ours(found: Found, seen: Seen) -> bool:
    """Whether the buffer device is there, and ours by its mark or by an intent to make it."""
    device = seen.devices.get(found.buffer)
    if device is None:
        return False
    return vifs_of(device) is not None or is_begun(device, found.receipt)


def _sinks(found: Found, seen: Seen) -> tuple[str, ...]:
    """Those that are there, and ours by their marks or by an intent to make one."""
    names = [each.name for each in sinks_for(found.vifs, seen)]
    begun = seen.devices.get(sink_name(found.buffer)) if found.buffer else None
    if begun is not None and is_begun(begun, found.receipt):
        names.append(begun.name)
    return tuple(names)


def _filters(vif: str, found: Found, seen: Seen) -> Iterator[Operation]:
    qdisc = seen.ingress_of(vif)
    if qdisc is None:
        return
    filters = seen.filters_of(vif)
    own, foreign = own_filters(filters), foreign_filters(filters)
    shared = is_shared(vif, seen, found.receipt)
    if not shared and not foreign and (own or found.receipt is not None):
        yield DeleteIngress(vif)
        return
    # Reversed: no bypass is left without what subtracts from it. What holds every frame goes last.
    places = sorted(
        {(each.pref, each.protocol) for each in own},
        key=lambda place: (place[0] in _HOLD_EVERY_FRAME, -place[0]),
    )
    for each in foreign:
        if (each.pref, each.protocol) in places:
            raise Conflict(
                f"{vif} has a {each} among remusnet's that is not remusnet's: delete it first "
                f'("tc filter show dev {vif} ingress" shows them)'
            )
    for pref, protocol in places:
        yield DeleteFilters(vif, pref, protocol, shared)

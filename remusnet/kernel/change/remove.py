"""remove: ends a protection without losing what it holds, or, for a fenced guest, drops that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remusnet.defaults import LONGEST_LISTEN_S
from remusnet.errors import RemusnetError
from remusnet.kernel.change.ending import Ending, endings_of, operations
from remusnet.kernel.change.execute import Executor, Interrupted, interrupts
from remusnet.kernel.journal import DONE, FAILED, record
from remusnet.kernel.run_dir import LONGEST_WAIT, Problems, change_lock
from remusnet.kernel.state.drivers import forget_driver
from remusnet.kernel.state.inventory import Found, inventory, together_with
from remusnet.kernel.state.observe import Seen, observe
from remusnet.kernel.state.ownership import is_about, is_shared, no_such_vif
from remusnet.kernel.state.receipt import Phase, Receipt, Receipts
from remusnet.kernel.wire.netlink import Netlink, require_rights
from remusnet.policy.verdict import Verdict
from remusnet.results.protection import Fate, Removed


def remove(
    vifs: Sequence[str],
    *,
    run_dir: Path,
    force: bool = False,
    drop: bool = False,
    together: bool = False,
    netlink: Netlink | None = None,
    longest_wait: float = LONGEST_WAIT,
    longest_listen: float = LONGEST_LISTEN_S,
) -> Removed:
    """Ends the protection of ``vifs`` and leaves no trace of it.

    What is held leaves first; with ``drop`` it never does. Works from the kernel's marks where the
    receipt is gone, and from any state that a kill has left. ``together``: so does that of all
    other vifs which send to their buffer devices, whatever they are called by now. What can't be
    written in ``run_dir`` stops nothing, and is among the result's problems. Where the end of one
    protection fails the others end all the same, and the error names all that failed.
    ``longest_wait``: seconds to wait for another remusnet; ``longest_listen``: to a plug, for a
    driver (see `refuse_driven`). Raises Conflict while a process drives the plug (unless
    ``force``), or where things that aren't ours would go too; InvalidInput for a vif that is not
    there and was not protected; NotPermitted, KernelRefused, Interrupted.
    """
    require_rights("change network devices")
    if netlink is None:
        with Netlink() as own:
            return remove(
                vifs,
                run_dir=run_dir,
                force=force,
                drop=drop,
                together=together,
                netlink=own,
                longest_wait=longest_wait,
                longest_listen=longest_listen,
            )
    problems = Problems()
    with change_lock(run_dir, longest_wait, problems), interrupts() as noted:
        store = Receipts(run_dir, problems)
        receipts, _ = store.read()
        seen = observe(netlink)
        there = inventory(seen, receipts)
        asked = tuple(dict.fromkeys(_together(vifs, there) if together else vifs))
        endings = endings_of(asked, there, seen)
        gone = {vif for each in endings for vif in each.vifs}
        for vif in asked:
            if vif not in gone and vif not in seen.devices:
                raise no_such_vif(vif, seen)
        if not force:
            # Here: what libxl waits for is forced.
            from remusnet.kernel.watch.driven import refuse_driven

            named = (each.found.buffer or each.found.lodges_in for each in endings)
            buffers = tuple(filter(None, dict.fromkeys(named)))
            refuse_driven(netlink, seen, run_dir, buffers, receipts, longest_listen)
        needed = tuple(operations(endings, seen, drop=drop))
        kept = [each.found.receipt for each in endings if each.found.receipt is not None]
        store.write(kept, Phase.REMOVING)
        failed: dict[Ending, RemusnetError] = {}
        try:
            Executor(netlink, seen, noted.check).run(needed)
        except Interrupted:
            raise
        except RemusnetError as error:
            failed = _one_by_one(netlink, endings, receipts, noted.check, error, drop=drop)
        ended = [each for each in endings if each not in failed]
        left = _left(ended, observe(netlink, gone))
        _settle(ended, left, receipts, store, run_dir, problems)
        for each in endings:
            _told(each, failed.get(each), drop=drop)
        if failed:
            lines = dict.fromkeys((*map(str, failed.values()), *problems.lines))
            raise type(next(iter(failed.values())))("; ".join(lines))
        return Removed(
            vifs=tuple(vif for vif in asked if vif in gone),
            unprotected=tuple(vif for vif in asked if vif not in gone),
            operations=needed,
            dropped=drop,
            fates=_fates(endings, seen),
            left=tuple(each.text for each in left.values()),
            problems=problems.lines,
        )


def _told(ending: Ending, error: RemusnetError | None, *, drop: bool) -> None:
    receipt = ending.found.receipt
    record(
        "remove",
        ending.vifs,
        result=DONE if error is None else FAILED,
        buffers=filter(None, [ending.found.buffer]),
        policy=receipt.policy_name if receipt is not None else "",
        text=str(error or ("what was held was dropped" if drop else "")),
    )


def _one_by_one(
    netlink: Netlink,
    endings: Sequence[Ending],
    receipts: Mapping[str, Receipt],
    check: Callable[[], None],
    first: RemusnetError,
    *,
    drop: bool,
) -> dict[Ending, RemusnetError]:
    """Ends each by itself, after all together have failed; returns the failures."""
    if len(endings) == 1:
        return {endings[0]: first}
    failed: dict[Ending, RemusnetError] = {}
    for each in endings:
        try:
            seen = observe(netlink)
            now = endings_of(each.vifs, inventory(seen, receipts), seen)
            Executor(netlink, seen, check).run(tuple(operations(now, seen, drop=drop)))
        except Interrupted:
            raise
        except RemusnetError as error:
            failed[each] = error
    return failed


def _together(vifs: Iterable[str], there: tuple[Found, ...]) -> Iterator[str]:
    vifs = tuple(vifs)
    yield from vifs
    for each in there:
        if each.buffer and not set(each.vifs).isdisjoint(vifs):
            yield from together_with(each.buffer, there)


def _fates(endings: Iterable[Ending], seen: Seen) -> dict[str, Fate]:
    """What becomes of what was held, by vif, where it is not dropped on purpose."""
    waiting = {each.buffer: each.waiting for each in endings if each.buffer and not each.rest}
    return {vif: _fate(vif, each, waiting, seen) for each in endings for vif in each.vifs}


def _fate(vif: str, ending: Ending, waiting: Mapping[str, int], seen: Seen) -> Fate:
    """``waiting``: packets, by the buffer devices that go.

    A frame that is released goes back to where it came in, by that device's number in the IFB's
    network namespace (drivers/net/ifb.c): it is lost with the device, not with its name.
    """
    receipt, buffer = ending.found.receipt, ending.found.lodges_in or ending.found.buffer
    number = receipt.index_of(vif) if receipt is not None else None
    device = seen.devices.get(vif)
    is_there = number in seen.names if number is not None else device is not None
    if ending.rest or (ending.found.lodges_in and buffer not in waiting):
        return Fate.WAITS
    if is_there:
        return Fate.LEFT
    return Fate.LOST if waiting.get(buffer) else Fate.NOTHING


@dataclass(frozen=True, slots=True)
class _Left:
    """The qdisc of a vif that we have made, and that stays for the filters that are there.

    ``is_trace``: these may be ours, though neither a mark nor the receipt says so.
    """

    text: str
    is_trace: bool


def _left(endings: Iterable[Ending], seen: Seen) -> dict[str, _Left]:
    """The things that could not go, by vif."""
    found = {}
    for each in endings:
        receipt = each.found.receipt
        for vif in each.vifs:
            qdisc = seen.ingress_of(vif)
            if receipt is None or qdisc is None or not is_about(receipt, vif, seen):
                continue
            filters = seen.filters_of(vif)
            if filters and not is_shared(vif, seen, receipt):
                text = (
                    f"{vif}: its {qdisc.kind} qdisc stays, for there are filters that are not "
                    f"known to be remusnet's: {', '.join(map(str, filters))}"
                )
                found[vif] = _Left(text, any(each.verdict is Verdict.BYPASS for each in filters))
    return found


def _settle(
    endings: Iterable[Ending],
    left: Mapping[str, _Left],
    receipts: Mapping[str, Receipt],
    store: Receipts,
    run_dir: Path,
    problems: Problems,
) -> None:
    """A receipt goes with the last trace of what it is about."""
    for each in endings:
        receipt, buffer = each.found.receipt, each.found.buffer
        done = [vif for vif in each.vifs if vif not in left or not left[vif].is_trace]
        if receipt is not None and len(done) < len(receipt.vifs):
            kept = receipt.without(done)
            cut_short = len(done) < len(each.vifs)
            store.write([kept], Phase.REMOVING if cut_short else Phase.APPLIED)
        elif buffer and not each.rest and (receipt is not None or buffer not in receipts):
            store.delete([buffer])
        if buffer and not each.rest:
            forget_driver(run_dir, buffer, problems)

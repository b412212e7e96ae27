"""verify: what should be, what is, and the difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from remusnet.kernel.state.drift import drift, dropped, is_limit_less
from remusnet.kernel.state.drivers import record_of
from remusnet.kernel.state.inventory import inventory
from remusnet.kernel.state.observe import Seen, observe
from remusnet.kernel.state.ownership import no_such_vif
from remusnet.kernel.state.receipt import Receipt, Receipts
from remusnet.kernel.wire.netlink import Netlink, tells_of_tcx
from remusnet.results.protection import Difference, Protected, Verified


def verify(
    vifs: Sequence[str] = (), *, run_dir: Path, netlink: Netlink | None = None
) -> tuple[tuple[Verified, ...], tuple[str, ...]]:
    """Compares the protections of ``vifs`` (none: all) with the kernel; and notes for the user.

    Changes nothing. Raises InvalidInput for a vif that is not there and not protected either,
    NotPermitted, or KernelRefused.
    """
    if netlink is None:
        with Netlink() as own:
            return verify(vifs, run_dir=run_dir, netlink=own)
    receipts, damaged = Receipts(run_dir).read()
    seen = observe(netlink)
    there = inventory(seen, receipts)
    result = []
    notes = list(damaged)
    for found in there:
        if vifs and not set(found.vifs) & set(vifs):
            continue
        if found.receipt is not None:
            differences = (*drift(found.receipt, seen), *_limit(found.receipt, run_dir, seen))
            notes += _drops(found.receipt, seen)
        elif found.lodges_in:
            current = (
                f"send to {found.lodges_in}, the buffer device of {', '.join(found.owners)}: "
                "a vif that was renamed?"
            )
            differences = (Difference(found.vifs[0], "filters", "none", current),)
        else:
            what = found.buffer or found.vifs[0]
            current = "none, only marks: it may have been made by hand, or the receipt is lost"
            differences = (Difference(what, "receipt", "there", current),)
        result.append(Verified(found.protected, differences))
    known = {vif for each in there for vif in each.vifs}
    for vif in vifs:
        if vif not in known:
            if vif not in seen.devices:
                raise no_such_vif(vif, seen)
            wanted, current = "a protection", "none: every frame bypasses"
            lack = Difference(vif, "protection", wanted, current)
            result.append(Verified(Protected("", (vif,), None), (lack,)))
    if result and not tells_of_tcx():
        notes.append("whether a tcx program sees frames first is not known: only root may ask")
    return tuple(result), tuple(notes)


def _drops(receipt: Receipt, seen: Seen) -> tuple[str, ...]:
    """A sentence where the plug has dropped frames, and its drops don't prove a smaller limit."""
    number = dropped(receipt, seen)
    if not number or is_limit_less(receipt, seen):
        return ()
    text = (
        f"the plug of {receipt.buffer} has dropped {number} frames since it was told its limit: "
        'that is too small, or somebody has told it another, which "remusnet apply" mends'
    )
    return (text,)


def _limit(receipt: Receipt, run_dir: Path, seen: Seen) -> tuple[Difference, ...]:
    """Differences by the record of the plug's last driver: the kernel doesn't tell limits."""
    limit = record_of(run_dir, receipt.buffer, seen).limit
    if limit is None or limit == receipt.limit:
        return ()
    what = "limit of the plug, by its record"
    return (Difference(receipt.buffer, what, f"{receipt.limit} bytes", f"{limit} bytes"),)

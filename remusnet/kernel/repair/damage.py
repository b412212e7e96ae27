"""Damage to a protection that can be mended, and whether frames leave unheld meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from remusnet.kernel.state.drift import drift, targets_of, wanted_of
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.ownership import is_about, is_shared, own_filters
from remusnet.kernel.state.receipt import Phase, Receipt
from remusnet.results.protection import Difference


def present(receipt: Receipt, seen: Seen, *, old_only: bool) -> tuple[str, ...]:
    """Those of its vifs that are there; ``old_only``: and are those that were protected."""
    return tuple(
        vif
        for vif in receipt.vifs
        if vif in seen.devices and (not old_only or is_about(receipt, vif, seen))
    )


def damages(receipt: Receipt, seen: Seen, *, old_only: bool = False) -> tuple[Difference, ...]:
    """How the kernel differs from ``receipt``, without the vifs that are gone: nothing of them is
    there to be protected. ``old_only``: as of `present`.
    """
    if receipt.phase is Phase.REMOVING:
        return ()  # the user wanted it to end
    mine = present(receipt, seen, old_only=old_only)
    others = set(receipt.vifs).difference(mine)
    return tuple(each for each in drift(receipt, seen) if each.device not in others)


def open_vifs(receipt: Receipt, seen: Seen) -> Iterator[str]:
    """Those of its vifs whose frames leave though the policy holds them."""
    device, root = seen.devices.get(receipt.buffer), seen.root(receipt.buffer)
    leaks = device is not None and device.up and (root is None or root.kind != "plug")
    plan = receipt.plan()
    wanted = wanted_of(plan)
    for vif in receipt.vifs:
        if vif not in seen.devices:
            continue
        own = own_filters(vif, seen, receipt)
        shared = is_shared(vif, seen, receipt)
        # Where they should send to is another question: to a device that is gone they drop.
        bound = {(each.target, each.sink) for each in own if each.target or each.sink}
        bound |= {(0, 0), (0, None), targets_of(plan.protections[0], seen, missing=0)}
        complete = any(wanted.complete(own, each, shared=shared) is not None for each in bound)
        if leaks or not complete:
            yield vif

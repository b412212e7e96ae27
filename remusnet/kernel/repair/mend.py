"""One protection made again what its receipt says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from remusnet.errors import RemusnetError
from remusnet.kernel.change.apply import apply_each
from remusnet.kernel.change.execute import encode_once
from remusnet.kernel.change.steps import Order
from remusnet.kernel.journal import because
from remusnet.kernel.run_dir import change_lock
from remusnet.kernel.state.drift import wanted_of
from remusnet.kernel.state.observe import Seen, observe_only
from remusnet.kernel.state.ownership import BANKS, vifs_of, vifs_of_sink
from remusnet.kernel.state.receipt import Phase, Receipt
from remusnet.kernel.wire.codec import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    PLUG_QOPT,
    RTM_NEWQDISC,
    RTM_SETLINK,
    TC_H_ROOT,
    UINT,
    link,
    message,
    traffic_control,
)
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.devices import buffer_alias
from remusnet.plan.plan import Plan
from remusnet.results.protection import Applied

ACTION = "repair"
"""Of the journal's entries."""


def mend(
    receipt: Receipt,
    absent: Collection[str],
    seen: Seen,
    netlink: Netlink,
    run_dir: Path,
    *,
    driven: Collection[str],
) -> Applied:
    """Makes the kernel what ``receipt`` says, but for the vifs that are ``absent``.

    ``seen``: what has shown the damage; ``driven``: as of `Order`. Raises what
    `remusnet.kernel.change.apply.apply` raises; Conflict where another remusnet is at work just
    now.
    """
    order = order_of(receipt, absent, driven)
    with because(ACTION):
        if any(_ours_again(receipt, seen)):
            devices = [each for each in (receipt.buffer, receipt.sink) if each]
            with change_lock(run_dir, longest_wait=0):
                for request in _ours_again(receipt, observe_only(netlink, (), devices)):
                    netlink.do(request, f"take back {receipt.buffer} or its sink")
        (found,), _ = apply_each(
            [order], run_dir=run_dir, netlink=netlink, longest_wait=0, alone=True
        )
    if isinstance(found, RemusnetError):
        raise found
    return found


def prepare(receipt: Receipt) -> None:
    """Works out what a repair needs of the policy: the first repair is no slower than others."""
    wanted = wanted_of(receipt.plan())
    for bank in BANKS:
        wanted.shown(bank, shared=bool(receipt.shared))
        encode_once(wanted.added(bank), decouple=bool(receipt.sink))


def order_of(receipt: Receipt, absent: Collection[str], driven: Collection[str]) -> Order:
    """What applies ``receipt`` once more."""
    return Order(
        receipt.plan(),
        receipt.rate,
        receipt.interval_ns,
        receipt.interval_from,
        driven=driven,
        absent=absent,
    )


def is_done(order: Order, receipts: Mapping[str, Receipt]) -> bool:
    """Whether receipts say the same already: those are kept true anyway."""
    found = [receipts.get(each.buffer) for each in order.plan.protections]
    return all(
        each is not None
        and each.phase is Phase.APPLIED
        and (each.rate, each.interval_ns) == (order.rate, order.interval_ns)
        and _essence(each.plan()) == _essence(replace(order.plan, protections=(protection,)))
        for each, protection in zip(found, order.plan.protections, strict=True)
    )


def _essence(plan: Plan) -> tuple[object, ...]:
    what = plan.classification
    return what.policy, what.classifier, plan.protections, plan.limit


def _ours_again(receipt: Receipt, seen: Seen) -> Iterator[bytes]:
    """What puts a plug, or a seal, in the place of the root that another program has given a device
    of ours: at once, so that nothing leaves in between, and what waited there is dropped. And its
    mark on the buffer device.

    Only on devices that are remusnet's, by the receipt's number or their marks: no other program
    has business there.
    """
    device, root = seen.devices.get(receipt.buffer), seen.root(receipt.buffer)
    if device is not None and device.index == receipt.index and not vifs_of(device):
        yield message(RTM_SETLINK, 0, link(device.index, alias=buffer_alias(receipt.vifs)))
        device = replace(device, alias=buffer_alias(receipt.vifs))
    if device is not None and root is not None and root.kind != "plug" and vifs_of(device):
        options = PLUG_QOPT.pack(PlugAction.LIMIT, receipt.limit)
        yield _root(device.index, "plug", options)
    sink, seal = seen.devices.get(receipt.sink), seen.root(receipt.sink)
    if sink is not None and seal is not None and seal.kind != "pfifo" and vifs_of_sink(sink):
        yield _root(sink.index, "pfifo", UINT.pack(0))


def _root(index: int, kind: str, options: bytes) -> bytes:
    body = traffic_control(index, parent=TC_H_ROOT, kind=kind, options=options)
    return message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body)

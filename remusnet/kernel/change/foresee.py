"""What apply would do, and how what is there differs from that: nothing is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from remusnet.errors import RemusnetError
from remusnet.kernel.change.steps import Look, Order, step_of
from remusnet.kernel.state.drift import drift
from remusnet.kernel.state.receipt import Receipt
from remusnet.plan.rows import Operation
from remusnet.policy.toml import to_toml
from remusnet.results.host import Foreseen
from remusnet.results.protection import Difference
from remusnet.units import format_duration, format_rate, format_size

Refuse = Callable[[Order, Look], RemusnetError | None]
"""Why an order must not be done, though the kernel would take it."""


def foresee(order: Order, look: Look, path: str, refuse: Refuse) -> Foreseen:
    """What ``order``, of one protection, comes to; ``path``: the table that says so."""
    refusal = refuse(order, look)
    operations: tuple[Operation, ...] = ()
    if refusal is None:
        try:
            operations = step_of(order, look).operations
        except RemusnetError as error:
            refusal = error
    return Foreseen(path, order.plan, tuple(_differences(order, look)), operations, refusal)


def _differences(order: Order, look: Look) -> Iterator[Difference]:
    plan = order.plan
    (protection,) = plan.protections
    receipt = look.receipts.get(protection.buffer)
    what = plan.classification
    if receipt is None:
        desired = f"policy {what.policy.name}, classifier {what.classifier}"
        for vif in protection.vifs:
            marked = bool(look.seen.filters_of(vif))
            current = "filters, and no receipt" if marked else "none: every frame bypasses"
            yield Difference(vif, "protection", desired, current)
        return
    for name, wanted, there in _terms(order, receipt):
        if wanted != there:
            yield Difference(protection.buffer, name, wanted, there)
    yield from drift(receipt, look.seen)


def _terms(order: Order, receipt: Receipt) -> Iterator[tuple[str, str, str]]:
    """Name, what is desired, and what the receipt says."""
    plan = order.plan
    (protection,) = plan.protections
    policy = plan.classification.policy
    yield "vifs", ", ".join(protection.vifs), ", ".join(receipt.vifs)
    now = receipt.policy_name
    if now == policy.name and receipt.policy != to_toml(policy):
        now += ", with other rules"
    yield "policy", policy.name, now
    yield "classifier", plan.classification.classifier, receipt.classifier
    yield "limit", format_size(plan.limit), format_size(receipt.limit)
    yield "rate", format_rate(order.rate), format_rate(receipt.rate)
    yield "interval", format_duration(order.interval_ns), format_duration(receipt.interval_ns)
    copied, now_copied = ("yes" if sink else "no" for sink in (protection.sink, receipt.sink))
    yield "held frames copied", copied, now_copied

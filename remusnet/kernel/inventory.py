"""What remusnet has in the kernel: by its receipts, and by its marks where a receipt is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remusnet.kernel.ownership import is_marked, own_filters, vifs_of, vifs_of_sink
from remusnet.kernel.receipt import Receipt
from remusnet.kernel.state import Seen
from remusnet.plan.outcome import Protected, Terms


@dataclass(frozen=True, slots=True)
class Found:
    """A buffer device and its vifs. ``buffer`` is empty where only filters or a sink are left.

    ``receipt`` is None where only marks say that it is ours.
    """

    buffer: str
    vifs: tuple[str, ...]
    receipt: Receipt | None

    @property
    def protected(self) -> Protected:
        """The same for a report."""
        receipt = self.receipt
        terms = None
        if receipt is not None:
            terms = Terms(
                receipt.policy_name,
                receipt.classifier,
                receipt.limit,
                receipt.rate,
                receipt.interval_ns,
                receipt.phase.value,
                receipt.version,
                bool(receipt.sink),
                receipt.interval_from,
            )
        return Protected(self.buffer, self.vifs, terms)


def inventory(seen: Seen, receipts: Mapping[str, Receipt]) -> tuple[Found, ...]:
    """All protections that are there, or should be: each vif is in one of them."""
    found = [Found(each.buffer, each.vifs, each) for each in receipts.values()]
    known = {vif for each in found for vif in each.vifs}
    for device in seen.devices.values():
        vifs = vifs_of(device)
        if vifs is not None and device.name not in receipts:
            mine = tuple(vif for vif in vifs if vif not in known)
            found.append(Found(device.name, mine, None))
            known.update(mine)
    names = {device.index: device.name for device in seen.devices.values()}
    for vif, filters in seen.filters.items():
        if vif not in known and any(map(is_marked, own_filters(filters))):
            targets = {names.get(each.target, "") for each in filters if is_marked(each)}
            found.append(Found(max(targets), (vif,), None))
            known.add(vif)
    for device in seen.devices.values():
        mine = tuple(vif for vif in vifs_of_sink(device) or () if vif not in known)
        if mine:
            found.append(Found("", mine, None))
            known.update(mine)
    return tuple(found)

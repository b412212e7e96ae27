"""What remusnet has in the kernel: by its receipts, and by its marks where a receipt is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.ownership import buffers_of, is_marked, vifs_of, vifs_of_sink
from remusnet.kernel.state.receipt import Receipt
from remusnet.results.protection import Protected, ReceiptTerms


@dataclass(frozen=True, slots=True)
class Found:
    """A buffer device and its vifs. ``buffer`` is empty where only filters or a sink are left.

    ``receipt`` is None where only marks say that it is ours. ``lodges_in``: the buffer device of
    ``owners``, other vifs, to which the filters of this one send all the same. A vif that was
    given another name is like that, once there is a new one of its old name.
    """

    buffer: str
    vifs: tuple[str, ...]
    receipt: Receipt | None
    lodges_in: str = ""
    owners: tuple[str, ...] = ()

    @property
    def protected(self) -> Protected:
        """The same for a report."""
        receipt = self.receipt
        terms = None
        if receipt is not None:
            terms = ReceiptTerms(
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
    """All protections that are there, or should be: each vif is in one of them.

    A buffer device belongs to the vifs of its receipt, or of its mark: not to whatever else has
    filters that send there.
    """
    found = [Found(each.buffer, each.vifs, each) for each in receipts.values()]
    known = {vif for each in found for vif in each.vifs}
    for device in seen.devices.values():
        vifs = vifs_of(device)
        if vifs is not None and not _is_receipts(device.name, vifs, receipts):
            mine = tuple(vif for vif in vifs if vif not in known)
            found.append(Found(device.name, mine, None))
            known.update(mine)
    owners = {each.buffer: each.vifs for each in found}
    for vif, filters in seen.filters.items():
        if vif not in known and any(map(is_marked, filters)):
            found.append(_by_filters(vif, seen, owners))
            known.add(vif)
    for device in seen.devices.values():
        mine = tuple(vif for vif in vifs_of_sink(device) or () if vif not in known)
        if mine:
            found.append(Found("", mine, None))
            known.update(mine)
    return tuple(found)


def together_with(buffer: str, there: tuple[Found, ...]) -> Iterator[str]:
    """All vifs that end with ``buffer``: its own, and those that lodge in it."""
    for each in there:
        if buffer in (each.buffer, each.lodges_in):
            yield from each.vifs


def _is_receipts(buffer: str, marked: tuple[str, ...], receipts: Mapping[str, Receipt]) -> bool:
    """Whether a marked device is the one that a receipt is about, and no other of its name."""
    return buffer in receipts and not set(marked).isdisjoint(receipts[buffer].vifs)


def _by_filters(vif: str, seen: Seen, owners: Mapping[str, tuple[str, ...]]) -> Found:
    buffer = max(buffers_of(vif, seen), default="")
    if owners.get(buffer):
        return Found("", (vif,), None, buffer, owners[buffer])
    return Found(buffer, (vif,), None)

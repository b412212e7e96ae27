"""What ends protections: the operations, and whose the things are that they would touch.

All vifs end together, a step at a time: what one look at the kernel can tell of all of them is not
asked for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from remusnet.classify.filters import LAST_PREF
from remusnet.errors import Conflict
from remusnet.kernel.prepared import ending_order
from remusnet.kernel.state.inventory import Found
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.ownership import (
    BANKS,
    GUARD_PREF,
    buffers_of,
    check_root,
    check_sink,
    foreign_filters,
    is_about,
    is_begun,
    is_marked,
    is_shared,
    own_filters,
    senders,
    vifs_of,
    vifs_of_sink,
)
from remusnet.kernel.wire.objects import Device
from remusnet.plan.devices import buffer_alias, sink_alias, sink_name
from remusnet.plan.operations import (
    DeleteDevice,
    DeleteFilters,
    DeleteIngress,
    DeletePlug,
    DrainPlug,
    MarkDevice,
    ReleasePlug,
)
from remusnet.plan.rows import Operation

_HOLD_EVERY_FRAME = (GUARD_PREF, *(LAST_PREF + bank for bank in BANKS))


@dataclass(frozen=True, slots=True)
class Ending:
    """A protection, and those of its vifs that end.

    ``buffer``: its buffer device, where that is there and ours, else empty; ``sinks`` likewise.
    ``waiting``: packets that the plug held when it was looked at.
    """

    found: Found
    vifs: tuple[str, ...]
    buffer: str
    sinks: tuple[str, ...]
    has_plug: bool
    waiting: int

    @property
    def rest(self) -> tuple[str, ...]:
        """The vifs whose protection goes on: the devices stay then."""
        return tuple(vif for vif in self.found.vifs if vif not in self.vifs)


def endings_of(vifs: Collection[str], there: Sequence[Found], seen: Seen) -> tuple[Ending, ...]:
    """What ends where ``vifs`` do. Raises Conflict where things that aren't ours would go too."""
    wanted = set(vifs)
    sinks = _sinks_by_vif(seen)
    found = []
    owners = {}
    for each in there:
        owners[each.buffer] = each.vifs
        ending = tuple(vif for vif in each.vifs if vif in wanted)
        if ending:
            found.append(_ending(each, ending, sinks, seen))
    _check(found, owners, seen)
    return tuple(found)


def operations(endings: Sequence[Ending], seen: Seen, *, drop: bool) -> Iterator[Operation]:
    """What ends them. Raises Conflict where things that aren't ours would go too."""
    filters = {each: tuple(_filters(each, seen)) for each in endings}
    if drop:
        _check_drop(endings)
        # The devices and all that they hold first: until the end, the filters drop what they held.
        for each in endings:
            yield from map(DeleteDevice, filter(None, (each.buffer, *each.sinks)))
        for each in endings:
            yield from filters[each]
        return
    whole = [each for each in endings if not each.rest]
    plugs = [each.buffer for each in whole if each.has_plug]
    yield from ending_order(
        opened=map(ReleasePlug, plugs),
        drained=map(DrainPlug, plugs),
        unfiltered=(step for each in endings for step in _without(each, filters[each])),
        deleted=(step for each in whole for step in _deletions(each)),
    )


def _without(ending: Ending, filters: Iterable[Operation]) -> Iterator[Operation]:
    yield from filters
    if ending.rest:
        yield from _marks(ending)


def _deletions(ending: Ending) -> Iterator[Operation]:
    if ending.has_plug:
        yield DeletePlug(ending.buffer)
    yield from map(DeleteDevice, ending.sinks)
    if ending.buffer:
        yield DeleteDevice(ending.buffer)


def _ending(
    found: Found, vifs: tuple[str, ...], sinks: Mapping[str, Sequence[Device]], seen: Seen
) -> Ending:
    ours = _is_ours(found, seen)
    if ours:
        check_root(found.buffer, seen)
    root = seen.root(found.buffer) if ours else None
    names = tuple(_sinks(found, sinks, seen))
    for name in names:
        check_sink(name, seen)
    return Ending(
        found=found,
        vifs=vifs,
        buffer=found.buffer if ours else "",
        sinks=names,
        has_plug=root is not None,
        waiting=root.counters.qlen if root is not None else 0,
    )


def _is_ours(found: Found, seen: Seen) -> bool:
    """Whether the buffer device is there, and ours: by its mark, by an intent to make it, or since
    our filters send there, whatever a hand has made of its mark.
    """
    device = seen.devices.get(found.buffer)
    if device is None:
        return False
    marked = vifs_of(device)
    if marked is not None:
        return found.receipt is None or not set(marked).isdisjoint(found.receipt.vifs)
    return is_begun(device, found.receipt) or _is_used(device, found, seen)


def _is_used(device: Device, found: Found, seen: Seen) -> bool:
    """Whether it is what a receipt names, and filters of ours redirect or mirror to it."""
    if found.receipt is None or device.kind != "ifb":
        return False
    return any(
        is_marked(each) and device.index in (each.target, each.sink)
        for vif in found.vifs
        for each in seen.filters_of(vif)
    )


def _sinks_by_vif(seen: Seen) -> Mapping[str, Sequence[Device]]:
    found: dict[str, list[Device]] = {}
    for device in seen.devices.values():
        for vif in vifs_of_sink(device) or ():
            found.setdefault(vif, []).append(device)
    return found


def _sinks(found: Found, by_vif: Mapping[str, Sequence[Device]], seen: Seen) -> Iterator[str]:
    """Those that are there, and ours: as buffer devices are."""
    names = {each.name: None for vif in found.vifs for each in by_vif.get(vif, ())}
    if found.buffer:
        named = found.receipt.sink if found.receipt is not None else ""
        for name in filter(None, (sink_name(found.buffer), named)):
            device = seen.devices.get(name)
            if device is not None and vifs_of_sink(device) is None:
                if is_begun(device, found.receipt) or _is_used(device, found, seen):
                    names[name] = None
    yield from names


def _check(endings: Sequence[Ending], owners: Mapping[str, tuple[str, ...]], seen: Seen) -> None:
    """Raises Conflict where a device would go that other vifs send to, or a vif sends elsewhere.

    Names say little: a vif can be given another one, and a new one its old name.
    """
    ending = {vif for each in endings for vif in each.vifs}
    going = {each.buffer for each in endings if each.buffer and not each.rest}
    sending = senders(seen)
    for each in endings:
        if each.buffer in going:
            others = [vif for vif in sending.get(each.buffer, ()) if vif not in ending]
            if others:
                raise Conflict(
                    f"{', '.join(others)} {'sends' if len(others) == 1 else 'send'} to "
                    f"{each.buffer} too{_renamed(others, each.found, seen)}: name all of them, as "
                    f'in "remusnet remove {" ".join([*each.vifs, *others])}"'
                )
        for vif in each.vifs:
            for buffer in buffers_of(vif, seen):
                if buffer in (each.found.buffer, each.found.lodges_in, *going):
                    continue
                if whose := owners.get(buffer):
                    raise Conflict(
                        f"{vif} sends what it holds to {buffer}, the buffer device of "
                        f"{', '.join(whose)}, and not to its own: were they given other names? "
                        "End all of them together: "
                        f'"remusnet remove {" ".join(dict.fromkeys([vif, *whose]))}"'
                    )


def _renamed(others: Iterable[str], found: Found, seen: Seen) -> str:
    """``, which was vif1.0``: where the receipt's numbers tell."""
    if found.receipt is None:
        return ""
    numbers = {seen.devices[vif].index: vif for vif in others}
    was = [
        f"{numbers[index]} was {vif}"
        for vif, index in zip(found.receipt.vifs, found.receipt.indexes, strict=False)
        if index in numbers
    ]
    return f" ({', '.join(was)})" if was else ""


def _check_drop(endings: Sequence[Ending]) -> None:
    going = {each.buffer for each in endings}
    for each in endings:
        if each.rest:
            raise Conflict(
                f"{each.found.buffer} holds frames of {', '.join(each.rest)} too: name all its vifs"
            )
        if each.found.lodges_in and each.found.lodges_in not in going:
            raise Conflict(
                f"what {', '.join(each.vifs)} holds waits in {each.found.lodges_in}, the buffer "
                f"device of {', '.join(each.found.owners)}: without --drop it stays there"
            )


def _marks(ending: Ending) -> Iterator[Operation]:
    if ending.buffer:
        yield MarkDevice(ending.buffer, buffer_alias(ending.rest))
    for each in ending.sinks:
        yield MarkDevice(each, sink_alias(ending.rest))


def _filters(ending: Ending, seen: Seen) -> Iterator[Operation]:
    for vif in ending.vifs:
        yield from _filters_of(vif, ending.found, seen)


def _filters_of(vif: str, found: Found, seen: Seen) -> Iterator[Operation]:
    if seen.ingress_of(vif) is None:
        return
    receipt = found.receipt
    own, foreign = own_filters(vif, seen, receipt), foreign_filters(vif, seen, receipt)
    shared = is_shared(vif, seen, receipt)
    known = bool(own) or (receipt is not None and is_about(receipt, vif, seen))
    if not shared and not foreign and known:
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

"""What in the kernel is remusnet's, by the marks that it has left there, and what is not.

A buffer device carries the alias ``remusnet:VIF,...``, a sink ``remusnet/sink:VIF,...``; a filter
that holds has an action with the cookie ``remusnet`` (``remusnet/shared`` where the qdisc was there
before). A filter that lets bypass has no action to mark: it is ours at our preferences, with our
class, beside a marked one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from remusnet.errors import Conflict, InvalidInput, quoted, suggestion
from remusnet.kernel.receipt import Phase, Receipt
from remusnet.kernel.state import Device, Seen, SeenFilter
from remusnet.plan.operations import COOKIE, SHARED_COOKIE
from remusnet.plan.plan import BUFFER_MARK, SINK_MARK, Plan, Protection
from remusnet.policy.verdict import Verdict

BANKS = (0, 2000)
"""Added to a plan's preferences (up to 1000): an update fills one bank, then empties the other."""
GUARD_PREF = 1
"""Asked before both banks: holds every frame while both are rebuilt."""
_LAST_OF_OURS = 3999

_COOKIE, _SHARED_COOKIE = bytes.fromhex(COOKIE), bytes.fromhex(SHARED_COOKIE)


def is_marked(seen: SeenFilter) -> bool:
    """Whether the filter's action says that it is ours."""
    return seen.cookie in (_COOKIE, _SHARED_COOKIE)


def own_filters(filters: Iterable[SeenFilter]) -> tuple[SeenFilter, ...]:
    """Those of one vif's filters that are ours."""
    filters = tuple(filters)
    marked = any(map(is_marked, filters))
    return tuple(
        each
        for each in filters
        if is_marked(each)
        or (marked and each.verdict is Verdict.BYPASS and each.pref <= _LAST_OF_OURS)
    )


def foreign_filters(filters: Iterable[SeenFilter]) -> tuple[SeenFilter, ...]:
    """Those of one vif's filters that are not ours."""
    filters = tuple(filters)
    own = {id(each) for each in own_filters(filters)}
    return tuple(each for each in filters if id(each) not in own)


def vifs_of(device: Device) -> tuple[str, ...] | None:
    """The vifs that a buffer device of ours is for; None where it is not ours."""
    return _marked_for(device, BUFFER_MARK)


def vifs_of_sink(device: Device) -> tuple[str, ...] | None:
    """The vifs that a sink of ours is for; None where it is none."""
    return _marked_for(device, SINK_MARK)


def sinks_for(vifs: Iterable[str], seen: Seen) -> tuple[Device, ...]:
    """The sinks of ours that are for one of ``vifs``."""
    wanted = set(vifs)
    return tuple(
        each for each in seen.devices.values() if wanted.intersection(vifs_of_sink(each) or ())
    )


def _marked_for(device: Device, mark: str) -> tuple[str, ...] | None:
    if device.kind != "ifb" or not device.alias.startswith(mark):
        return None
    return tuple(device.alias.removeprefix(mark).split(","))


def is_shared(vif: str, seen: Seen, receipt: Receipt | None) -> bool:
    """Whether the vif's ingress or clsact qdisc was there before us, or somebody else's by now."""
    qdisc = seen.ingress_of(vif)
    if qdisc is not None and qdisc.kind != "ingress":
        return True
    if receipt is not None and vif in receipt.vifs:
        return vif in receipt.shared
    marked = [each for each in seen.filters_of(vif) if is_marked(each)]
    if marked:
        return any(each.cookie == _SHARED_COOKIE for each in marked)
    return qdisc is not None


def check(plan: Plan, seen: Seen, receipts: Mapping[str, Receipt]) -> None:
    """Raises Conflict, naming its owner's traces, where ``plan`` would touch what is not ours.

    Raises InvalidInput where a vif is not there.
    """
    for protection in plan.protections:
        for vif in protection.vifs:
            _check_vif(vif, protection, seen)
        receipt = receipts.get(protection.buffer)
        device = seen.devices.get(protection.buffer)
        if device is not None:
            _check_device(device, vifs_of(device), "buffer device", protection, receipt)
            check_root(protection.buffer, seen)
        sink = seen.devices.get(protection.sink)
        if sink is not None:
            _check_device(sink, vifs_of_sink(sink), "sink", protection, receipt)
            check_sink(protection.sink, seen)


def _check_vif(vif: str, protection: Protection, seen: Seen) -> None:
    if vif not in seen.devices:
        raise no_such_vif(vif, seen)
    refuse_foreign_filters(vif, seen)
    names = {device.index: device.name for device in seen.devices.values()}
    for each in seen.filters_of(vif):
        other = names.get(each.target) if each.verdict is Verdict.HOLD else None
        if other is not None and other != protection.buffer:
            raise Conflict(
                f"{vif} is protected with the buffer device {other} already: name that one with "
                f'--buffer, or end it first: "remusnet remove {vif}"'
            )


def no_such_vif(vif: str, seen: Seen) -> InvalidInput:
    """The error for a vif that is not there; names those that a user may have meant."""
    vifs = sorted(name for name in seen.devices if name.startswith("vif"))
    close = suggestion(vif, seen.devices)
    there = f"; vifs here: {', '.join(vifs[:8])}{', ...' if vifs[8:] else ''}" if vifs else ""
    return InvalidInput(f"no such device: {quoted(vif)}{close}{there if not close else ''}")


def refuse_foreign_filters(vif: str, seen: Seen) -> None:
    """Raises Conflict for filters of somebody else: ours would be asked before or after them."""
    foreign = foreign_filters(seen.filters_of(vif))
    qdisc = seen.ingress_of(vif)
    if foreign and qdisc:
        more = f" and {len(foreign) - 1} more" if foreign[1:] else ""
        raise Conflict(
            f"{vif} has an {qdisc.kind} qdisc with filters that are not remusnet's: "
            f"{foreign[0]}{more}; whoever made them has to delete them first "
            f'("tc filter show dev {vif} ingress" shows them)'
        )


def _check_device(
    device: Device,
    marked_for: tuple[str, ...] | None,
    what: str,
    protection: Protection,
    receipt: Receipt | None,
) -> None:
    name = device.name
    if marked_for is None:
        if is_begun(device, receipt):
            return
        alias = f"alias {quoted(device.alias)}" if device.alias else "no alias"
        raise Conflict(
            f"{name} exists and is not remusnet's {what} (kind {device.kind or 'unknown'}, "
            f"{alias}): choose another buffer device with --buffer, or delete it if nobody needs it"
        )
    others = [vif for vif in marked_for if vif not in protection.vifs]
    if others:
        raise Conflict(
            f"{name} is the {what} of {', '.join(others)} already: name all its vifs "
            "together, or remove the others first"
        )


def is_begun(device: Device, receipt: Receipt | None) -> bool:
    """Whether remusnet was killed between creating a device and marking it."""
    begun = receipt is not None and receipt.phase is not Phase.APPLIED
    return begun and device.kind == "ifb" and not device.alias


def check_root(buffer: str, seen: Seen) -> None:
    """Raises Conflict where somebody has made another qdisc the root of a buffer device."""
    _check_root(buffer, "plug", seen)


def check_sink(sink: str, seen: Seen) -> None:
    """Raises Conflict where somebody has made another qdisc the root of a sink."""
    _check_root(sink, "pfifo", seen)


def _check_root(device: str, kind: str, seen: Seen) -> None:
    root = seen.root(device)
    if root is not None and root.kind != kind:
        raise Conflict(
            f"the root qdisc of {device} is no {kind} but {root.kind} (handle "
            f"{root.handle >> 16:x}:), and not remusnet's: whoever made it has to delete it first "
            f'("tc qdisc delete dev {device} root")'
        )

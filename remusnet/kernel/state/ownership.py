"""What in the kernel is remusnet's, by the marks that it has left there, and what is not.

A buffer device carries the alias ``remusnet:VIF,...``, a sink ``remusnet/sink:VIF,...``; a filter
that holds has an action with the cookie ``remusnet`` (``remusnet/shared`` where the qdisc was there
before). A filter that lets bypass has no action to mark: it is ours at our preferences, with our
class, beside a marked one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

from remusnet.classify.filters import FilterMatch
from remusnet.errors import Conflict, InvalidInput, quoted, suggestion
from remusnet.kernel.state.observe import Seen, marked_for
from remusnet.kernel.state.receipt import Phase, Receipt, classification_of
from remusnet.kernel.wire.messages import canonical
from remusnet.kernel.wire.objects import Device, SeenFilter
from remusnet.plan.devices import BUFFER_MARK, COOKIE, SHARED_COOKIE, SINK_MARK
from remusnet.plan.plan import Plan, Protection
from remusnet.policy.verdict import Verdict

BANKS = (0, 2000)
"""Added to a plan's preferences (up to 1000): an update fills one bank, then empties the other."""
GUARD_PREF = 1
"""Asked before both banks: holds every frame while both are rebuilt."""
_LAST_OF_OURS = 3999


def is_marked(seen: SeenFilter) -> bool:
    """Whether the filter's action says that it is ours."""
    return seen.cookie in (COOKIE, SHARED_COOKIE)


def own_filters(vif: str, seen: Seen, receipt: Receipt | None) -> tuple[SeenFilter, ...]:
    """Those of the filters of ``vif`` that are ours.

    Where a hand has deleted all that hold, and their marks with them, the others are known by what
    they let bypass: as ``receipt`` says, if it is about this vif.
    """
    filters = seen.filters_of(vif)
    if any(map(is_marked, filters)):
        return tuple(
            each
            for each in filters
            if is_marked(each) or (each.verdict is Verdict.BYPASS and each.pref <= _LAST_OF_OURS)
        )
    if not filters or receipt is None or not is_about(receipt, vif, seen):
        return ()
    known = _bypasses(receipt.policy, receipt.classifier)
    return tuple(each for each in filters if _place(each) in known)


def holding(vifs: Iterable[str], seen: Seen) -> Iterator[SeenFilter]:
    """The filters of ours at ``vifs`` that hold."""
    for vif in vifs:
        for each in seen.filters_of(vif):
            if each.verdict is Verdict.HOLD and is_marked(each):
                yield each


def foreign_filters(vif: str, seen: Seen, receipt: Receipt | None) -> tuple[SeenFilter, ...]:
    """Those of the filters of ``vif`` that are not ours."""
    own = {id(each) for each in own_filters(vif, seen, receipt)}
    return tuple(each for each in seen.filters_of(vif) if id(each) not in own)


@lru_cache
def _bypasses(policy: str, classifier: str) -> frozenset[tuple[int, int, FilterMatch | None]]:
    """Where what a receipt lets bypass may stand, and what it is."""
    return frozenset(
        (each.pref + bank, each.protocol, canonical(each))
        for each in classification_of(policy, classifier).filters
        for bank in BANKS
        if each.verdict is Verdict.BYPASS
    )


def _place(each: SeenFilter) -> tuple[int, int, FilterMatch | None] | None:
    return (each.pref, each.protocol, each.match) if each.verdict is Verdict.BYPASS else None


def is_about(receipt: Receipt, vif: str, seen: Seen) -> bool:
    """Whether the vif that is there now is the one that ``receipt`` names, as far as it tells.

    One that was made again, or another that was given its name, has another number.
    """
    device = seen.devices.get(vif)
    if device is None or vif not in receipt.vifs:
        return False
    return receipt.index_of(vif) in (None, device.index)


def buffers_of(vif: str, seen: Seen) -> tuple[str, ...]:
    """The devices to which filters of ours send what ``vif`` holds: one, as a rule."""
    targets = {each.target for each in seen.filters_of(vif) if is_marked(each)}
    return tuple(sorted(seen.names[each] for each in targets if each in seen.names))


def senders(seen: Seen) -> dict[str, tuple[str, ...]]:
    """The vifs whose filters of ours send what they hold to each device, by its name."""
    found: dict[str, list[str]] = {}
    for vif in seen.filters:
        for buffer in buffers_of(vif, seen):
            found.setdefault(buffer, []).append(vif)
    return {buffer: tuple(vifs) for buffer, vifs in found.items()}


def vifs_of(device: Device) -> tuple[str, ...] | None:
    """The vifs that a buffer device of ours is for; None where it is not ours."""
    return marked_for(device, BUFFER_MARK)


def vifs_of_sink(device: Device) -> tuple[str, ...] | None:
    """The vifs that a sink of ours is for; None where it is none."""
    return marked_for(device, SINK_MARK)


def sinks_for(vifs: Iterable[str], seen: Seen) -> tuple[Device, ...]:
    """The sinks of ours that are for one of ``vifs``."""
    return tuple(dict.fromkeys(each for vif in vifs for each in seen.sinks.get(vif, ())))


def is_shared(vif: str, seen: Seen, receipt: Receipt | None) -> bool:
    """Whether the vif's ingress or clsact qdisc was there before us, or is not ours any more."""
    qdisc = seen.ingress_of(vif)
    if qdisc is not None and (qdisc.kind != "ingress" or qdisc.block):
        return True
    if receipt is not None and is_about(receipt, vif, seen):
        return vif in receipt.shared
    marked = [each for each in seen.filters_of(vif) if is_marked(each)]
    if marked:
        return any(each.cookie == SHARED_COOKIE for each in marked)
    return qdisc is not None


def buffers_by_vif(receipts: Mapping[str, Receipt]) -> dict[str, str]:
    """The buffer device of each vif that has a receipt."""
    return {vif: each.buffer for each in receipts.values() for vif in each.vifs}


def check(
    plan: Plan,
    seen: Seen,
    receipts: Mapping[str, Receipt],
    absent: Collection[str] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> None:
    """Raises Conflict, naming its owner's traces, where ``plan`` would touch what is not ours.

    Raises InvalidInput where a vif is not there, but for those that are said to be ``absent``.
    ``elsewhere``: the `buffers_by_vif` of ``receipts``, where many plans are checked.
    """
    if elsewhere is None:
        elsewhere = buffers_by_vif(receipts)
    for protection in plan.protections:
        receipt = receipts.get(protection.buffer)
        for vif in protection.vifs:
            if vif not in absent:
                _check_vif(vif, protection, seen, receipt)
            if receipt is None or vif not in receipt.vifs:
                _check_buffer(vif, elsewhere.get(vif), protection)
        device = seen.devices.get(protection.buffer)
        if device is not None:
            _check_device(device, vifs_of(device), "buffer device", protection, receipt)
            check_root(protection.buffer, seen)
        sink = seen.devices.get(protection.sink)
        if sink is not None:
            _check_device(sink, vifs_of_sink(sink), "sink", protection, receipt)
            check_sink(protection.sink, seen)


def _check_vif(vif: str, protection: Protection, seen: Seen, receipt: Receipt | None) -> None:
    if vif not in seen.devices:
        raise no_such_vif(vif, seen)
    _refuse_foreign(vif, seen, receipt)
    for each in seen.filters_of(vif):
        if each.verdict is Verdict.HOLD:
            _check_buffer(vif, seen.names.get(each.target), protection)


def _check_buffer(vif: str, buffer: str | None, protection: Protection) -> None:
    if buffer is not None and buffer != protection.buffer:
        raise Conflict(
            f"{vif} is protected with the buffer device {buffer} already: name that one with "
            f'--buffer, or end it first: "remusnet remove {vif}"'
        )


def no_such_vif(vif: str, seen: Seen) -> InvalidInput:
    """The error for a vif that is not there; names those that a user may have meant."""
    vifs = sorted(name for name in seen.devices if name.startswith("vif"))
    close = suggestion(vif, seen.devices)
    there = f"; vifs here: {', '.join(vifs[:8])}{', ...' if vifs[8:] else ''}" if vifs else ""
    return InvalidInput(f"no such device: {quoted(vif)}{close}{there if not close else ''}")


def _refuse_foreign(vif: str, seen: Seen, receipt: Receipt | None) -> None:
    """Raises Conflict for programs and filters of another owner: ours would be asked after them, or
    before.
    """
    if programs := seen.programs.get(vif):
        raise Conflict(
            f"{vif} has a program that sees frames before remusnet's filters do, and may let them "
            f"pass: {', '.join(map(str, programs))}; whoever attached it has to detach it first "
            f'("bpftool net show dev {vif}" shows it)'
        )
    qdisc = seen.ingress_of(vif)
    if qdisc and qdisc.block:
        raise Conflict(
            f"{vif} has {an(qdisc.kind)} qdisc whose filters are a shared block's ({qdisc.block}), "
            "which other devices may ask too: whoever made it has to delete it first "
            f'("tc qdisc show dev {vif}" shows it)'
        )
    foreign = foreign_filters(vif, seen, receipt)
    if foreign and qdisc:
        more = f" and {len(foreign) - 1} more" if foreign[1:] else ""
        raise Conflict(
            f"{vif} has {an(qdisc.kind)} qdisc with filters that are not remusnet's: "
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


def an(word: str) -> str:
    """``a clsact``, ``an ingress``: a word of the kernel's, with its article."""
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def is_begun(device: Device, receipt: Receipt | None) -> bool:
    """Whether remusnet was killed between creating a device and marking it."""
    begun = receipt is not None and receipt.phase is not Phase.APPLIED
    return begun and device.kind == "ifb" and not device.alias


def check_root(buffer: str, seen: Seen) -> None:
    """Raises Conflict where another program's qdisc is the root of a buffer device."""
    _check_root(buffer, "plug", seen)


def check_sink(sink: str, seen: Seen) -> None:
    """Raises Conflict where another program's qdisc is the root of a sink."""
    _check_root(sink, "pfifo", seen)


def _check_root(device: str, kind: str, seen: Seen) -> None:
    root = seen.root(device)
    if root is not None and root.kind != kind:
        raise Conflict(
            f"the root qdisc of {device} is no {kind} but {root.kind} (handle "
            f"{root.handle >> 16:x}:), and not remusnet's: whoever made it has to delete it first "
            f'("tc qdisc delete dev {device} root")'
        )

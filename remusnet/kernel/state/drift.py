"""How a plan's filters should look in the kernel, and how what is there differs from a receipt.

And how many frames a protection has held, refused and let pass: the drops say whether the plug's
limit is the receipt's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from remusnet.classify.filters import Classification, Filter, protocol_name
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.ownership import (
    BANKS,
    GUARD_PREF,
    foreign_filters,
    holding,
    is_about,
    is_shared,
    own_filters,
    sinks_for,
    vifs_of,
    vifs_of_sink,
)
from remusnet.kernel.state.receipt import Phase, Receipt, has_new_plug, has_new_queue
from remusnet.kernel.wire.messages import Same, canonical, kind_of
from remusnet.kernel.wire.objects import Counters, SeenFilter
from remusnet.plan.devices import buffer_alias, filter_mark, sink_alias
from remusnet.plan.matches import match_words
from remusnet.plan.operations import SEAL
from remusnet.plan.plan import Plan, Protection, filters_of
from remusnet.policy.verdict import Verdict
from remusnet.results.protection import Difference

Targets = tuple[int, int | None]
"""The numbers of a buffer device and of its sink, None for none."""


def targets_of(protection: Protection, seen: Seen, *, missing: int) -> Targets:
    """Where the filters of ``protection`` should send what they hold.

    ``missing``: the number of a device that is not there; filters whose device is gone show 0.
    """
    buffer, sink = (seen.devices.get(each) for each in (protection.buffer, protection.sink))
    number = buffer.index if buffer else missing
    if not protection.sink:
        return number, None
    return number, sink.index if sink else missing


class Wanted:
    """The filters of a policy as each vif should have them, worked out once."""

    def __init__(self, classification: Classification) -> None:
        self._classification = classification
        self._added: dict[int, tuple[Filter, ...]] = {}
        self._shown: dict[tuple[int, bool], tuple[SeenFilter, ...]] = {}

    def added(self, bank: int) -> tuple[Filter, ...]:
        """In the order in which apply adds them: what holds every frame first."""
        if bank not in self._added:
            self._added[bank] = filters_of(self._classification, bank)
        return self._added[bank]

    def asked(self, bank: int) -> tuple[Filter, ...]:
        """Its filters in the order in which the kernel asks them."""
        return tuple(sorted(self.added(bank), key=lambda each: each.pref))

    def shown(self, bank: int, *, shared: bool) -> tuple[SeenFilter, ...]:
        """As the kernel should show them, but for the devices that they send to."""
        key = (bank, shared)
        if key not in self._shown:
            cookie = filter_mark(shared=shared)
            self._shown[key] = tuple(
                SeenFilter(
                    kind_of(each.match).name,
                    each.pref,
                    each.protocol,
                    canonical(each),
                    each.verdict,
                    cookie=cookie if each.verdict is Verdict.HOLD else b"",
                )
                for each in self.asked(bank)
            )
        return self._shown[key]

    def complete(self, own: Sequence[SeenFilter], targets: Targets, *, shared: bool) -> int | None:
        """The bank in which ``own`` is all of the plan, sending to ``targets``, if any.

        Filters in other banks are not looked at.
        """
        for bank in BANKS:
            wanted = self.shown(bank, shared=shared)
            there = in_bank(own, bank)
            if len(there) == len(wanted) and all(map(_same, there, wanted)):
                holds = [each for each in there if each.verdict is Verdict.HOLD]
                if all((each.target, each.sink) == targets for each in holds):
                    return bank
        return None


def wanted_of(plan: Plan) -> Wanted:
    """The filters of ``plan``: the same for all plans of the same classification."""
    return _wanted(Same(plan.classification))


@lru_cache(maxsize=64)
def _wanted(classification: Same[Classification]) -> Wanted:
    return Wanted(classification.value)


def in_bank(own: Sequence[SeenFilter], bank: int) -> tuple[SeenFilter, ...]:
    """Those of a vif's filters whose preference is one of ``bank``."""
    low, high = (BANKS[1], 1 << 16) if bank else (2, BANKS[1])
    return tuple(each for each in own if low <= each.pref < high)


def _same(one: SeenFilter, other: SeenFilter) -> bool:
    return _key(one) == _key(other)


def _key(each: SeenFilter) -> tuple[object, ...]:
    return each.pref, each.protocol, each.match, each.verdict, each.cookie, each.kind


_LONGEST_SELECTOR = 80
_COUPLED = "what is held keeps the guest's pages"


def drift(receipt: Receipt, seen: Seen) -> tuple[Difference, ...]:
    """All differences; none means that the kernel is as the receipt says.

    Not among them, since it can't be read back: whether the plug is open, and its limit, but for
    what `is_limit_less` can tell.
    """
    return tuple(_differences(receipt, seen))


def _differences(receipt: Receipt, seen: Seen) -> Iterator[Difference]:
    if receipt.phase is not Phase.APPLIED:
        yield Difference(receipt.buffer, "receipt", "applied", f"cut short while {receipt.phase}")
    yield from _buffer(receipt, seen)
    yield from _sink(receipt, seen)
    for vif in receipt.vifs:
        yield from _vif(receipt, vif, seen)


def _buffer(receipt: Receipt, seen: Seen) -> Iterator[Difference]:
    name = receipt.buffer
    device = seen.devices.get(name)
    if device is None:
        yield Difference(name, "buffer device", "there", "gone: what should be held is dropped")
        return
    if receipt.index and device.index != receipt.index:
        current = f"number {device.index}: somebody has made it anew"
        yield Difference(name, "buffer device", f"number {receipt.index}", current)
    if has_new_queue(receipt, seen):
        current = f"{device.queue}: what was held when it was changed is lost"
        yield Difference(name, "txqueuelen", f"{receipt.queue}", current)
    if vifs_of(device) != receipt.vifs:
        yield Difference(name, "alias", buffer_alias(receipt.vifs), device.alias or "none")
    if not device.up:
        yield Difference(name, "state", "up", "down: what should be held is dropped")
    root = seen.root(name)
    if root is None:
        yield Difference(name, "root qdisc", "plug", "none: what should be held leaves at once")
    elif root.kind != "plug":
        yield Difference(name, "root qdisc", "plug", f"{root.kind}, which is not remusnet's")
    elif has_new_plug(receipt, seen):
        current = f"plug {root.handle >> 16:x}:, which somebody has made in its place"
        yield Difference(name, "root qdisc", f"plug {receipt.handle >> 16:x}:", current)
    elif is_limit_less(receipt, seen):
        current = f"less: {dropped(receipt, seen)} frames were dropped, and all that came would fit"
        yield Difference(name, "limit of the plug", f"{receipt.limit} bytes", current)


def _sink(receipt: Receipt, seen: Seen) -> Iterator[Difference]:
    for each in sinks_for(receipt.vifs, seen):
        if each.name != receipt.sink:
            yield Difference(each.name, "sink", "none", "there")
    if not receipt.sink:
        return
    name = receipt.sink
    device = seen.devices.get(name)
    if device is None:
        yield Difference(name, "sink", "there", f"gone: {_COUPLED}")
        return
    if vifs_of_sink(device) != receipt.vifs:
        yield Difference(name, "alias", sink_alias(receipt.vifs), device.alias or "none")
    if not device.up:
        yield Difference(name, "state", "up", f"down: {_COUPLED}")
    root = seen.root(name)
    if root is None:
        current = "none: what was redirected before it came leaves at once"
        yield Difference(name, "root qdisc", SEAL, current)
    elif root.kind != "pfifo":
        yield Difference(name, "root qdisc", SEAL, f"{root.kind}, which is not remusnet's")


def _vif(receipt: Receipt, vif: str, seen: Seen) -> Iterator[Difference]:
    if vif not in seen.devices:
        other = seen.names.get(receipt.index_of(vif) or 0)
        yield Difference(vif, "vif", "there", f"renamed to {other}" if other else "gone")
        return
    if not is_about(receipt, vif, seen):
        current = f"another of its name, number {seen.devices[vif].index}"
        yield Difference(vif, "vif", f"the one of number {receipt.index_of(vif)}", current)
    for program in seen.programs.get(vif, ()):
        current = f"{program}, which sees frames first and may let them pass"
        yield Difference(vif, "program before the filters", "none", current)
    qdisc = seen.ingress_of(vif)
    if qdisc is None:
        yield Difference(vif, "ingress qdisc", "there", "gone: every frame bypasses")
        return
    if qdisc.block:
        current = f"asks a shared block's ({qdisc.block}), which are not remusnet's"
        yield Difference(vif, "ingress qdisc", "with filters of its own", current)
    own = own_filters(vif, seen, receipt)
    plan = receipt.plan()
    targets = targets_of(plan.protections[0], seen, missing=0)
    wanted, shared = wanted_of(plan), is_shared(vif, seen, receipt)
    bank = wanted.complete(own, targets, shared=shared)
    if bank is None or len(in_bank(own, bank)) != len(own):
        candidates = [wanted.shown(each, shared=shared) for each in BANKS]
        yield from _filters(receipt, vif, candidates, own, targets)
    for each in foreign_filters(vif, seen, receipt):
        yield Difference(vif, "filter", "none but remusnet's", str(each))


def _filters(
    receipt: Receipt,
    vif: str,
    candidates: Sequence[tuple[SeenFilter, ...]],
    own: tuple[SeenFilter, ...],
    targets: Targets,
) -> Iterator[Difference]:
    """Compares with the bank that has more in common with the receipt; the rest is beyond it."""
    if not own:
        yield Difference(vif, "filters", f"policy {receipt.policy_name}", "none: all bypasses")
        return
    wanted = max(candidates, key=lambda each: sum((_count(each) & _count(own)).values()))
    for each in (_count(wanted) - _count(own)).elements():
        yield Difference(vif, "filter", _words(each), "none")
    for each in (_count(own) - _count(wanted)).elements():
        guard = " (holds every frame: a change was cut short)" if each.pref == GUARD_PREF else ""
        yield Difference(vif, "filter", "none", _words(each) + guard)
    holds = [each for each in own if each.verdict is Verdict.HOLD]
    lost = [each for each in holds if each.target != targets[0]]
    if lost:
        dangling = all(each.target == 0 for each in lost)
        where = "a device that is gone: they drop" if dangling else "another device"
        yield Difference(vif, "filters that hold", f"send to {receipt.buffer}", f"send to {where}")
    yield from _mirroring(receipt, vif, [e for e in holds if e.sink != targets[1]])
    marks = [{each.cookie for each in filters if each.cookie} for filters in (wanted, own)]
    if marks[0] != marks[1]:
        texts = [", ".join(sorted(mark.decode() for mark in found)) for found in marks]
        yield Difference(vif, "cookie of the filters", *texts)
    if _count(wanted) == _count(own) and list(map(_plain, wanted)) != list(map(_plain, own)):
        yield Difference(vif, "filters", "in the order of the policy", "in another order")


def _mirroring(receipt: Receipt, vif: str, others: Sequence[SeenFilter]) -> Iterator[Difference]:
    """``others``: filters that hold, and mirror to something else than they should."""
    if not others:
        return
    if not receipt.sink:
        yield Difference(vif, "filters that hold", "mirror to nothing", "mirror to a device")
        return
    if all(each.sink is None for each in others):
        where = f"nothing: {_COUPLED}"
    elif all(not each.sink for each in others):
        where = f"a device that is gone: {_COUPLED}"
    else:
        where = "another device"
    yield Difference(vif, "filters that hold", f"mirror to {receipt.sink}", f"mirror to {where}")


def _plain(each: SeenFilter) -> SeenFilter:
    """What it does, without where to and whose it is."""
    return replace(each, target=0, sink=None, cookie=b"")


def _count(filters: tuple[SeenFilter, ...]) -> Counter[SeenFilter]:
    return Counter(map(_plain, filters))


def _words(each: SeenFilter) -> str:
    selector = " ".join(match_words(each.match)) if each.match else each.kind
    if len(selector) > _LONGEST_SELECTOR:
        selector = f"{selector[:_LONGEST_SELECTOR]}..."
    where = f"protocol {protocol_name(each.protocol)} pref {each.pref}"
    return f"{where} {selector}: {each.verdict or 'unknown'}"


_HEADERS = 32
"""Bytes of a frame, at most, that a filter doesn't count and the plug does: Ethernet, and tags."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Packets: ``held`` by the plug since it was made (None without one), ``refused`` by a device
    down or gone, ``taken`` out of the way in all, whatever became of them.
    """

    held: int | None
    refused: int
    taken: int


def counts(
    buffer: str,
    vifs: Iterable[str],
    receipt: Receipt | None,
    seen: Seen,
    later: Counters | None = None,
) -> Counts:
    """What ``vifs`` have sent to the plug of ``buffer``, from what the kernel counts.

    A plug counts what it has let go, holds and has dropped, since it was made. act_mirred counts
    for each filter that holds the frames that it took, and as overlimits those that could not be
    sent on: the plug's drops, and what found the buffer device down or gone
    (net/sched/act_mirred.c). What was purged with a plug shows nowhere else. New filters begin at
    0: a receipt notes what went before.

    ``later``: the plug's counters behind a look at the filters; what it dropped in between would
    count as refused.
    """
    holds = tuple(holding(vifs, seen))
    refused = sum(each.counters.overlimits for each in holds)
    taken = sum(each.counters.packets for each in holds)
    if receipt is not None:
        taken += receipt.taken
    root = seen.root(buffer)
    if root is None or root.kind != "plug":
        return Counts(None, refused + (receipt.refused if receipt else 0), taken)
    drops = (later or root.counters).drops
    if receipt is not None and receipt.handle == root.handle:
        drops -= receipt.drops  # those were counted by filters that are gone
    refused = max(0, refused - drops) + (receipt.refused if receipt else 0)
    held = root.counters.packets + root.counters.qlen
    # While filters were replaced some frames were counted by none that is left.
    return Counts(held, refused, max(taken, held + root.counters.drops + refused))


def dropped(receipt: Receipt, seen: Seen) -> int:
    """Frames that the plug has dropped since it was told its limit; 0 where that is unknown."""
    root = seen.root(receipt.buffer)
    if not receipt.handle or root is None or has_new_plug(receipt, seen):
        return 0
    return max(0, root.counters.drops - receipt.told)


def is_limit_less(receipt: Receipt, seen: Seen) -> bool:
    """Whether the plug's limit is certainly less than the receipt says.

    It can't be read, but the plug's drops speak: it drops a frame only if that would exceed the
    limit. So if all that has ever come would fit together, and some of it was dropped, a program
    has told the plug a smaller limit. That much can be proven while no more has come than the
    limit; later a drop may also mean what it should.
    """
    if not dropped(receipt, seen):
        return False
    came = receipt.held
    for each in holding(receipt.vifs, seen):
        came += each.counters.bytes + _HEADERS * each.counters.packets
    return came <= receipt.limit

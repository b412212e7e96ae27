"""A policy on one or more vifs: a plan, its operations in a safe order, and their undo."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from remusnet.classify.bpf.compiler import compile_bpf
from remusnet.classify.filters import LAST_PREF, Classification, Filter
from remusnet.classify.flower.compiler import compile_flower
from remusnet.classify.reference import hazards_of_policy
from remusnet.classify.u32.compiler import compile_u32
from remusnet.defaults import CLASSIFIER
from remusnet.errors import InvalidInput, MissingDependency, quoted, suggestion
from remusnet.plan.devices import (
    LARGEST_LIMIT,
    MEMORY_COST,
    buffer_alias,
    buffer_name,
    check_device_name,
    explain_limit,
    is_emulated,
    memory_limit,
    memory_needed,
    plug_limit,
    sink_alias,
    sink_name,
)
from remusnet.plan.operations import (
    AddFilter,
    AddIngress,
    AddPlug,
    CreateBuffer,
    CreateSink,
    DeleteFilters,
    DeleteSink,
    MarkDevice,
    OpenPlug,
    QuietDevice,
    RaiseDevice,
    SealSink,
)
from remusnet.plan.rows import Json, Operation
from remusnet.policy.policy import Policy
from remusnet.units import format_size

LONGEST_ALIAS = 255
"""IFALIASZ less the terminating zero (linux/if.h)."""


@dataclass(frozen=True, slots=True)
class Protection:
    """One buffer device and the vifs whose held frames go to it.

    ``sink``: what they are mirrored to, so that the kernel copies their pages; empty for none.
    """

    buffer: str
    vifs: tuple[str, ...]
    sink: str = ""


def filters_of(classification: Classification, bank: int = 0) -> tuple[Filter, ...]:
    """The filters of each vif in the order in which they are added, at preferences of ``bank``.

    The filter that holds what no other lets pass comes first, and within a preference a hold
    stands before the bypass it subtracts from: a plan that is cut short, or that replaces another
    on a busy vif, holds too much at each step and never too little.
    """
    last_first = sorted(classification.filters, key=lambda f: f.pref != LAST_PREF)
    return tuple(replace(each, pref=each.pref + bank) for each in last_first)


@dataclass(frozen=True, slots=True)
class Plan:
    """What protects ``protections`` with ``classification``; plugs hold up to ``limit`` bytes.

    ``rate`` (bits a second), ``interval_ns``: what the limit comes from; None where it was given.
    ``memory``: the budget in bytes of each plug, where the limit comes from that.
    ``warnings``: one sentence each, what the user should know before it is applied.
    """

    classification: Classification
    protections: tuple[Protection, ...]
    limit: int
    warnings: tuple[str, ...] = ()
    rate: int | None = None
    interval_ns: int | None = None
    memory: int | None = None

    @property
    def operations(self) -> tuple[Operation, ...]:
        """In order: nothing is redirected before the plug that takes it is there and open."""
        filters = self.filters()
        return tuple(
            operation
            for protection in self.protections
            for operation in self._protect(protection, filters)
        )

    @property
    def undo(self) -> tuple[Operation, ...]:
        """The operations that take the whole plan back, in reverse order."""
        return tuple(undo_of(self.operations))

    def filters(self, bank: int = 0) -> tuple[Filter, ...]:
        """As `filters_of` its classification."""
        return filters_of(self.classification, bank)

    @property
    def limit_reason(self) -> str:
        """Where the limit comes from, for a person."""
        return explain_limit(self.limit, self.rate, self.interval_ns, self.memory)

    @property
    def vifs(self) -> tuple[str, ...]:
        """All vifs of the plan."""
        return tuple(vif for protection in self.protections for vif in protection.vifs)

    def _protect(self, protection: Protection, filters: Sequence[Filter]) -> Iterator[Operation]:
        buffer = protection.buffer
        yield CreateBuffer(buffer)
        yield MarkDevice(buffer, buffer_alias(protection.vifs))
        yield QuietDevice(buffer)
        yield RaiseDevice(buffer)
        yield AddPlug(buffer, self.limit)
        yield OpenPlug(buffer)
        if protection.sink:
            yield from sink_operations(protection.sink, sink_alias(protection.vifs))
        for vif in protection.vifs:
            yield AddIngress(vif)
            for each in filters:
                yield AddFilter(vif, buffer, each, sink=protection.sink)

    def to_json(self) -> Json:
        """The form of ``remusnet plan --format json``."""
        return {
            "policy": self.classification.policy.name,
            "classifier": self.classification.classifier,
            "exact": self.classification.exact,
            "holds_beyond": [str(each) for each in self.classification.beyond],
            "warnings": list(self.warnings),
            "limit": self.limit,
            "rate": self.rate,
            "interval_ns": self.interval_ns,
            "memory": self.memory,
            "memory_needed": memory_needed(self.limit),
            "protections": [
                {"buffer": each.buffer, "sink": each.sink or None, "vifs": list(each.vifs)}
                for each in self.protections
            ],
            "operations": [each.to_json() for each in self.operations],
        }


def sink_operations(device: str, alias: str) -> tuple[Operation, ...]:
    """What makes ``device`` a sink. It drops what it gets before anything is mirrored to it."""
    return (
        CreateSink(device),
        MarkDevice(device, alias),
        SealSink(device),
        QuietDevice(device),
        RaiseDevice(device),
    )


def undo_of(done: Sequence[Operation]) -> Iterator[Operation]:
    """The operations that take ``done`` back, in reverse order.

    A filter goes with the ingress qdisc that was added for it; where that was there before, all of
    its preference go at once.
    """
    ingress = {each.device for each in done if isinstance(each, AddIngress)}
    gone: set[DeleteFilters] = set()
    for each in reversed(done):
        if isinstance(each, AddFilter) and each.device not in ingress:
            what = each.filter
            deletion = DeleteFilters(each.device, what.pref, what.protocol, each.shared)
            if deletion not in gone:
                gone.add(deletion)
                yield deletion
        elif isinstance(each, DeleteSink):
            yield from sink_operations(each.device, each.alias)
        else:
            yield from each.undo


def protections(
    vifs: Sequence[str | tuple[str, ...]], buffer: str | None = None, *, decouple: bool = True
) -> tuple[Protection, ...]:
    """A buffer device for each of ``vifs``, or ``buffer`` for all of them together.

    Those in a tuple are one network card of a guest: they share the device of the first.
    ``decouple``: with a sink for each buffer device, but where all its vifs are emulated cards:
    netback does not serve these, and what QEMU sends has been copied already.

    Raises InvalidInput for names that no device can have, for a name given twice, and for more
    vifs than the mark of one buffer device can name.
    """
    groups = [(each,) if isinstance(each, str) else each for each in vifs]
    names = tuple(vif for group in groups for vif in group)
    for name in (*names, *([] if buffer is None else [buffer])):
        check_device_name(name)
    if len(set(names)) != len(names):
        raise InvalidInput(f"a vif is named twice: {' '.join(names)}")
    if buffer is None:
        found = tuple(_protection(buffer_name(group[0]), group, decouple) for group in groups)
    else:
        found = (_protection(buffer, names, decouple),)
    for each in found:
        if each.buffer in names:
            raise InvalidInput(f"{each.buffer} can not be a vif and a buffer device")
        if each.sink in names:
            raise InvalidInput(f"{each.sink} can not be a vif and the sink of {each.buffer}")
        if len(sink_alias(each.vifs)) > LONGEST_ALIAS:
            raise InvalidInput(
                f"too many vifs for one buffer device: their names have more than the "
                f"{LONGEST_ALIAS} characters that its alias can have"
            )
    return found


def _protection(buffer: str, vifs: tuple[str, ...], decouple: bool) -> Protection:
    sink = sink_name(buffer) if decouple and not all(map(is_emulated, vifs)) else ""
    return Protection(buffer, vifs, sink)


CLASSIFIERS: dict[str, Callable[[Policy], Classification]] = {
    "u32": compile_u32,
    "bpf": compile_bpf,
    "flower": compile_flower,
}
"""Back ends by the name that ``--classifier`` takes, the cheapest first."""

NEEDS: dict[str, frozenset[str]] = {
    "u32": frozenset({"u32"}),
    "bpf": frozenset({"bpf"}),
    "flower": frozenset({"flower", "u32"}),
}
"""The tc classifiers that each back end needs of the kernel, beside act_mirred."""

LARGEST_FRAME = 65536 + 14
"""A GSO frame of 64 KiB and its Ethernet header: a plug that can't take one holds nothing back."""


def build_plan(
    vifs: Sequence[str | tuple[str, ...]],
    policy: Policy,
    *,
    classifier: str = CLASSIFIER,
    buffer: str | None = None,
    rate: int,
    interval_ns: int,
    limit: int | None = None,
    memory: int | None = None,
    decouple: bool = True,
) -> Plan:
    """The plan that holds what ``policy`` holds of what the guests behind ``vifs`` send.

    ``vifs``: those in a tuple are one network card, and share a buffer device. ``rate``: bits a
    second of the link, ``interval_ns``: the checkpoint interval; from them the plug's limit in
    bytes, unless ``limit`` gives it, or ``memory``, the bytes of memory that each plug may cost:
    then it is that / 12.5 (see `remusnet.plan.devices`). ``decouple``: held frames don't keep the
    guest's pages (see `remusnet.plan.plan.protections`). Raises InvalidInput.
    """
    if classifier not in CLASSIFIERS:
        raise InvalidInput(
            f"unknown classifier: {quoted(classifier)}{suggestion(classifier, CLASSIFIERS)}; "
            f"known are {', '.join(CLASSIFIERS)}"
        )
    if limit is not None and memory is not None:
        raise InvalidInput("a limit and a memory budget: give one of them")
    given = limit is not None or memory is not None
    if memory is not None:
        limit = memory_limit(memory)
        if not LARGEST_FRAME <= limit <= LARGEST_LIMIT:
            raise InvalidInput(
                f"invalid memory budget: {memory} bytes; expected {memory_needed(LARGEST_FRAME)} "
                f"({MEMORY_COST} times one GSO frame) to {memory_needed(LARGEST_LIMIT)}"
            )
    if limit is None:
        limit = plug_limit(rate, interval_ns)
    if not LARGEST_FRAME <= limit <= LARGEST_LIMIT:
        raise InvalidInput(
            f"invalid limit: {limit} bytes; expected {LARGEST_FRAME} (one GSO frame) "
            f"to {LARGEST_LIMIT}"
        )
    protected = protections(vifs, buffer, decouple=decouple)
    wanted = plug_limit(rate, interval_ns)
    if memory is None:
        about_memory = _unbounded(limit, len(protected))
    else:
        about_memory = _too_small(limit, wanted, explain_limit(wanted, rate, interval_ns))
    return Plan(
        CLASSIFIERS[classifier](policy),
        protected,
        limit,
        (*_warnings(policy), *about_memory),
        rate=None if given else rate,
        interval_ns=None if given else interval_ns,
        memory=memory,
    )


def _unbounded(limit: int, plugs: int) -> Iterator[str]:
    """What a guest can make the kernel pay where the user has given no memory budget."""
    each = "" if plugs == 1 else " for each buffer device"
    yield (
        f"a guest that floods small frames can cost {format_size(memory_needed(limit))} of memory"
        f"{each}, {MEMORY_COST} times the limit; --memory bounds it"
    )


def _too_small(limit: int, wanted: int, reason: str) -> Iterator[str]:
    if limit < wanted:
        yield (
            f"the memory budget lets a plug hold {format_size(limit)}, less than {reason} "
            f"({format_size(wanted)}): a guest that sends more in two epochs loses frames"
        )


def _warnings(policy: Policy) -> Iterator[str]:
    for hazard, examples in hazards_of_policy(policy):
        # An example that the text begins with says nothing new.
        new = [each for each in dict.fromkeys(examples) if not hazard.text.startswith(each)]
        yield f"{hazard.text} ({', '.join(new)})" if new else hazard.text


def choose_classifier(policy: Policy, available: Collection[str]) -> str:
    """The back end to take for ``policy`` where the kernel has the tc classifiers ``available``.

    An exact one if there is any, else the first that is sound. Raises MissingDependency where the
    kernel has what no back end can do with, InvalidInput where none of those can take the policy.
    """
    possible = [name for name in CLASSIFIERS if NEEDS[name] <= set(available)]
    if not possible:
        raise MissingDependency(
            "this kernel has neither of the tc classifiers u32 and bpf: load cls_u32 or cls_bpf"
        )
    sound, refused = [], []
    for name in possible:
        try:
            found = CLASSIFIERS[name](policy)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        if found.exact:
            return name
        sound.append(name)
    if not sound:
        raise InvalidInput("; ".join(refused))
    return sound[0]

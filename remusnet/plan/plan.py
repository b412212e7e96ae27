"""A policy on one or more vifs, as operations in the order in which they are safe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from remusnet.classify.filters import LAST_PREF, Classification, Filter
from remusnet.errors import InvalidInput
from remusnet.plan.limits import explain_limit, memory_needed
from remusnet.plan.names import (
    buffer_alias,
    buffer_name,
    check_device_name,
    is_emulated,
    sink_alias,
    sink_name,
)
from remusnet.plan.operations import (
    AddFilter,
    AddIngress,
    AddPlug,
    CreateBuffer,
    MarkDevice,
    OpenPlug,
    QuietDevice,
    RaiseDevice,
    sink_operations,
    undo_of,
)
from remusnet.plan.rows import Json, Operation

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
        """What takes the whole plan back, in reverse order."""
        return tuple(undo_of(self.operations))

    def filters(self, bank: int = 0) -> tuple[Filter, ...]:
        """The filters of each vif in the order in which they are added, at preferences of ``bank``.

        The filter that holds what no other lets pass comes first, and within a preference a hold
        stands before the bypass it subtracts from: a plan that is cut short, or that replaces
        another on a busy vif, holds too much at each step and never too little.
        """
        last_first = sorted(self.classification.filters, key=lambda f: f.pref != LAST_PREF)
        return tuple(replace(each, pref=each.pref + bank) for each in last_first)

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

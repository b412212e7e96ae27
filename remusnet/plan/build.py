"""From what a user asks for to a plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from remusnet.classify.bpf.compiler import compile_bpf
from remusnet.classify.filters import Classification
from remusnet.classify.flower.compiler import compile_flower
from remusnet.classify.hazards import hazards_of_policy
from remusnet.classify.u32.compiler import compile_u32
from remusnet.defaults import CLASSIFIER
from remusnet.errors import InvalidInput, MissingDependency, quoted, suggestion
from remusnet.plan.limits import (
    LARGEST_LIMIT,
    MEMORY_COST,
    explain_limit,
    memory_limit,
    memory_needed,
    plug_limit,
)
from remusnet.plan.plan import Plan, protections
from remusnet.policy.policy import Policy
from remusnet.units import format_size

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
    then it is that / 12.5 (see `remusnet.plan.limits`). ``decouple``: held frames don't keep the
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
    """What a guest can make the kernel pay where nobody has said what it may."""
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

"""From what a user asks for to a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from remusnet.classify.bpf import compile_bpf
from remusnet.classify.filters import Classification
from remusnet.classify.flower import compile_flower
from remusnet.classify.hazards import hazards_of_policy
from remusnet.classify.u32 import compile_u32
from remusnet.errors import InvalidInput, quoted, suggestion
from remusnet.plan.limits import LARGEST_LIMIT, plug_limit
from remusnet.plan.plan import Plan, protections
from remusnet.policy.policy import Policy

CLASSIFIERS: dict[str, Callable[[Policy], Classification]] = {
    "u32": compile_u32,
    "bpf": compile_bpf,
    "flower": compile_flower,
}
"""Back ends by the name that ``--classifier`` takes, the cheapest first."""

LARGEST_FRAME = 65536 + 14
"""A GSO frame of 64 KiB and its Ethernet header: a plug that can't take one holds nothing back."""


def build_plan(
    vifs: Sequence[str | tuple[str, ...]],
    policy: Policy,
    *,
    classifier: str = "u32",
    buffer: str | None = None,
    rate: int,
    interval_ns: int,
    limit: int | None = None,
    decouple: bool = True,
) -> Plan:
    """The plan that holds what ``policy`` holds of what the guests behind ``vifs`` send.

    ``vifs``: those in a tuple are one network card, and share a buffer device. ``rate``: bits a
    second of the link, ``interval_ns``: the checkpoint interval; from them the plug's limit in
    bytes, unless ``limit`` gives it. ``decouple``: held frames don't keep the guest's pages (see
    `remusnet.plan.plan.protections`). Raises InvalidInput.
    """
    if classifier not in CLASSIFIERS:
        raise InvalidInput(
            f"unknown classifier: {quoted(classifier)}{suggestion(classifier, CLASSIFIERS)}; "
            f"known are {', '.join(CLASSIFIERS)}"
        )
    given = limit is not None
    if limit is None:
        limit = plug_limit(rate, interval_ns)
    if not LARGEST_FRAME <= limit <= LARGEST_LIMIT:
        raise InvalidInput(
            f"invalid limit: {limit} bytes; expected {LARGEST_FRAME} (one GSO frame) "
            f"to {LARGEST_LIMIT}"
        )
    return Plan(
        CLASSIFIERS[classifier](policy),
        protections(vifs, buffer, decouple=decouple),
        limit,
        tuple(_warnings(policy)),
        rate=None if given else rate,
        interval_ns=None if given else interval_ns,
    )


def _warnings(policy: Policy) -> Iterator[str]:
    for hazard, examples in hazards_of_policy(policy):
        # An example that the text begins with says nothing new.
        new = [each for each in dict.fromkeys(examples) if not hazard.text.startswith(each)]
        yield f"{hazard.text} ({', '.join(new)})" if new else hazard.text

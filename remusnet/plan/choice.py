"""Which classifier to take, given what the kernel has."""

from __future__ import annotations

from collections.abc import Collection

from remusnet.errors import InvalidInput, MissingDependency
from remusnet.plan.build import CLASSIFIERS
from remusnet.policy.policy import Policy

NEEDS: dict[str, frozenset[str]] = {
    "u32": frozenset({"u32"}),
    "bpf": frozenset({"bpf"}),
    "flower": frozenset({"flower", "u32"}),
}
"""The tc classifiers that each back end needs of the kernel, beside act_mirred."""


def choose(policy: Policy, available: Collection[str]) -> str:
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

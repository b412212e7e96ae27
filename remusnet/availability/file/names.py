"""The places that expressions may name, found as they are asked for.

A module that includes others many times over has more names than could be listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from remusnet.availability.expressions import spelled
from remusnet.availability.module import Module
from remusnet.availability.net import Place

_MOST_NAMES = 2000


class Names(Mapping[str, Mapping[str, int]]):
    """Places of ``module`` and of all that it includes, by path; every slot is 0."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._inside: dict[int, tuple[dict[str, Module], dict[str, Place]]] = {}

    def __getitem__(self, path: str) -> Mapping[str, int]:
        module, words = self._module, path.split(".")
        for word in words[:-1]:
            module = self._of(module)[0][word]
        return dict.fromkeys(self._of(module)[1][words[-1]].colours, 0)

    def _of(self, module: Module) -> tuple[dict[str, Module], dict[str, Place]]:
        """What a module includes, and its places, as expressions write their names."""
        if id(module) not in self._inside:
            self._inside[id(module)] = (
                {spelled(name): each.module for name, each in module.inclusions.items()},
                {spelled(name): place for name, place in module.places.items()},
            )
        return self._inside[id(module)]

    def __iter__(self) -> Iterator[str]:
        """Those near the top: enough to suggest one."""
        return islice(_paths(self._module, ""), _MOST_NAMES)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def transition_names(module: Module) -> list[str]:
    """Paths of transitions near the top, to suggest one."""
    return list(islice(_transitions(module, ""), _MOST_NAMES))


def has_transition(module: Module, path: str) -> bool:
    """Whether there is a transition at ``path``, as expressions would write it."""
    *inner, last = spelled(path).split(".")
    for word in inner:
        found = {spelled(name): each.module for name, each in module.inclusions.items()}
        if word not in found:
            return False
        module = found[word]
    return last in map(spelled, module.transitions)


def _paths(module: Module, prefix: str) -> Iterator[str]:
    for name in module.places:
        yield f"{prefix}{spelled(name)}"
    for name, inclusion in module.inclusions.items():
        yield from _paths(inclusion.module, f"{prefix}{spelled(name)}.")


def _transitions(module: Module, prefix: str) -> Iterator[str]:
    for name in module.transitions:
        yield f"{prefix}{spelled(name)}"
    for name, inclusion in module.inclusions.items():
        yield from _transitions(inclusion.module, f"{prefix}{spelled(name)}.")

"""How a host differs from its desired state, and what became of that. Values to report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from remusnet.errors import RemusnetError
from remusnet.plan.plan import Plan
from remusnet.plan.rows import Json, Operation
from remusnet.results.protection import Applied, Difference, Protected


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What apply would do for ``vifs``, which are to be protected together by ``plan``.

    ``path``: the table of the file that says so, as ``vif[2]``; empty for none. ``operations`` are
    those that are missing. ``refusal``: why apply would do none of them.
    """

    path: str
    plan: Plan
    differences: tuple[Difference, ...]
    operations: tuple[Operation, ...]
    refusal: RemusnetError | None = None

    @property
    def vifs(self) -> tuple[str, ...]:
        """Those that it is about."""
        return self.plan.vifs

    @property
    def buffer(self) -> str:
        """Their buffer device."""
        return self.plan.protections[0].buffer

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.differences or self.operations or self.refusal)

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many operations there are of each kind, in their order."""
        return Counter(each.kind for each in self.operations)

    def to_json(self) -> Json:
        """All of it; each operation with the commands that would do the same."""
        return {
            "path": self.path or None,
            "vifs": list(self.vifs),
            "buffer": self.buffer,
            "policy": self.plan.classification.policy.name,
            "classifier": self.plan.classification.classifier,
            "limit": self.plan.limit,
            "agrees": self.agrees,
            "differences": [asdict(each) for each in self.differences],
            "operations": [
                {
                    "kind": each.kind,
                    "arguments": each.arguments,
                    "commands": [[c.program, *c.arguments] for c in each.commands],
                }
                for each in self.operations
            ],
            "refusal": _error(self.refusal),
        }


@dataclass(frozen=True, slots=True)
class Absent:
    """An entry whose vifs are not there yet: at ``path``, and what it ``wants``."""

    path: str
    wants: str


@dataclass(frozen=True, slots=True)
class HostDifference:
    """The desired state ``origin`` (a file; empty for none), compared with this host.

    ``others``: what is protected though no entry is about it; it stays. ``notes``: one sentence
    each, for the user.
    """

    origin: str
    foreseen: tuple[Foreseen, ...]
    absent: tuple[Absent, ...]
    others: tuple[Protected, ...]
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to do for what is there."""
        return all(each.agrees for each in self.foreseen)

    @property
    def differing(self) -> int:
        """How many vifs are not as they should be."""
        return sum(len(each.vifs) for each in self.foreseen if not each.agrees)

    def to_json(self) -> Json:
        """The document of ``diff --json``."""
        return {
            "origin": self.origin or None,
            "agree": self.agrees,
            "vifs": [each.to_json() for each in self.foreseen],
            "absent": [asdict(each) for each in self.absent],
            "others": [each.to_json() for each in self.others],
        }


@dataclass(frozen=True, slots=True)
class HostApplied:
    """What became of a ``difference``: ``outcomes`` in the order of what was foreseen."""

    difference: HostDifference
    outcomes: tuple[Applied | RemusnetError, ...]
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> Sequence[tuple[Foreseen, RemusnetError]]:
        """The entries that failed, and why."""
        both = zip(self.difference.foreseen, self.outcomes, strict=True)
        return [(each, error) for each, error in both if isinstance(error, RemusnetError)]

    @property
    def exit_code(self) -> int:
        """0, or the highest of those that failed."""
        return max((error.exit_code for _, error in self.failures), default=0)

    def to_json(self) -> Json:
        """The document of ``apply --file --json``: each of `HostDifference`, and its outcome."""
        vifs = []
        for each, found in zip(self.difference.foreseen, self.outcomes, strict=True):
            error = found if isinstance(found, RemusnetError) else None
            done = 0 if isinstance(found, RemusnetError) else len(found.operations)
            said = {k: v for k, v in each.to_json().items() if k not in ("operations", "refusal")}
            vifs.append({**said, "changed": done > 0, "operations": done, "error": _error(error)})
        return {
            **self.difference.to_json(),
            "changed": any(each["changed"] for each in vifs),
            "vifs": vifs,
        }


def _error(error: RemusnetError | None) -> Json | None:
    return None if error is None else {"exit_code": error.exit_code, "text": str(error)}

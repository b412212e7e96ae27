"""What became of a plan: operations done, the state now, and differences. Values to report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from remusnet.plan.plan import Plan
from remusnet.plan.rows import Json, Operation


@dataclass(frozen=True, slots=True)
class ReceiptTerms:
    """What a receipt says of a protection; the kernel can't be asked for the limit.

    ``limit``: bytes; ``rate``: bits a second; ``interval_ns``: the checkpoint interval, and
    ``interval_from`` who says so, empty for the user; ``phase``: ``applied``, or what was cut
    short; ``version``: the remusnet that applied it; ``decouple``: whether held frames were to be
    copied.
    """

    policy: str
    classifier: str
    limit: int
    rate: int
    interval_ns: int
    phase: str
    version: str
    decouple: bool
    interval_from: str = ""


@dataclass(frozen=True, slots=True)
class Protected:
    """A buffer device (empty: only filters are left) and its vifs.

    ``terms`` is None where there is no receipt, and only marks say that it is remusnet's.
    """

    buffer: str
    vifs: tuple[str, ...]
    terms: ReceiptTerms | None

    def to_json(self) -> Json:
        """``{"buffer", "vifs", "receipt": {...} or null}``."""
        terms = None if self.terms is None else asdict(self.terms)
        return {"buffer": self.buffer or None, "vifs": list(self.vifs), "receipt": terms}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the receipt says: ``device``, what of it, and both its states."""

    device: str
    what: str
    desired: str
    current: str

    def __str__(self) -> str:
        return f"{self.device}: {self.what}: desired {self.desired}, current {self.current}"


@dataclass(frozen=True, slots=True)
class Verified:
    """A protection, and how the kernel differs from its receipt; without one nothing agrees."""

    protected: Protected
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether the kernel is as the receipt says."""
        return not self.differences

    def to_json(self) -> Json:
        """The protection, ``agrees``, and ``differences``."""
        differences = [asdict(each) for each in self.differences]
        return {**self.protected.to_json(), "agrees": self.agrees, "differences": differences}


@dataclass(frozen=True, slots=True)
class Status:
    """A protection now.

    ``held`` and ``bypassed`` count packets since the buffer device and the ingress qdisc were made;
    None where the kernel does not tell. ``backlog``: bytes that wait, in ``waiting`` packets.
    ``overflowed`` packets found the plug full; ``refused`` the buffer device down or gone.
    ``decouple``: whether what is held is copied; ``uncopied`` packets could not be, and are held
    nevertheless. ``plug``: the word of its last driver: ``open``, ``buffering``, ``waiting``,
    ``unknown``. ``driver``: as in " by process 4711", empty for none that is known.
    """

    protected: Protected
    held: int | None
    bypassed: int | None
    backlog: int
    waiting: int
    overflowed: int
    refused: int
    decouple: bool
    uncopied: int
    plug: str
    driver: str
    warnings: tuple[str, ...]

    def to_json(self) -> Json:
        """The protection, the numbers, and ``warnings``."""
        return {
            **self.protected.to_json(),
            "held_packets": self.held,
            "bypassed_packets": self.bypassed,
            "backlog_bytes": self.backlog,
            "backlog_packets": self.waiting,
            "overflowed_packets": self.overflowed,
            "refused_packets": self.refused,
            "decouple": self.decouple,
            "uncopied_packets": self.uncopied,
            "plug": self.plug,
            "driven": bool(self.driver),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Applied:
    """What `remusnet.apply` has done: no operation, where the kernel was like that already.

    ``notes``: one sentence each, for the user.
    """

    plan: Plan
    operations: tuple[Operation, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """``changed``, how many ``operations``, and the plan without its operations."""
        plan = {name: value for name, value in self.plan.to_json().items() if name != "operations"}
        return {"changed": bool(self.operations), "operations": len(self.operations), **plan}


class Fate(StrEnum):
    """What became of what was held of a vif."""

    LEFT = "left"
    DROPPED = "dropped"
    """As it was asked for."""
    WAITS = "waits"
    """In the buffer device, which other vifs go on to use."""
    LOST = "lost"
    """The vif was gone, to which it would have gone back."""
    NOTHING = "nothing"
    """The vif was gone, and nothing was held."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What `remusnet.remove` did: to ``vifs`` that were protected, ``unprotected`` ones were not.

    ``fates``: of what was held, by vif. ``left``: a sentence for each thing that could not go.
    ``problems``: what could not be written or deleted in the run directory, one line each.
    """

    vifs: tuple[str, ...]
    unprotected: tuple[str, ...]
    operations: tuple[Operation, ...]
    dropped: bool
    fates: Mapping[str, Fate] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def fate(self, vif: str) -> Fate:
        """What became of what was held of one of ``vifs``."""
        return Fate.DROPPED if self.dropped else self.fates.get(vif, Fate.LEFT)

    def to_json(self) -> Json:
        """``removed`` and ``unprotected`` vifs, whether what was held was ``dropped``, and what
        became of it (``held``, by vif); ``left``.
        """
        return {
            "removed": list(self.vifs),
            "unprotected": list(self.unprotected),
            "dropped": self.dropped,
            "held": {vif: self.fate(vif).value for vif in self.vifs},
            "left": list(self.left),
        }

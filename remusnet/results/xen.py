"""What a Xen host has and what was done to it. Values to report."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from remusnet.plan.rows import Json
from remusnet.results.protection import Status


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file: ``path``, and what was ``done`` to it, in a few words."""

    path: str
    done: str


@dataclass(frozen=True, slots=True)
class Installed:
    """``changes`` in order (none: it was like that already), ``notes`` for the user."""

    changes: tuple[FileChange, ...]
    notes: tuple[str, ...] = ()
    dry_run: bool = False

    def to_json(self) -> Json:
        """``{"changes": [{"path", "done"}], "notes", "dry_run"}``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RemusVif:
    """A vif that a netbuf script was set up for.

    ``domid``, ``name``: of its domain, -1 and empty where it is gone; ``number``: of the vif in the
    domain's configuration. ``ours``: whether remusnet made the buffer device. ``left_over``: why no
    process seems to drive it, empty where one does. ``status``: what holds how much.
    """

    domid: int
    name: str
    number: int
    buffer: str
    ours: bool
    left_over: str
    status: Status | None

    def to_json(self) -> Json:
        """As ``remusnet xen status --json`` has it."""
        return {
            "domid": None if self.domid < 0 else self.domid,
            "domain": self.name or None,
            "vif_number": self.number,
            "buffer": self.buffer,
            "ours": self.ours,
            "left_over": self.left_over or None,
            "protection": None if self.status is None else self.status.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Recovered:
    """A buffer device that a killed xl had left: ``vifs`` that are free of it, or ``kept`` (why).

    ``held``: packets that it held; they have left, or were ``dropped``. ``problems``: what could
    not be written or deleted in the run directory, one line each.
    """

    buffer: str
    vifs: tuple[str, ...]
    domain: str
    held: int
    dropped: bool = False
    kept: str = ""
    problems: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """As ``remusnet xen recover --json`` has it."""
        return asdict(self) | {"kept": self.kept or None, "problems": list(self.problems)}

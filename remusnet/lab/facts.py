"""What a lab would be on this machine: its kernel, whose rights it has, and the registers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remusnet.lab import xstate
from remusnet.lab.uml import Uml


@dataclass(frozen=True, slots=True)
class Facts:
    """``kernel``: its file; ``version``: major and minor; ``memory``: such as 256M.

    ``account``: whose rights jobs have. ``area``: bytes of this processor's extended registers;
    ``holds``: how many the kernel has room for, None where it asks the host. ``preload``: what is
    loaded before the kernel.
    """

    kernel: Path
    version: str
    virtual: bool
    memory: str
    account: str
    area: int
    holds: int | None
    preload: tuple[Path, ...]

    @classmethod
    def of(cls, lab: Uml) -> Facts:
        """Those of ``lab``."""
        version = xstate.kernel_version(lab.kernel.modules)
        return cls(
            kernel=lab.kernel.linux,
            version=".".join(map(str, version)),
            virtual=lab.kernel.virtual,
            memory=lab.memory,
            account=lab.account.name,
            area=xstate.host_area(),
            holds=xstate.UML_BUFFER if version < xstate.FIRST_WITHOUT else None,
            preload=lab.kernel.preload,
        )

    def lines(self) -> list[str]:
        """The facts, for a person."""
        time = "virtual time" if self.virtual else "real time"
        registers = f"this processor has {self.area:,} bytes"
        if self.holds is not None:
            registers += f", the kernel holds {self.holds:,}"
        return [
            f"kernel:         {self.kernel}, Linux {self.version}, {time}, {self.memory} of memory",
            f"runs as:        {self.account}",
            f"registers:      {registers}",
            f"loaded before:  {', '.join(map(str, self.preload)) or 'nothing is needed'}",
        ]

    def to_json(self) -> dict[str, object]:
        """The facts, for a program."""
        return {
            "kernel": str(self.kernel),
            "version": self.version,
            "virtual_time": self.virtual,
            "memory": self.memory,
            "runs_as": self.account,
            "register_bytes": {"processor": self.area, "kernel": self.holds},
            "loaded_before": [str(each) for each in self.preload],
        }

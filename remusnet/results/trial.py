"""How a trial ended. Values to report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remusnet.plan.rows import Json


class Ending(StrEnum):
    """How a trial ends."""

    CONFIRMED = "confirmed"
    BACK = "gone back"
    STAYS = "stays"
    """It was to go back, and could not: see the problem."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the trial of ``vifs`` ended.

    ``old``: what there was before; ``problem``: why it stays.
    """

    vifs: tuple[str, ...]
    ending: Ending
    old: str
    problem: str = ""

    def __str__(self) -> str:
        name = ", ".join(self.vifs)
        match self.ending:
            case Ending.CONFIRMED:
                return f"{name}: confirmed"
            case Ending.BACK:
                return f"{name}: gone back to {self.old}"
            case _:
                return f"{name}: it stays as it was tried, and did not go back: {self.problem}"

    def to_json(self) -> Json:
        """``vifs``, ``ending``, ``before`` and ``problem``."""
        return {
            "vifs": list(self.vifs),
            "ending": self.ending.value,
            "before": self.old,
            "problem": self.problem or None,
        }

"""What a row came to: in the kernel (kept in a file), in the emulator, and one beside the other."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from statistics import median

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.lab.compare import Tell
from remusnet.lab.compare_tcp import compare_tcp, only_tcp
from remusnet.lab.uml import Uml
from remusnet.policy import PRESETS
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import load
from scripts.tcp.rows import Row

CLOSE, COPIES_CLOSE = 0.15, 0.20
"""How far the emulator may be from the kernel: times, and copies."""
FEW = 1
"""Copies a connection: less than that far apart, they are alike."""


@dataclass(frozen=True, slots=True)
class Figures:
    """``took_ms``: of each connection, ascending, infinite where it never ended.

    ``copies`` of segments by either side, of all together.
    """

    took_ms: tuple[float, ...]
    copies: int

    @property
    def median_ms(self) -> float:
        """The middle of them."""
        return median(self.took_ms)

    @property
    def p95_ms(self) -> float:
        """The nearest rank: of 20 the 19th."""
        return self.took_ms[math.ceil(0.95 * len(self.took_ms)) - 1]


@dataclass(frozen=True, slots=True)
class Seen:
    """A row in a kernel. ``scenario``: its text then."""

    scenario: str
    kernel: str
    date: str
    figures: Figures

    def text(self) -> str:
        """As a file."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def read(cls, text: str) -> Seen:
        """Of a file; raises ValueError, TypeError or KeyError where it's none."""
        found = json.loads(text)
        figures = found["figures"]
        took_ms = tuple(figures["took_ms"])
        return cls(**{**found, "figures": Figures(took_ms, figures["copies"])})


def in_kernel(row: Row, lab: Uml, date: str, tell: Tell) -> Seen:
    """Run it: half a minute for 20 connections. ``tell`` hears how far it is.

    Raises ``LabUnavailable`` and ``LabDied``.
    """
    policy = PRESETS[row.policy]
    found = compare_tcp(_loaded(row), policy, lab, classifier="u32", tell=tell)
    (pair,) = found.groups
    lost = (math.inf,) * (row.connections - len(pair.kernel.completions_ms))
    took_ms = sorted(round(each, 3) for each in pair.kernel.completions_ms)
    figures = Figures((*took_ms, *lost), pair.kernel.copies)
    return Seen(row.scenario(), found.kernel, date, figures)


def emulated(row: Row) -> Figures:
    """The same in the emulator."""
    scenario = only_tcp(_loaded(row))
    (outcome,) = run_scenario(scenario, [PRESETS[row.policy]]).comparison.outcomes
    assert outcome.scene is not None
    transfers = outcome.scene.transfers
    assert len(transfers) == row.connections
    took_ms = sorted(math.inf if t.duration_ms is None else t.duration_ms for t in transfers)
    return Figures(tuple(took_ms), sum(each.retransmissions for each in transfers))


def _loaded(row: Row) -> Scenario:
    return load(row.scenario(), f"{row.name}.toml")


def misses(kernel: Figures, emulator: Figures) -> list[str]:
    """What of the emulator's is farther from the kernel's than it may be."""
    found = [
        f"{what} {ours / theirs:.2f} of the kernel's"
        for what, ours, theirs in (
            ("median", emulator.median_ms, kernel.median_ms),
            ("p95", emulator.p95_ms, kernel.p95_ms),
        )
        if not abs(ours / theirs - 1) <= CLOSE
    ]
    apart = abs(emulator.copies - kernel.copies)
    if apart > max(FEW * len(kernel.took_ms), COPIES_CLOSE * kernel.copies):
        found.append(f"{emulator.copies:,} copies, the kernel {kernel.copies:,}")
    return found

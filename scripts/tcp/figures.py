"""What a row came to: in the kernel (kept in a file), in the emulator, and one beside the other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.policy import PRESETS
from remusnet.scenario.scenario_file import load
from scripts.tcp.rows import PHASES, Row

CLOSE, COPIES_CLOSE = 0.15, 0.20
"""How far the emulator may be from the kernel: times, and copies."""
FEW = 20
"""One copy a connection, or fewer: less than that far apart, copies are alike."""


@dataclass(frozen=True, slots=True)
class Figures:
    """``took_ms``: of each connection, ascending, infinite where it never ended.

    ``copies`` of segments and ``timeouts`` by either side, of all together.
    """

    took_ms: tuple[float, ...]
    copies: int
    timeouts: int

    @property
    def median_ms(self) -> float:
        """The middle of them."""
        return median(self.took_ms)

    @property
    def p95_ms(self) -> float:
        """The nearest rank: the 19th of 20."""
        return self.took_ms[math.ceil(0.95 * len(self.took_ms)) - 1]


@dataclass(frozen=True, slots=True)
class Seen:
    """A row in a kernel. ``terms``: the row's then; ``counters``: TCP's, by side."""

    terms: Mapping[str, object]
    kernel: str
    date: str
    took_ms: tuple[float, ...]
    counters: Mapping[str, Mapping[str, int]]

    @property
    def figures(self) -> Figures:
        """To be compared."""
        return Figures(self.took_ms, self.count("copies"), self.count("timeouts"))

    def count(self, name: str) -> int:
        """Of both sides."""
        return sum(side.get(name, 0) for side in self.counters.values())

    def text(self) -> str:
        """As a file."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, text: str) -> Seen:
        """Of a file; raises ValueError, TypeError or KeyError where it's none."""
        found = json.loads(text)
        return cls(**{**found, "took_ms": tuple(found["took_ms"])})


def emulated(row: Row) -> Figures:
    """The same in the emulator."""
    scenario = load(row.scenario(), f"{row.name}.toml")
    (outcome,) = run_scenario(scenario, [PRESETS[row.policy]]).comparison.outcomes
    assert outcome.scene is not None
    transfers = outcome.scene.transfers
    assert len(transfers) == PHASES
    ends = {each.number: each.completed_ns for each in transfers}
    if row.writes:
        ends = {int(t.call): t.end_ns for t in outcome.scene.sip if t.name == "INVITE"}
    took_ms = sorted(_took_ms(each.start_ns, ends[each.number]) for each in transfers)
    copies = sum(each.retransmissions for each in transfers)
    return Figures(tuple(took_ms), copies, sum(each.timeouts for each in transfers))


def _took_ms(start_ns: int, end_ns: int | None) -> float:
    return math.inf if end_ns is None else (end_ns - start_ns) / NS_PER_MS


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
    if apart > max(FEW, COPIES_CLOSE * kernel.copies):
        found.append(f"{emulator.copies:,} copies, the kernel {kernel.copies:,}")
    return found

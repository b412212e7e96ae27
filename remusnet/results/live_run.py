"""What a live run came to: measured as a simulation is, and what only a real program has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from remusnet.metrics.percentiles import NS_PER_MS, rounded
from remusnet.results.comparison import Comparison, Outcome, Simulation

_FEWEST = 1000
"""Frames without which a cost for each says nothing."""


@dataclass(frozen=True, slots=True)
class StreamView:
    """An RTP stream as it leaves: packets and mean jitter of the last seconds."""

    flow: str
    packets: int
    jitter_ms: float


@dataclass(frozen=True, slots=True)
class LiveView:
    """A run so far: frames, and ``seconds`` since its start. Hold, retransmissions and streams are
    those of the last seconds. ``waiting``: frames held now, None where they are not counted.
    """

    seconds: float
    epochs: int
    held: int
    released: int
    bypassed: int
    dropped: int
    waiting: int | None
    tcp_hold_ms: float | None
    tcp_hold_max_ms: float | None
    retransmitted: int
    streams: tuple[StreamView, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LiveResult:
    """One live run. ``plug``: ``kernel`` or ``userspace``; None without a policy.

    ``epochs``: checkpoints that have committed. ``retransmitted``: TCP segments that either side
    sent again, ``retransmitted_by_program`` among them. ``exit_code``: the program's, as a shell
    says it. ``kept``: frames that the userspace plug has kept, ``keeper_cpu_ns``: what that cost;
    None with the kernel's. ``lost_failure``: frames that were held when the primary died.
    ``ended_itself``: the program ended unasked.
    """

    simulation: Simulation
    plug: str | None
    epochs: int
    retransmitted: int
    retransmitted_by_program: int
    exit_code: int | None
    keeper_cpu_ns: int | None
    kept: int | None
    lost_failure: int
    ended_itself: bool

    @property
    def outcome(self) -> Outcome:
        """All that was measured of the traffic."""
        return self.simulation.comparison.outcomes[0]

    @property
    def keeper_us_a_frame(self) -> float | None:
        """Processor time of the userspace plug for each frame that it has kept, in microseconds.

        None where it has kept too few to tell.
        """
        if self.keeper_cpu_ns is None or not self.kept or self.kept < _FEWEST:
            return None
        return self.keeper_cpu_ns / 1000 / self.kept

    def _keeper_json(self) -> dict[str, float | None] | None:
        if self.kept is None or self.keeper_cpu_ns is None:
            return None
        cost = self.keeper_us_a_frame
        return {
            "frames": self.kept,
            "cpu_ms": rounded(self.keeper_cpu_ns / NS_PER_MS),
            "us_a_frame": None if cost is None else rounded(cost),
        }

    def to_json(self) -> dict[str, object]:
        """The document of ``remusnet run --json``; see docs/reference/run.md."""
        outcome = self.outcome
        commit = outcome.output_commit
        return {
            "policy": outcome.policy,
            "plug": self.plug,
            "epochs": self.epochs,
            "held": commit.held,
            "bypassed": commit.bypassed,
            "dropped": commit.dropped,
            "violations": commit.violations,
            "exit_code": self.exit_code,
            "streams": [each.to_json() for each in outcome.streams],
            "tcp": {
                "hold_ms": outcome.tcp.to_json(),
                "retransmitted": self.retransmitted,
                "retransmitted_by_program": self.retransmitted_by_program,
            },
            "sip": [each.to_json() for each in outcome.requests],
            "lost_failure": self.lost_failure,
            "keeper": self._keeper_json(),
            "notes": list(self.simulation.comparison.setting.notes),
        }


def together(results: Sequence[LiveResult]) -> Simulation:
    """Runs of one program under several policies, side by side: traffic of its own each."""
    first = results[0].simulation.comparison.setting
    settings = [each.simulation.comparison.setting for each in results]
    checkpointed = next((each for each in settings if each.period_ns), first)
    notes = dict.fromkeys(note for each in settings for note in each.notes)
    outcomes = tuple(each.outcome for each in results)
    released = tuple(frames for each in results for frames in each.simulation.released)
    setting = replace(checkpointed, notes=tuple(notes))
    return Simulation(Comparison(setting, outcomes), released)

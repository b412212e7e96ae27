"""Facts of a simulated scenario that a recording can't tell.

Times are int64 nanoseconds from the scenario's start.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from remusnet.frames import Int64s
from remusnet.metrics.jitter_buffer import JitterBuffer
from remusnet.metrics.percentiles import NS_PER_MS, rounded
from remusnet.results.exchanges import SipTransaction, Transfer


@dataclass(frozen=True, slots=True)
class FailureMarks:
    """When what happened, in ns of the scenario.

    ``state_ns``: the moment whose state the backup goes on from. ``resume_ns``: when it does.
    ``path_ns``: when frames reach it, and the client, again. ``stale_until_ns``: until when a
    stale primary went on sending; None where it died.
    """

    failed_ns: int
    state_ns: int
    resume_ns: int
    path_ns: int
    stale_until_ns: int | None

    def to_json(self) -> dict[str, object]:
        """``failure`` of a run."""
        return {
            "failed_ns": self.failed_ns,
            "state_ns": self.state_ns,
            "resume_ns": self.resume_ns,
            "path_ns": self.path_ns,
            "stale_until_ns": self.stale_until_ns,
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames of one run, those of all traffic together.

    ``frames``: all that were sent, by guest and peers. ``lost_failure``: of the guest's, held when
    the primary died, or sent before the path was back; frames for it that reached no host.
    ``lost_network``: lost by the network. ``duplicates``: RTP packets that came twice.
    ``index_reuse``: see `Origin`. ``ring_stalls``: frames that waited for a slot of the transmit
    ring, bypassing ones among them; ``ring_stall_max_ns``: the longest wait.
    """

    frames: int
    lost_failure: int = 0
    lost_network: int = 0
    duplicates: int = 0
    index_reuse: int = 0
    ring_stalls: int = 0
    ring_stall_max_ns: int = 0

    def to_json(self) -> dict[str, object]:
        """``counts`` of a run."""
        return {
            "frames": self.frames,
            "lost_failure": self.lost_failure,
            "lost_network": self.lost_network,
            "duplicates": self.duplicates,
            "index_reuse": self.index_reuse,
            "ring_stalls": self.ring_stalls,
            "ring_stall_max_ms": rounded(self.ring_stall_max_ns / NS_PER_MS),
        }


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a run is expected to show: a closed form or a sentence of the thesis, and what it did.

    ``text``: the form or the sentence with its source; ``what``: the quantity with its unit.
    ``expected``: a number, or None where only ``lowest`` and ``highest`` bound it. ``tolerance``
    says in words what is allowed; ``holds`` whether it is kept.
    """

    what: str
    text: str
    expected: float | None
    seen: float
    lowest: float
    highest: float
    tolerance: str

    @property
    def holds(self) -> bool:
        """Whether what was seen lies within the bounds, both included."""
        return self.lowest <= self.seen <= self.highest

    def to_json(self) -> dict[str, object]:
        """One element of ``held_to``."""
        return {
            "what": self.what,
            "text": self.text,
            "expected": None if self.expected is None else rounded(self.expected),
            "seen": rounded(self.seen),
            "lowest": rounded(self.lowest),
            "highest": rounded(self.highest),
            "tolerance": self.tolerance,
            "holds": self.holds,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What only a scenario has, for one run of one policy.

    ``resume_ns``: int64[m], when each checkpoint let the guest run again (the replay's `Outcome`
    has suspend and commit). ``failure``: None where the primary lives.
    """

    resume_ns: Int64s
    sip: tuple[SipTransaction, ...]
    transfers: tuple[Transfer, ...]
    counts: Counts
    failure: FailureMarks | None
    expectations: tuple[Expectation, ...]

    def to_json(self) -> dict[str, object]:
        """The keys that a scenario's run has beside a replay's."""
        return {
            "sip": [each.to_json() for each in self.sip],
            "transfers": [each.to_json() for each in self.transfers],
            "counts": self.counts.to_json(),
            "failure": self.failure and self.failure.to_json(),
            "held_to": [each.to_json() for each in self.expectations],
        }


@dataclass(frozen=True, slots=True)
class ScenarioSetting:
    """A scenario's name and description, its assumptions (each a sentence), seed, length.

    ``path``: ``vectorised``, or ``stepwise`` where every frame had to be looked at alone, and why.
    ``buffer``: what plays the media; ``loss_robustness``: G.107's Bpl, None for the codec's.
    """

    name: str
    description: str
    assumptions: tuple[str, ...]
    seed: int
    duration_ns: int
    path: str
    buffer: JitterBuffer
    loss_robustness: float | None

    def to_json(self) -> dict[str, object]:
        """``scenario`` of ``simulate --json``."""
        return {
            "name": self.name,
            "description": self.description,
            "assumptions": list(self.assumptions),
            "seed": self.seed,
            "duration_ns": self.duration_ns,
            "path": self.path,
            "client": {
                "buffer": self.buffer.name,
                **{name: rounded(ms) for name, ms in asdict(self.buffer).items()},
                "loss_robustness": self.loss_robustness,
            },
        }

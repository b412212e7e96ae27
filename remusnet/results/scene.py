"""What is known of a simulated scenario that a recording can't tell: types of results.

Times are int64 nanoseconds from the scenario's start.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from remusnet.frames import Int64s
from remusnet.metrics.jitter import Float64s
from remusnet.metrics.jitter_buffer import JitterBuffer
from remusnet.metrics.output_commit import Bools
from remusnet.metrics.percentiles import NS_PER_MS, rounded

NEVER = -1
"""The time at which a packet left, or came, that didn't."""


@dataclass(frozen=True, slots=True, eq=False)
class PacketSeries:
    """Every packet of a simulated stream, n of them in the order of sending.

    Of a recording: those that came, at the recording's times, which count as times of sending.
    ``sent_ns``, ``left_ns`` (the guest's host), ``arrived_ns`` (at the client): int64[n], the last
    two `NEVER` for packets that didn't. ``due_ns``: int64[n], when the guest would have sent them
    had it not stood still; of a recording, its times. ``sequence`` (16 bits), ``timestamp``
    (32 bits): int64[n]. ``arrival``: int64[m], the packets that came, in the order of coming;
    ``jitter_ms``: float64[m], the estimate after each of those, NaN where the clock rate isn't
    known. ``event``: bool[n], telephone events, which are no sound; None where there are none.
    """

    sent_ns: Int64s
    left_ns: Int64s
    arrived_ns: Int64s
    sequence: Int64s
    timestamp: Int64s
    arrival: Int64s
    jitter_ms: Float64s
    due_ns: Int64s
    event: Bools | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Passages:
    """Frames on their way through the guest's host, n of them in the order of sending.

    ``sent_ns``, ``left_ns``: int64[n]; of a dropped one, when it met the full plug. ``held``,
    ``dropped``: bool[n].
    """

    sent_ns: Int64s
    left_ns: Int64s
    held: Bools
    dropped: Bools


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a simulated stream comes from: the group of calls (counted from 1), the call in it.

    ``codec``: its key in `remusnet.scenario.codecs`. ``ptime_ns``: the packetization time.
    ``sent``: packets that were sent, those included that never came. ``lost_buffer``,
    ``lost_failure``, ``lost_network``: packets that a full plug dropped, that were held when the
    primary died or sent before the path was back, and that the network lost. ``index_reuse``:
    packets sent under a number that was sent before (SRTP: one key stream for two packets).
    """

    group: int
    call: int
    codec: str
    ptime_ns: int
    srtp: bool
    sent: int
    lost_buffer: int
    lost_failure: int
    lost_network: int
    index_reuse: int

    def to_json(self) -> dict[str, object]:
        """``origin`` of a stream."""
        return {
            "group": self.group,
            "call": self.call,
            "codec": self.codec,
            "ptime_ms": rounded(self.ptime_ns / NS_PER_MS),
            "srtp": self.srtp,
            "sent": self.sent,
            "lost_buffer": self.lost_buffer,
            "lost_failure": self.lost_failure,
            "lost_network": self.lost_network,
            "index_reuse": self.index_reuse,
        }


class Ended(StrEnum):
    """How a transaction or a connection ended."""

    DONE = "done"
    TIMEOUT = "timeout"
    """Its timer ran out, or it gave up after its last retransmission."""
    UNFINISHED = "unfinished"
    """The scenario was over first."""


@dataclass(frozen=True, slots=True)
class SipTransaction:
    """One SIP request and what came back, as its client saw it; times in ns of the scenario.

    Of a recording the times are those of the capture's clock, ``call`` is the Call-ID, and
    ``group`` is None.
    ``name``: the method, ``re-INVITE`` within a dialog. ``client``: ``peer`` or ``guest``.
    ``end_ns``: the final response's arrival; None where none came. ``retransmissions``: copies
    that either side sent of request or responses, by SIP's own timers (not TCP's).
    """

    group: int | None
    call: int | str
    name: str
    transport: str
    client: str
    start_ns: int
    end_ns: int | None
    retransmissions: int
    ended: Ended

    @property
    def duration_ms(self) -> float | None:
        """From the request to the final response; None where none came."""
        return None if self.end_ns is None else (self.end_ns - self.start_ns) / NS_PER_MS

    def to_json(self) -> dict[str, object]:
        """One element of ``sip``."""
        return {
            "group": self.group,
            "call": self.call,
            "name": self.name,
            "transport": self.transport,
            "client": self.client,
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "duration_ms": None if self.duration_ms is None else rounded(self.duration_ms),
            "retransmissions": self.retransmissions,
            "ended": str(self.ended),
        }


@dataclass(frozen=True, slots=True)
class Transfer:
    """One TCP connection's work, a DNS lookup or an echo, as its client saw it; times in ns.

    ``kind``: ``request-response``, ``bulk``, ``sip``, ``dns`` or ``icmp``. ``bytes``: payload that
    arrived in order, both ways together. ``completed_ns``: None where it never was.
    ``retransmissions``: segments (or queries) sent again, ``timeouts``: how often RTO ran out,
    by either side.
    """

    group: int
    number: int
    kind: str
    flow: str
    start_ns: int
    completed_ns: int | None
    bytes: int
    retransmissions: int
    timeouts: int
    ended: Ended

    @property
    def duration_ms(self) -> float | None:
        """From the first segment to the last byte; None where it never came."""
        return (
            None if self.completed_ns is None else (self.completed_ns - self.start_ns) / NS_PER_MS
        )

    def to_json(self) -> dict[str, object]:
        """One element of ``transfers``."""
        return {
            "group": self.group,
            "number": self.number,
            "kind": self.kind,
            "flow": self.flow,
            "start_ns": self.start_ns,
            "completed_ns": self.completed_ns,
            "duration_ms": None if self.duration_ms is None else rounded(self.duration_ms),
            "bytes": self.bytes,
            "retransmissions": self.retransmissions,
            "timeouts": self.timeouts,
            "ended": str(self.ended),
        }


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
    the primary died, or sent before the path was back; frames for it that found nobody.
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
    """Of a scenario: its name and description, its assumptions (each a sentence), seed, length.

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

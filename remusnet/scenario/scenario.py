"""A scenario: all that a simulated run depends on, times in ns, rates in bits a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from remusnet.metrics.jitter_buffer import AdaptiveBuffer, FixedBuffer, JitterBuffer
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.scenario.quantity import Constant, Quantity
from remusnet.scenario.traffic import Calls, Dns, Icmp, Recording, Sip, Tcp, Tunnel
from remusnet.schedule import ScheduleKind
from remusnet.tcp.stack import LINUX, Stack


class FailureKind(StrEnum):
    """How the primary fails."""

    DEATH = "death"
    SPLIT_BRAIN = "split-brain"
    """Only the link between the hosts breaks: the primary goes on, without checkpoints."""


class BufferKind(StrEnum):
    """A client's jitter buffer."""

    FIXED = "fixed"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True)
class Checkpointing:
    """How the guest is checkpointed.

    The commit comes ``transfer`` and ``commit_delay`` after the resume. ``interval_ns``: what the
    schedule's timer is set to. ``first_ns``: the first suspend; None for one interval.
    """

    kind: ScheduleKind
    interval_ns: int
    pause: Quantity
    transfer: Quantity
    commit_delay: Quantity
    first_ns: int | None = None

    @property
    def mean_period_ns(self) -> int:
        """The time from one commit to the next, on average."""
        steps = self.pause, self.transfer, self.commit_delay
        return self.kind.period_ns(self.interval_ns, sum(step.mean_ns for step in steps))


@dataclass(frozen=True, slots=True)
class Host:
    """The guest and its back end. ``limit``: the plug's, in bytes.

    ``jitter_ns``: standard deviation of the guest's times of sending. ``ring_slots``: of the
    transmit ring, None where it has no end. ``mac``, ``address``: the guest's.
    """

    limit: int
    jitter_ns: int = 0
    ring_slots: int | None = None
    mac: str = "00:16:3e:00:00:01"
    address: str = "192.0.2.1"


@dataclass(frozen=True, slots=True)
class Network:
    """The network between the guest's host and all its peers, each way alike.

    ``jitter_ns``: standard deviation of the delay. ``loss_percent``: of frames; ``loss_burst``:
    how many in a row are lost, on average. ``rate``: None where it has no end; ``queue``: how many
    frames may wait for it, None where that has no end. ``reorder``: whether a frame may overtake
    another.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    loss_percent: float = 0.0
    loss_burst: float = 1.0
    rate: int | None = None
    queue: int | None = None
    reorder: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """The primary fails at ``at_ns``.

    ``detection_ns`` later the backup resumes; ``arp_ns`` after that the gratuitous ARP goes out,
    and the switch needs ``switch_ns`` to turn. ``rollback``: whether the backup goes on from the
    last commit, as Remus does; without, from the moment of failure (an ideal to compare with).
    ``stale_ns``: how long a stale primary goes on, of a split brain.
    """

    kind: FailureKind
    at_ns: int
    detection_ns: int
    arp_ns: int
    switch_ns: int
    rollback: bool
    stale_ns: int

    @property
    def resume_ns(self) -> int:
        """When the backup resumes."""
        return self.at_ns + self.detection_ns

    @property
    def path_ns(self) -> int:
        """When frames go to and from the backup."""
        return self.resume_ns + self.arp_ns + self.switch_ns


@dataclass(frozen=True, slots=True)
class Client:
    """What plays the media: its jitter buffer. ``loss_robustness``: G.107's Bpl, None the codec's.

    A fixed buffer plays everything ``delay_ns`` after the fastest packet would have come; an
    adaptive one begins there and stays between ``least_ns`` and ``most_ns``.
    """

    kind: BufferKind = BufferKind.ADAPTIVE
    delay_ns: int = 60_000_000
    least_ns: int = 20_000_000
    most_ns: int = 200_000_000
    loss_robustness: float | None = None

    @property
    def buffer(self) -> JitterBuffer:
        """The model of it."""
        first, least, most = (
            each / NS_PER_MS for each in (self.delay_ns, self.least_ns, self.most_ns)
        )
        if self.kind is BufferKind.FIXED:
            return FixedBuffer(first)
        return AdaptiveBuffer(first, least, most)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. ``policies``: names of presets and paths; ``checkpointing``: None without any.

    ``figure``: which of the thesis's figures it stands for, and so what it is expected to show.
    ``guest_tcp``, ``peer_tcp``: how TCP is set on either side.
    """

    name: str
    duration_ns: int
    host: Host
    description: str = ""
    assumptions: tuple[str, ...] = ()
    seed: int = 0
    figure: str | None = None
    policies: tuple[str, ...] = ()
    checkpointing: Checkpointing | None = None
    network: Network = field(default_factory=Network)
    calls: tuple[Calls, ...] = ()
    sip: tuple[Sip, ...] = ()
    tcp: tuple[Tcp, ...] = ()
    dns: tuple[Dns, ...] = ()
    icmp: tuple[Icmp, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    recordings: tuple[Recording, ...] = ()
    failure: Failure | None = None
    client: Client = field(default_factory=Client)
    guest_tcp: Stack = LINUX
    peer_tcp: Stack = LINUX


def constant(quantity: Quantity) -> int | None:
    """The time that ``quantity`` always is, else None."""
    return quantity.ns if isinstance(quantity, Constant) else None

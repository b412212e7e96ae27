"""What to know of TCP in a run: settings of a protected guest that would make it faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum

from remusnet.policy.policy import Policy
from remusnet.policy.presets import STOCK_REMUS
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Side, Tcp, TcpKind, Transport
from remusnet.tcp.stack import Congestion

HYSTART = (
    "TCP bulk: after a set-up that is shorter than the period, a tail loss probe has a short round "
    "trip; HyStart then takes the next for a full path, and leaves slow start. Such transfers of 5 "
    "MB take three times as long. In the guest: echo 0 > "
    "/sys/module/tcp_cubic/parameters/hystart; here: [guest-tcp] hystart = false."
)
RESTART = (
    "TCP answers after idle: Linux begins slow start anew. In the guest: sysctl "
    "net.ipv4.tcp_slow_start_after_idle=0; here: [guest-tcp] slow-start-after-idle = false."
)
COUPLED = (
    "stock-remus doesn't copy what it holds, and Linux counts that as unsent (TCP small queues): "
    "TCP from the guest gets 4 segments an epoch. remusnet apply copies by default."
)
RING = (
    "vif.ring: held frames keep their slots, as without a copy, and Linux counts them as unsent "
    "(TCP small queues): TCP from the guest gets 4 segments an epoch."
)
QUEUE = (
    "TCP in bursts: the network's queue has no end here. Held output leaves hundreds of segments "
    "at once, and real queues drop them: network.queue says how many may wait."
)
MORE_QUEUE = 10
"""So many times the queue: what an interface has by default (1,000), where one has 100."""


class Change(Enum):
    """What an administrator can set, in the guest or before a slow link."""

    HYSTART = "echo 0 > /sys/module/tcp_cubic/parameters/hystart in the guest"
    RESTART = "net.ipv4.tcp_slow_start_after_idle=0 in the guest"
    QUEUE = "a longer queue before the slow link"

    def made(self, scenario: Scenario) -> Scenario:
        """``scenario`` with it."""
        match self:
            case Change.HYSTART:
                return replace(scenario, guest_tcp=replace(scenario.guest_tcp, hystart=False))
            case Change.RESTART:
                stack = replace(scenario.guest_tcp, slow_start_after_idle=False)
                return replace(scenario, guest_tcp=stack)
            case Change.QUEUE:
                network = scenario.network
                queue = None if network.queue is None else MORE_QUEUE * network.queue
                return replace(scenario, network=replace(network, queue=queue))

    def title(self, scenario: Scenario) -> str:
        """What to set, in words."""
        if self is Change.QUEUE and scenario.network.queue is not None:
            packets = MORE_QUEUE * scenario.network.queue
            return f"{self.value} ({packets:,} packets instead of {scenario.network.queue:,})"
        return self.value

    @property
    def here(self) -> str:
        """The same in a scenario file."""
        return {
            Change.HYSTART: "[guest-tcp] hystart = false",
            Change.RESTART: "[guest-tcp] slow-start-after-idle = false",
            Change.QUEUE: "network.queue",
        }[self]


GENERAL = {Change.HYSTART: HYSTART, Change.RESTART: RESTART}
"""What to say of a change whose gain was not simulated."""


def changes(scenario: Scenario) -> Iterator[Change]:
    """What may help TCP in ``scenario``; how much, a run with it says."""
    stack = scenario.guest_tcp
    large = _large(scenario)
    if large and stack.hystart and stack.congestion is Congestion.CUBIC:
        yield Change.HYSTART
    if stack.slow_start_after_idle and any(idles(each) for each in large):
        yield Change.RESTART
    if large and scenario.network.rate is not None and scenario.network.queue is not None:
        yield Change.QUEUE


def tcp_notes(
    scenario: Scenario, policies: Sequence[Policy], *, general: bool = True
) -> tuple[str, ...]:
    """What would help TCP in ``scenario``; often nothing, and nothing without checkpoints.

    ``general``: what settings do whose gain was not simulated, too.
    """
    if scenario.checkpointing is None:
        return ()
    return tuple(_notes(scenario, policies, general=general))


def _notes(scenario: Scenario, policies: Sequence[Policy], *, general: bool) -> Iterator[str]:
    large = _large(scenario)
    over_tcp = bool(scenario.tcp) or any(s.transport is not Transport.UDP for s in scenario.sip)
    if general:
        yield from (GENERAL[each] for each in changes(scenario) if each in GENERAL)
    if over_tcp and any(policy.name == STOCK_REMUS.name for policy in policies):
        yield COUPLED
    if over_tcp and scenario.host.ring_slots is not None:
        yield RING
    if large and scenario.network.rate is not None and scenario.network.queue is None:
        yield QUEUE


def _large(scenario: Scenario) -> list[Tcp]:
    """Where the guest sends more at once than its first window."""
    stack = scenario.guest_tcp
    return [each for each in scenario.tcp if _from_guest(each) > stack.initial_window * stack.mss]


def _from_guest(tcp: Tcp) -> int:
    """Bytes that the guest sends in one exchange."""
    return tcp.request if tcp.client is Side.GUEST else tcp.response


def idles(tcp: Tcp) -> bool:
    """Whether Linux finds the connection idle: for a timeout, which has at least ``rto_min_ns``."""
    return tcp.kind is TcpKind.EXCHANGE and tcp.exchanges > 1 and tcp.think_ns >= tcp.rto_min_ns

"""What to know of TCP in a run: settings of a protected guest that would make it faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def tcp_notes(scenario: Scenario, policies: Sequence[Policy]) -> tuple[str, ...]:
    """What would help TCP in ``scenario``; often nothing, and nothing without checkpoints."""
    return tuple(_notes(scenario, policies)) if scenario.checkpointing is not None else ()


def _notes(scenario: Scenario, policies: Sequence[Policy]) -> Iterator[str]:
    stack = scenario.guest_tcp
    first = stack.initial_window * stack.mss
    large = [each for each in scenario.tcp if _from_guest(each) > first]
    over_tcp = bool(scenario.tcp) or any(s.transport is not Transport.UDP for s in scenario.sip)
    if large and stack.hystart and stack.congestion is Congestion.CUBIC:
        yield HYSTART
    if stack.slow_start_after_idle and any(_idles(each) for each in large):
        yield RESTART
    if over_tcp and any(policy.name == STOCK_REMUS.name for policy in policies):
        yield COUPLED
    if over_tcp and scenario.host.ring_slots is not None:
        yield RING
    if large and scenario.network.rate is not None and scenario.network.queue is None:
        yield QUEUE


def _from_guest(tcp: Tcp) -> int:
    """Bytes that the guest sends in one exchange."""
    return tcp.request if tcp.client is Side.GUEST else tcp.response


def _idles(tcp: Tcp) -> bool:
    """Whether Linux finds the connection idle: for a timeout, which has at least ``rto_min_ns``."""
    return tcp.kind is TcpKind.EXCHANGE and tcp.exchanges > 1 and tcp.think_ns >= tcp.rto_min_ns

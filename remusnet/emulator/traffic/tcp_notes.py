"""What to know before trusting the times of TCP in a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remusnet.policy.policy import Policy
from remusnet.policy.presets import STOCK_REMUS
from remusnet.results.exchanges import Transfer
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Tcp, TcpKind, Transport

INITIAL_WINDOW = 10 * 1448

BULK = (
    "TCP bulk: no HyStart here. Where a connection's set-up is shorter than the period, Linux "
    "leaves slow start early: half of its transfers of 5 MB took 2.6 times as long as here."
)
IDLE = (
    "TCP answers after idle: the window stays here. Linux begins slow start anew: answers of "
    "100 kB after a second took 435 ms at 200 ms, and 25 ms here."
)
COUPLED = (
    "stock-remus doesn't copy what it holds, and Linux counts that as unsent (TCP small queues): "
    "TCP from the guest got 4 segments an epoch, so that 5 MB took 177 s at 200 ms, and 3.8 s here."
)
RING = (
    "vif.ring: held frames keep their slots, as without a copy. Linux then counts them as unsent "
    "(TCP small queues), so TCP from the guest is slower still: 4 segments an epoch were measured."
)
QUEUE = (
    "TCP in bursts: the network's queue has no end here. Held output leaves up to 620 segments at "
    "once: through 100 Mbit/s with 100 packets of queue 5 MB took 8.8 s at 200 ms, and 2.4 s here."
)
LOSS = "TCP with losses: no SACK here. At 0.5 % medians are 1.4 to 2.2 times those of Linux."
TIMEOUT = (
    "TCP timeouts: Linux undoes what a false one did (Eifel, F-RTO, DSACK); here slow start begins "
    "anew. At 400 ms 7 of 20 transfers took 33 s so, where Linux's took 11 s at most."
)


def tcp_caveats(
    scenario: Scenario, policies: Sequence[Policy], transfers: Sequence[Transfer]
) -> tuple[str, ...]:
    """What to know before trusting the times of TCP in ``transfers`` (of all runs); often nothing.

    The figures are of Linux 6.1 with CUBIC under held output, 1 ms each way, measured beside the
    same scenarios; docs/explanation/emulator.md has them all.

    Without checkpoints nothing is held, and no sentence but that on losses applies.
    """
    return tuple(_caveats(scenario, policies, transfers))


def _caveats(
    scenario: Scenario, policies: Sequence[Policy], transfers: Sequence[Transfer]
) -> Iterator[str]:
    large = [each for each in scenario.tcp if max(each.request, each.response) > INITIAL_WINDOW]
    over_tcp = bool(scenario.tcp) or any(s.transport is not Transport.UDP for s in scenario.sip)
    if scenario.checkpointing is not None:
        if large:
            yield BULK
        if any(_idles(each) for each in large):
            yield IDLE
        if over_tcp and any(policy.name == STOCK_REMUS.name for policy in policies):
            yield COUPLED
        if over_tcp and scenario.host.ring_slots is not None:
            yield RING
        if large and scenario.network.rate is not None:
            yield QUEUE
    if over_tcp and scenario.network.loss_percent:
        yield LOSS
    elif any(each.timeouts for each in transfers if each.kind not in ("dns", "icmp")):
        yield TIMEOUT


def _idles(tcp: Tcp) -> bool:
    """Whether Linux finds the connection idle: for a timeout, which has at least ``rto_min_ns``."""
    return tcp.kind is TcpKind.EXCHANGE and tcp.exchanges > 1 and tcp.think_ns >= tcp.rto_min_ns

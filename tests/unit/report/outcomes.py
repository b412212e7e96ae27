"""Results to report on: a replayed call, and runs of a scenario that no emulator has to make."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from remusnet.emulator.run.recordings import simulate
from remusnet.metrics.arrivals import Jitter
from remusnet.metrics.flows import SeenHazard
from remusnet.metrics.holding import HoldTimes
from remusnet.metrics.telephone_events import TelephoneEvents
from remusnet.policy import PRESETS
from remusnet.report.measures import Measurements
from remusnet.results.comparison import Comparison, Outcome
from remusnet.results.exchanges import Ended, SipTransaction, Transfer
from remusnet.results.scene import Counts, Expectation, FailureMarks, Scene
from remusnet.results.stream import Origin, Stream
from remusnet.schedule import Schedule
from tests.unit.emulator.recorded import call

MS = 1_000_000


@cache
def replayed_call(*policies: str) -> Comparison:
    """A call of ten seconds, both ways, at a checkpoint every 400 ms with a pause of 50 ms."""
    schedule = Schedule(400 * MS, 50 * MS, 5 * MS)
    chosen = [PRESETS[name] for name in policies or ("tcp-only", "hold-all")]
    return simulate(call(500), chosen, schedule, 10**8, capture="call.pcap").comparison


def measured(*policies: str) -> Measurements:
    """The same, to be read."""
    return Measurements(replayed_call(*policies))


def transaction(
    name: str = "INVITE",
    duration_ms: int | None = 300,
    *,
    ended: Ended = Ended.DONE,
    transport: str = "tcp",
    retransmissions: int = 0,
) -> SipTransaction:
    """A SIP transaction of a client outside."""
    end_ns = None if duration_ms is None else (1000 + duration_ms) * MS
    return SipTransaction(1, 1, name, transport, "peer", 1000 * MS, end_ns, retransmissions, ended)


def transfer(
    kind: str = "bulk", duration_ms: int | None = 900, *, ended: Ended = Ended.DONE
) -> Transfer:
    """A TCP connection, or a lookup."""
    done_ns = None if duration_ms is None else duration_ms * MS
    flow = "tcp 10.0.0.2:40000 > 10.0.0.1:80"
    return Transfer(1, 1, kind, flow, 0, done_ns, 10**6, 3, 1, ended)


def staged(
    *,
    sip: tuple[SipTransaction, ...] = (),
    transfers: tuple[Transfer, ...] = (),
    counts: Counts | None = None,
    failure: FailureMarks | None = None,
    expectations: tuple[Expectation, ...] = (),
    policies: tuple[str, ...] = ("tcp-only", "hold-all"),
) -> Comparison:
    """The replayed call as if it were a scenario's, with what only a scenario has.

    It has all that there can be: what no run has together is among it.
    """
    replay = replayed_call(*policies)
    none = np.zeros(0, np.int64)
    scene = Scene(none, sip, transfers, counts or Counts(4137), failure, expectations)
    outcomes = tuple(_staged(outcome, scene) for outcome in replay.outcomes)
    return replace(replay, outcomes=outcomes)


def _staged(outcome: Outcome, scene: Scene) -> Outcome:
    resume_ns = outcome.suspend_ns + 50 * MS
    pressed = TelephoneEvents(packets=11, count=1, jitter_ms=Jitter(0.1, 0.5))
    streams = tuple(
        replace(stream, rtp=replace(stream.rtp, events=pressed), origin=_origin(number, stream))
        for number, stream in enumerate(outcome.streams, 1)
    )
    scene = replace(scene, resume_ns=resume_ns)
    sip = HoldTimes(2, 200.0, 290.0, 300.0)
    hazards = (SeenHazard("sip-over-udp", "SIP over UDP bypasses", 3, "udp 10.0.0.1:5060 > *"),)
    return replace(outcome, streams=streams, scene=scene, sip_udp=sip, hazards=hazards)


def _origin(number: int, stream: Stream) -> Origin:
    return Origin(1, number, "g711a", 20 * MS, False, stream.rtp.packets, 0, 0, 0, number - 1)

"""One scenario under one policy: which way each frame goes, and the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from remusnet.classify.columns import Bools
from remusnet.emulator.machine.room import rtp_share
from remusnet.emulator.machine.timeline import Timeline
from remusnet.emulator.run.loop import Flight, Loop
from remusnet.emulator.run.passed import Lost, Passed, measured
from remusnet.emulator.run.recorded import Mixed, mix
from remusnet.emulator.run.released import Released
from remusnet.emulator.run.stepwise import (
    filled,
    hazards_seen,
    held_segments,
    lanes_of,
    run_loop,
    sip_datagrams,
    tally_flights,
    tcp_holds,
)
from remusnet.emulator.run.vectorised import Keeping, Tally, run_stream
from remusnet.emulator.traffic.conversations import Conversation
from remusnet.emulator.traffic.rtp import Source
from remusnet.frames import Frames, Int64s
from remusnet.metrics.output_commit import OutputCommit
from remusnet.metrics.survey import SeenHazard
from remusnet.metrics.tcp import HoldTimes, hold_percentiles
from remusnet.policy.policy import Policy
from remusnet.results.comparison import Outcome, Stream
from remusnet.results.scene import NEVER, Counts, FailureMarks, Passages, Scene
from remusnet.scenario.expectations import held_to
from remusnet.scenario.scenario import Scenario

KEPT_PACKETS = 500_000
"""Packets of a run that the results keep one by one, for figures and for what a listener hears:
64 bytes each. All others are in the numbers, not in the series."""

VECTORISED = "vectorised: RTP many packets at a time"
STEPWISE = "stepwise: every frame alone"


@dataclass(frozen=True, slots=True)
class Run:
    """What all policies of a scenario have in common."""

    scenario: Scenario
    timeline: Timeline
    sources: tuple[Source, ...]
    conversations: tuple[Conversation, ...]
    recordings: tuple[Frames, ...]
    release: bool


@dataclass(slots=True)
class Gathered:
    """What a run has seen so far."""

    streams: list[Stream]
    tally: Tally
    path: str
    holds: Sequence[bool]
    loop: Loop | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """An outcome, the frames that arrived (None without release), and which way RTP went."""

    outcome: Outcome
    released: Frames | None
    path: str


def under(run: Run, policy: Policy, holds: Sequence[bool]) -> Ran:
    """``run`` under ``policy``, which holds the streams that ``holds`` says."""
    gathered = _gather(run, policy, holds)
    mixed = [
        mix(recording, frames, policy, run.scenario, run.timeline)
        for recording, frames in zip(run.scenario.recordings, run.recordings, strict=True)
    ]
    for each in mixed:
        gathered.tally.add(each.tally)
    outcome = _outcome(run, policy, gathered, mixed)
    return Ran(outcome, _released(run, gathered, mixed) if run.release else None, gathered.path)


def _gather(run: Run, policy: Policy, holds: Sequence[bool]) -> Gathered:
    """RTP by stretches where nothing couples one stream to the others, else frame by frame.

    Whether reactive traffic fills what RTP leaves of plug and ring shows when it has run.
    """
    scenario, timeline = run.scenario, run.timeline
    host = scenario.host
    share = rtp_share(run.sources, holds, timeline, host.jitter_ns + scenario.network.jitter_ns)
    fits = share.bytes <= host.limit and (
        host.ring_slots is None or share.frames <= host.ring_slots
    )
    if scenario.network.rate is not None or not fits:
        return _all_stepwise(run, policy, holds)
    loop = None
    if run.conversations:
        slots = None if host.ring_slots is None else host.ring_slots - share.frames
        loop = run_loop(
            scenario, timeline, list(run.conversations), [], policy,
            limit=host.limit - share.bytes, slots=slots,
        )  # fmt: skip
        if loop.vif.stalls or loop.vif.buffer.plug.drops:
            return _all_stepwise(run, policy, holds)
    gathered = Gathered([], Tally(), VECTORISED, _guarded(run, holds), loop)
    if loop is not None:
        gathered.tally.add(tally_flights(loop.flights, timeline))
    keeping = Keeping(KEPT_PACKETS)
    for source, hold in zip(run.sources, holds, strict=True):
        keep = keeping.take(source.packets) or run.release
        stream, counted = run_stream(source, scenario, timeline, hold=hold, keep=keep)
        gathered.streams.append(stream)
        gathered.tally.add(counted)
    return gathered


def _all_stepwise(run: Run, policy: Policy, holds: Sequence[bool]) -> Gathered:
    lanes, rows = lanes_of(run.sources, holds, run.scenario, run.timeline)
    host = run.scenario.host
    loop = run_loop(
        run.scenario, run.timeline, list(run.conversations), lanes, policy,
        limit=host.limit, slots=host.ring_slots,
    )  # fmt: skip
    passed: list[Passed] = filled(rows, loop.flights)
    streams = [
        measured(source, each, keep=True) for source, each in zip(run.sources, passed, strict=True)
    ]
    tally = tally_flights(loop.flights, run.timeline)
    tally.packets += sum(each.count(Lost.NOBODY) for each in passed)
    return Gathered(streams, tally, STEPWISE, _guarded(run, holds), loop)


def _guarded(run: Run, holds: Sequence[bool]) -> list[bool]:
    """Which streams are held: without checkpoints nothing is."""
    return [hold and run.timeline.protected for hold in holds]


def _outcome(run: Run, policy: Policy, gathered: Gathered, mixed: Sequence[Mixed]) -> Outcome:
    happened = run.timeline.happened(run.scenario.duration_ns)
    loop, tally = gathered.loop, gathered.tally
    flights = [] if loop is None else loop.flights
    tcp, connections = tcp_holds(flights, run.conversations)
    if mixed:
        times = [each.tcp_ns for each in mixed]
        sent = np.concatenate([pair[0] for pair in times] + [_held_tcp(loop, "sent_ns")])
        left = np.concatenate([pair[1] for pair in times] + [_held_tcp(loop, "left_ns")])
        tcp = hold_percentiles(sent, left)
        connections += tuple(each for one in mixed for each in one.connections)
    streams = (*gathered.streams, *(stream for one in mixed for stream in one.streams))
    passages = _passages(gathered, run.timeline.marks)
    outcome = Outcome(
        policy=policy.name,
        streams=streams,
        tcp=tcp,
        connections=connections,
        output_commit=OutputCommit(
            tally.held, tally.bypassed, tally.dropped, tally.violations, tally.unprotected
        ),
        suspend_ns=happened.suspend_ns,
        commit_ns=happened.commit_ns,
        passages=passages,
        # Of captures that are mixed in there are no passages.
        holding=None if passages is None or mixed else _holding(passages, happened.suspend_ns),
        sip_udp=_sip_holds(run, flights, mixed),
        hazards=_hazards(run, policy, flights, mixed),
    )
    scene = Scene(
        resume_ns=happened.resume_ns,
        sip=() if loop is None else loop.notes.transactions(),
        transfers=() if loop is None else loop.notes.transfers(),
        counts=_counts(outcome, gathered, mixed),
        failure=run.timeline.marks,
        held_to=held_to(run.scenario, outcome, run.timeline.marks),
    )
    return replace(outcome, scene=scene)


def _sip_holds(run: Run, flights: Sequence[Flight], mixed: Sequence[Mixed]) -> HoldTimes:
    ours = sip_datagrams(flights, run.conversations)
    sent = [np.array([each.sent_ns for each in ours], np.int64)]
    left = [np.array([each.left_ns for each in ours], np.int64)]
    sent += [each.sip_ns[0] for each in mixed]
    left += [each.sip_ns[1] for each in mixed]
    return hold_percentiles(np.concatenate(sent), np.concatenate(left))


def _hazards(
    run: Run, policy: Policy, flights: Sequence[Flight], mixed: Sequence[Mixed]
) -> tuple[SeenHazard, ...]:
    """Those of conversations and captures together; of what nothing protects, none."""
    if not run.timeline.protected:
        return ()
    found: dict[str, SeenHazard] = {}
    ours = hazards_seen(flights, run.conversations, policy)
    for each in (*ours, *(hazard for one in mixed for hazard in one.hazards)):
        before = found.get(each.name)
        found[each.name] = replace(before, frames=before.frames + each.frames) if before else each
    return tuple(found.values())


def _holding(passages: Passages, suspend_ns: Int64s) -> Int64s:
    """The epochs that held a frame, of those that were closed."""
    if not passages.held.any():
        return np.zeros(0, np.int64)
    found = np.unique(np.searchsorted(suspend_ns, passages.sent_ns[passages.held], side="right"))
    return found[found < len(suspend_ns)]


def _held_tcp(loop: Loop | None, name: str) -> Int64s:
    """Times of the loop's held TCP frames that left."""
    flights = [] if loop is None else held_segments(loop.flights)
    return np.array([getattr(flight, name) for flight in flights], np.int64)


def _counts(outcome: Outcome, gathered: Gathered, mixed: Sequence[Mixed]) -> Counts:
    loop = gathered.loop
    origins = [stream.origin for stream in outcome.streams if stream.origin is not None]
    # A lane's frames are their streams' already.
    others = [] if loop is None else [each for each in loop.flights if each.what is not None]
    failed = sum(each.lost in (Lost.FAILURE, Lost.NOBODY) for each in others)
    return Counts(
        frames=gathered.tally.packets,
        lost_failure=sum(each.lost_failure for each in origins)
        + failed
        + sum(each.lost for each in mixed),
        lost_network=sum(each.lost_network for each in origins)
        + sum(each.lost is Lost.NETWORK for each in others),
        duplicates=sum(stream.rtp.duplicates for stream in outcome.streams),
        index_reuse=sum(each.index_reuse for each in origins),
        ring_stalls=0 if loop is None else loop.vif.stalls,
        ring_stall_max_ns=0 if loop is None else loop.vif.stall_max_ns,
    )


def _passages(gathered: Gathered, marks: FailureMarks | None) -> Passages | None:
    """The guest's frames on their way through its host; None where some were not kept.

    A frame that never left stands as dropped at the time of its sending. What the backup sends is
    not held, whatever the policy. Captures are left out.
    """
    sent: list[Int64s] = []
    left: list[Int64s] = []
    held: list[Bools] = []
    for stream, hold in zip(gathered.streams, gathered.holds, strict=True):
        if stream.from_guest:
            if stream.series is None:
                return None
            sent.append(stream.series.sent_ns)
            left.append(stream.series.left_ns)
            guarded = np.full(len(stream.series.sent_ns), hold)
            if marks is not None:
                by_primary = stream.series.sent_ns < marks.resume_ns
                guarded &= by_primary | (stream.series.left_ns == NEVER)
            held.append(guarded)
    flights = [] if gathered.loop is None else gathered.loop.flights
    others = [each for each in flights if each.what is not None and each.from_guest]
    sent.append(np.array([each.sent_ns for each in others], np.int64))
    left.append(np.array([each.left_ns for each in others], np.int64))
    held.append(np.array([each.hold for each in others], np.bool_))
    sent_ns, left_ns = np.concatenate(sent), np.concatenate(left)
    order = np.argsort(sent_ns, kind="stable")
    sent_ns, left_ns = sent_ns[order], left_ns[order]
    gone = left_ns == NEVER
    return Passages(sent_ns, np.where(gone, sent_ns, left_ns), np.concatenate(held)[order], gone)


def _released(run: Run, gathered: Gathered, mixed: Sequence[Mixed]) -> Frames:
    """All frames that arrived, in order."""
    released = Released(run.scenario.host)
    for source, stream in zip(run.sources, gathered.streams, strict=True):
        released.add_stream(source, stream)
    if gathered.loop is not None:
        released.add_flights(gathered.loop.flights, run.conversations)
    for each in mixed:
        released.add_frames(each.frames)
    return released.frames()

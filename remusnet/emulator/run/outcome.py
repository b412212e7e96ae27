"""What a run of a scenario came to: the outcome, and the frames that arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from remusnet.emulator.machine.epochs import Tally, Timeline
from remusnet.emulator.run.loop import Flight, Loop
from remusnet.emulator.run.recordings import Mixed
from remusnet.emulator.run.stepwise import (
    Exchanges,
    hazards_seen,
    held_segments,
    sip_datagrams,
    tcp_holds,
)
from remusnet.emulator.traffic.conversations import Conversation
from remusnet.emulator.traffic.rtp import Lost, Source, spurt_starts
from remusnet.emulator.traffic.rtp_frames import Templates
from remusnet.frames import Bools, Bytes, Frames, Int64s
from remusnet.metrics.flows import SeenHazard
from remusnet.metrics.holding import HoldTimes, OutputCommit, hold_percentiles
from remusnet.policy.policy import Policy
from remusnet.results.comparison import Outcome, Passages
from remusnet.results.scene import Counts, FailureMarks, Scene
from remusnet.results.stream import NEVER, Stream
from remusnet.scenario.expectations import expectations
from remusnet.scenario.scenario import Host, Scenario


@dataclass(frozen=True, slots=True)
class Run:
    """What all policies of a scenario have in common."""

    scenario: Scenario
    timeline: Timeline
    sources: tuple[Source, ...]
    conversations: tuple[Conversation, ...]
    recordings: tuple[Frames, ...]
    keep_frames: bool


@dataclass(slots=True)
class Seen:
    """What a run under one policy has seen."""

    streams: list[Stream]
    tally: Tally
    path: str
    holds: Sequence[bool]
    loop: Loop | None = None


def outcome_of(run: Run, policy: Policy, seen: Seen, mixed: Sequence[Mixed]) -> Outcome:
    """All that is measured of a run under ``policy``, captures that are mixed in included."""
    happened = run.timeline.happened(run.scenario.duration_ns)
    loop, tally = seen.loop, seen.tally
    flights = [] if loop is None else loop.flights
    tcp, connections = tcp_holds(flights, run.conversations)
    if mixed:
        times = [each.tcp_ns for each in mixed]
        sent = np.concatenate([pair[0] for pair in times] + [_held_tcp(loop, "sent_ns")])
        left = np.concatenate([pair[1] for pair in times] + [_held_tcp(loop, "left_ns")])
        tcp = hold_percentiles(sent, left)
        connections += tuple(each for one in mixed for each in one.connections)
    streams = (*seen.streams, *(stream for one in mixed for stream in one.streams))
    passages = _passages(seen, run.timeline.marks)
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
    exchanges = Exchanges(run.conversations, [] if loop is None else loop.said)
    scene = Scene(
        resume_ns=happened.resume_ns,
        sip=exchanges.transactions(),
        transfers=exchanges.transfers(),
        counts=_counts(outcome, seen, mixed),
        failure=run.timeline.marks,
        expectations=expectations(run.scenario, outcome, run.timeline.marks),
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


def _counts(outcome: Outcome, seen: Seen, mixed: Sequence[Mixed]) -> Counts:
    loop = seen.loop
    origins = [stream.origin for stream in outcome.streams if stream.origin is not None]
    # A lane's frames are their streams' already.
    others = [] if loop is None else [each for each in loop.flights if each.what is not None]
    failed = sum(each.lost in (Lost.FAILURE, Lost.NOBODY) for each in others)
    return Counts(
        frames=seen.tally.packets,
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


def _passages(seen: Seen, marks: FailureMarks | None) -> Passages | None:
    """The guest's frames on their way through its host; None where some were not kept.

    A frame that never left stands as dropped at the time of its sending. What the backup sends is
    not held, whatever the policy. Captures are left out.
    """
    sent: list[Int64s] = []
    left: list[Int64s] = []
    held: list[Bools] = []
    for stream, hold in zip(seen.streams, seen.holds, strict=True):
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
    flights = [] if seen.loop is None else seen.loop.flights
    others = [each for each in flights if each.what is not None and each.from_guest]
    sent.append(np.array([each.sent_ns for each in others], np.int64))
    left.append(np.array([each.left_ns for each in others], np.int64))
    held.append(np.array([each.hold for each in others], np.bool_))
    sent_ns, left_ns = np.concatenate(sent), np.concatenate(left)
    order = np.argsort(sent_ns, kind="stable")
    sent_ns, left_ns = sent_ns[order], left_ns[order]
    gone = left_ns == NEVER
    return Passages(sent_ns, np.where(gone, sent_ns, left_ns), np.concatenate(held)[order], gone)


def arrived_frames(run: Run, seen: Seen, mixed: Sequence[Mixed]) -> Frames:
    """All frames that arrived, in order."""
    found = ArrivedFrames(run.scenario.host)
    for source, stream in zip(run.sources, seen.streams, strict=True):
        found.add_stream(source, stream)
    if seen.loop is not None:
        found.add_flights(seen.loop.flights, run.conversations)
    for each in mixed:
        found.add_frames(each.frames)
    return found.frames()


class ArrivedFrames:
    """Frames as a capture at both ends of the network has them; `frames` puts them in order."""

    def __init__(self, host: Host) -> None:
        self._templates = Templates(host)
        self._data: list[Bytes] = []
        self._sizes: list[Int64s] = []
        self._wire: list[Int64s] = []
        self._arrived_ns: list[Int64s] = []
        self._left_ns: list[Int64s] = []

    def add_stream(self, source: Source, stream: Stream) -> None:
        """The packets of ``stream`` that arrived; its series must be there."""
        series = stream.series
        if series is None:
            raise ValueError(f"stream {source.number} was not kept")
        step = source.calls.codec.timestamp_step(source.calls.ptime_ns)
        # In order of sending, a spurt begins where the timestamp skips.
        advance = np.diff(series.timestamp) % 2**32 // step
        ticks = np.concatenate([[0], np.cumsum(advance)]) if len(series.timestamp) else advance
        marker = spurt_starts(ticks) if source.calls.vad else np.zeros(len(ticks), np.bool_)
        came = series.arrival
        rows = self._templates.of(source).packets(
            series.sequence[came], series.timestamp[came], marker[came]
        )
        sizes = np.full(len(rows), rows.shape[1], np.int64)
        self.add(rows.reshape(-1), sizes, sizes, series.arrived_ns[came], series.left_ns[came])

    def add(
        self, data: Bytes, sizes: Int64s, wire: Int64s, arrived_ns: Int64s, left_ns: Int64s
    ) -> None:
        """n frames: their bytes one after the other, how many of each, and their times."""
        self._data.append(data)
        self._sizes.append(sizes)
        self._wire.append(wire)
        self._arrived_ns.append(arrived_ns)
        self._left_ns.append(left_ns)

    def add_flights(self, flights: Sequence[Flight], conversations: Sequence[Conversation]) -> None:
        """The frames of conversations that arrived; RTP is its streams' business."""
        came = [each for each in flights if each.what is not None and each.arrived_ns != NEVER]
        frames = [
            conversations[each.owner].wire.frame(each.what, from_guest=each.from_guest)
            for each in came
            if each.what is not None
        ]
        sizes = np.array([len(each) for each in frames], np.int64)
        arrived_ns = np.array([each.arrived_ns for each in came], np.int64)
        left_ns = np.array([each.left_ns for each in came], np.int64)
        self.add(np.frombuffer(b"".join(frames), np.uint8), sizes, sizes, arrived_ns, left_ns)

    def add_frames(self, frames: Frames) -> None:
        """Frames at their times."""
        at = np.repeat(frames.offset - _before(frames.caplen), frames.caplen)
        data = frames.data[at + np.arange(len(at))]
        self.add(data, frames.caplen, frames.length, frames.time_ns, frames.time_ns)

    def frames(self) -> Frames:
        """All of them in order of arrival; of equal times what left first, then what was added."""
        sizes, wire, arrived_ns, left_ns = (
            np.concatenate(columns) if columns else np.zeros(0, np.int64)
            for columns in (self._sizes, self._wire, self._arrived_ns, self._left_ns)
        )
        data = np.concatenate(self._data) if self._data else np.zeros(0, np.uint8)
        order = np.lexsort((left_ns, arrived_ns))
        return Frames(data, _before(sizes), sizes, wire, arrived_ns).take(order)


def _before(sizes: Int64s) -> Int64s:
    """Where each of some frames begins that lie one after the other."""
    return np.cumsum(sizes) - sizes

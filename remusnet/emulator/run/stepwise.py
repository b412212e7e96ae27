"""Every frame by itself: what goes into a run of the loop, and what it says when it is over."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from remusnet.classify.columns import columns as columns_of
from remusnet.classify.headers import dissect
from remusnet.classify.reference import Hazard, classify, hazards_of_frame
from remusnet.emulator.machine.epochs import Tally, Timeline
from remusnet.emulator.machine.failover import due_through_failure
from remusnet.emulator.run.loop import Flight, Judge, Lane, Log, Loop
from remusnet.emulator.run.vectorised import media_of
from remusnet.emulator.traffic.conversations import CONNECTION, Conversation
from remusnet.emulator.traffic.endpoints import Again, Answered, End, Payload, Said, Segment
from remusnet.emulator.traffic.rtp import Lost, Source, StreamPackets, joined
from remusnet.emulator.traffic.sip import RINGING
from remusnet.emulator.traffic.wire import What
from remusnet.frames import Frames, Int64s
from remusnet.metrics.flows import SeenHazard, flow_of
from remusnet.metrics.holding import HoldTimes, TcpConnection, hold_percentiles, output_commit
from remusnet.policy.policy import TCP, Policy
from remusnet.policy.presets import STOCK_REMUS
from remusnet.policy.verdict import Verdict
from remusnet.results.exchanges import Ended, SipTransaction, Transfer
from remusnet.results.stream import NEVER
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Transport


def run_loop(
    scenario: Scenario,
    timeline: Timeline,
    conversations: list[Conversation],
    lanes: list[Lane],
    policy: Policy,
    *,
    limit: int,
    slots: int | None,
    log: Log | None = None,
) -> Loop:
    """A loop that has run; see it."""
    judge = judge_of(policy, conversations)
    # Xen's own script holds without a copy, and a ring's slots are free only when frames leave.
    coupled = policy.name == STOCK_REMUS.name or slots is not None
    loop = Loop(
        scenario, timeline, conversations, lanes, judge,
        limit=limit, slots=slots, coupled=coupled, log=log,
    )  # fmt: skip
    loop.run()
    return loop


def judge_of(policy: Policy, conversations: Sequence[Conversation]) -> Judge:
    """The reference classifier, asked once for each kind of frame of a conversation."""
    known: dict[tuple[int, str], bool] = {}

    def hold(index: int, what: What) -> bool:
        # Of TCP no policy looks behind the header; a datagram may look like RTP.
        key = index, what.name if isinstance(what, Payload) else ""
        if key not in known:
            frame = conversations[index].wire.frame(what, from_guest=True)
            known[key] = classify(policy, frame).verdict is Verdict.HOLD
        return known[key]

    return hold


def lanes_of(
    sources: Sequence[Source], holds: Sequence[bool], scenario: Scenario, timeline: Timeline
) -> tuple[list[Lane], list[StreamPackets]]:
    """The RTP of a scenario as lanes, where each frame has to be looked at alone.

    Beside them the packets of each source: when they are due, and their numbers. The loop fills in
    the rest.
    """
    lanes: list[Lane] = []
    planned: list[StreamPackets] = []
    for owner, (source, hold) in enumerate(zip(sources, holds, strict=True)):
        base, primary = _planned(source, scenario, timeline)
        number = np.arange(len(base))
        sent = base.lost != Lost.NOBODY
        for by_backup in (False, True):
            mine = np.flatnonzero(((number >= primary) == by_backup) & sent)
            lanes.append(
                Lane(
                    owner,
                    array("q", base.sent_ns[mine].tobytes()),
                    array("q", mine.tobytes()),
                    source.frame_bytes,
                    source.from_guest,
                    by_backup,
                    hold and source.from_guest,
                )
            )
        planned.append(base)
    return [lane for lane in lanes if lane.times], planned


def _planned(source: Source, scenario: Scenario, timeline: Timeline) -> tuple[StreamPackets, int]:
    """When each packet is due, and how many are not the backup's: those come first."""
    media = joined(list(media_of(source, scenario)[0]))
    if timeline.marks is not None:
        return due_through_failure(source, media, timeline.checkpoints, timeline.marks)
    return StreamPackets.of(media, media.due_ns, media.due_ns), len(media)


def filled(planned: Sequence[StreamPackets], flights: Sequence[Flight]) -> list[StreamPackets]:
    """The packets of each source as the loop has left them.

    A row that no frame was made of was due in a pause that the primary didn't survive.
    """
    found: list[StreamPackets] = []
    mine: list[list[Flight]] = [[] for _ in planned]
    for flight in flights:
        if flight.what is None:
            mine[flight.owner].append(flight)
    for base, flown in zip(planned, mine, strict=True):
        absent = base.lost == Lost.NOBODY
        row = np.array([flight.row for flight in flown], np.int64)
        columns = {
            name: np.full(len(base), NEVER, np.int64)
            for name in ("sent_ns", "left_ns", "arrived_ns")
        }
        for name in ("sent_ns", "left_ns"):
            columns[name][absent] = getattr(base, name)[absent]
        lost = base.lost.copy()
        for name, column in columns.items():
            column[row] = [getattr(flight, name) for flight in flown]
        lost[row] = [int(flight.lost) for flight in flown]
        was = absent.copy()
        was[row] = True
        kept = np.flatnonzero(was)
        kept = kept[np.argsort(columns["sent_ns"][kept], kind="stable")]
        found.append(replace(base, **columns, lost=lost).take(kept))
    return found


def tally_flights(flights: Sequence[Flight], timeline: Timeline) -> Tally:
    """Counts over the loop's frames; violations from the times alone.

    A backup's frames, and a lane's that it never sent, are not held.
    """
    guests = [flight for flight in flights if flight.from_guest]
    hold = np.array([flight.hold for flight in guests], np.bool_)
    dropped = np.array([flight.lost is Lost.BUFFER for flight in guests], np.bool_)
    stuck = np.array([flight.left_ns == NEVER for flight in guests], np.bool_)
    planned = timeline.checkpoints
    counted = output_commit(
        _times(guests, "sent_ns"),
        _times(guests, "left_ns"),
        hold,
        dropped | stuck,
        planned.suspend_ns,
        planned.commit_ns,
    )
    # What a stale primary lets pass stands for nothing any more either.
    resume_ns = NEVER if timeline.marks is None else timeline.marks.resume_ns
    alone = np.array([flight.by_backup for flight in guests], np.bool_)
    if timeline.marks is not None:
        alone |= ~hold & ~stuck & (_times(guests, "sent_ns") >= resume_ns)
    unprotected = int(alone.sum()) if timeline.protected else len(guests)
    return Tally(
        len(flights),
        counted.held,
        counted.bypassed,
        int(dropped.sum()),
        counted.violations,
        unprotected,
    )


def _times(flights: Sequence[Flight], name: str) -> Int64s:
    return np.array([getattr(flight, name) for flight in flights], np.int64)


def tcp_holds(
    flights: Sequence[Flight], conversations: Sequence[Conversation]
) -> tuple[HoldTimes, tuple[TcpConnection, ...]]:
    """How long the guest's TCP frames were held: over all, and per connection."""
    frames: dict[int, int] = {}
    held: dict[int, list[Flight]] = {}
    for flight in flights:
        if isinstance(flight.what, Segment):
            frames[flight.owner] = frames.get(flight.owner, 0) + 1
            held.setdefault(flight.owner, [])
    everything = held_segments(flights)
    for flight in everything:
        held[flight.owner].append(flight)
    connections = tuple(
        TcpConnection(conversations[owner].wire.flow, frames[owner], hold_times(held[owner]))
        for owner in sorted(frames)
        if conversations[owner].wire.protocol == TCP
    )
    return hold_times(everything), connections


def held_segments(flights: Sequence[Flight]) -> list[Flight]:
    """TCP frames that were held and left."""
    return [
        flight
        for flight in flights
        if isinstance(flight.what, Segment) and flight.hold and flight.left_ns != NEVER
    ]


def sip_datagrams(flights: Sequence[Flight], conversations: Sequence[Conversation]) -> list[Flight]:
    """SIP over UDP that was held and left."""
    return [
        flight
        for flight in flights
        if flight.what is not None
        and flight.hold
        and flight.left_ns != NEVER
        and conversations[flight.owner].transport == Transport.UDP
    ]


def hazards_seen(
    flights: Sequence[Flight], conversations: Sequence[Conversation], policy: Policy
) -> tuple[SeenHazard, ...]:
    """The hazards in what the primary sent, in the order in which they were seen.

    Conversations of one kind differ in addresses and ports of clients only, which no hazard is in.
    """
    known: dict[tuple[str, int, str, str, bool], tuple[Hazard, ...]] = {}
    seen: dict[str, SeenHazard] = {}
    for flight in flights:
        if flight.what is None or flight.by_backup or not flight.from_guest:
            continue
        said = conversations[flight.owner]
        name = flight.what.name if isinstance(flight.what, Payload) else ""
        key = said.kind, said.group, said.transport, name, flight.hold
        if key not in known:
            frame = said.wire.frame(flight.what, from_guest=True)
            verdict = Verdict.HOLD if flight.hold else Verdict.BYPASS
            known[key] = tuple(hazards_of_frame(policy, dissect(frame, len(frame)), verdict))
        for hazard in known[key]:
            before = seen.get(hazard.name)
            if before is None:
                frame = said.wire.frame(flight.what, from_guest=True)
                flow = flow_of(columns_of(Frames.of([frame])), 0)
                before = SeenHazard(hazard.name, hazard.text, 0, flow)
            seen[hazard.name] = replace(before, frames=before.frames + 1)
    return tuple(seen.values())


def hold_times(flights: Sequence[Flight]) -> HoldTimes:
    """How long ``flights``, which left, were held."""
    return hold_percentiles(_times(flights, "sent_ns"), _times(flights, "left_ns"))


@dataclass(slots=True)
class Exchange:
    """One transaction or transfer, as its endpoints told of it.

    ``answers_ns``: how long each answer took, by its number.
    """

    start_ns: int
    end_ns: int | None = None
    ended: Ended = Ended.UNFINISHED
    size: int = 0
    copies: int = 0
    timeouts: int = 0
    answers_ns: dict[int, int] = field(default_factory=dict)


class Exchanges:
    """Exchanges by conversation and name; what begins twice (after a rollback) counts once.

    ``said``: in order of time.
    """

    def __init__(self, conversations: Sequence[Conversation], said: Iterable[Said]) -> None:
        self._conversations = conversations
        self._found: dict[tuple[int, str], Exchange] = {}
        for each in said:
            self._take(each)

    def _take(self, said: Said) -> None:
        found = self._found.setdefault((said.owner, said.what.what), Exchange(said.time_ns))
        match said.what:
            case End(_, how, size):
                if found.ended is Ended.UNFINISHED:
                    found.ended = how
                    found.size = size
                    found.end_ns = said.time_ns if how is Ended.DONE else None
            case Again(_, timeout):
                found.timeouts += timeout
                udp = self._conversations[said.owner].transport == Transport.UDP
                found.copies += not timeout or udp
            case Answered(_, number, after_ns):
                found.answers_ns.setdefault(number, after_ns)

    def transactions(self) -> tuple[SipTransaction, ...]:
        """The SIP transactions, in the order in which they began."""
        found = []
        for (index, what), each in self._found.items():
            conversation = self._conversations[index]
            if conversation.kind == "sip" and what != CONNECTION:
                found.append(
                    SipTransaction(
                        conversation.group,
                        conversation.number,
                        what,
                        conversation.transport,
                        str(conversation.client),
                        each.start_ns,
                        each.end_ns,
                        each.copies,
                        each.ended,
                        each.answers_ns.get(int(RINGING)),
                    )
                )
        return tuple(sorted(found, key=lambda each: (each.start_ns, each.group, each.call)))

    def transfers(self) -> tuple[Transfer, ...]:
        """All others, in the order in which they began.

        A connection beneath SIP is as long as its transactions, and has their end.
        """
        found = []
        for (index, what), each in self._found.items():
            conversation = self._conversations[index]
            if conversation.kind == "sip" and what != CONNECTION:
                continue
            ended, end_ns = each.ended, each.end_ns
            if what == CONNECTION and ended is Ended.UNFINISHED:
                ended, end_ns = self._end_of_dialog(index)
            found.append(
                Transfer(
                    conversation.group,
                    conversation.number,
                    conversation.kind,
                    conversation.wire.flow,
                    each.start_ns,
                    end_ns,
                    each.size,
                    each.copies,
                    each.timeouts,
                    ended,
                    tuple(each.answers_ns[number] for number in sorted(each.answers_ns)),
                )
            )
        return tuple(sorted(found, key=lambda each: (each.start_ns, each.kind, each.number)))

    def _end_of_dialog(self, index: int) -> tuple[Ended, int | None]:
        asked = [
            each for (owner, what), each in self._found.items()
            if owner == index and what != CONNECTION
        ]  # fmt: skip
        ends = [each.end_ns for each in asked if each.end_ns is not None]
        if asked and len(ends) == len(asked):
            return Ended.DONE, max(ends)
        return Ended.UNFINISHED, None

"""Every frame by itself: endpoints that react, in order of time, over the same buffer and schedule.

Order at one moment: checkpoints, then everything else as it came, then the failure. All that is not
an endpoint's business is here: the guest's pauses, its death and its second life on the backup from
a copy of its state, the way through vif and network.
"""

from __future__ import annotations

import copy
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from remusnet.emulator.machine.epochs import Timeline
from remusnet.emulator.machine.vif import Committed, Delivered, Sent, Suspended, Vif, VifEvent
from remusnet.emulator.network.link import Link
from remusnet.emulator.traffic.conversations import Conversation
from remusnet.emulator.traffic.endpoints import (
    Again,
    Answered,
    Begin,
    Command,
    End,
    Endpoint,
    Event,
    Expired,
    Left,
    Received,
    Said,
    Segment,
    Send,
    SetTimer,
    Started,
    StopTimer,
)
from remusnet.emulator.traffic.rtp import Lost
from remusnet.emulator.traffic.tcp import TcpEnd
from remusnet.emulator.traffic.wire import What
from remusnet.results.stream import NEVER
from remusnet.scenario.quantity import generator
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Side

_CHECKPOINT, _TRAFFIC, _FAILURE = 0, 1, 2

Judge = Callable[[int, What], bool]
"""Whether the policy holds what the guest says in conversation ``index``."""


@dataclass(slots=True, eq=False)
class Flight:
    """One frame. ``owner``: a conversation's index, or a lane's; ``what``: None of a lane's packet,
    whose ``row`` counts. Times are `NEVER` until something happens.
    """

    owner: int
    what: What | None
    row: int
    length: int
    from_guest: bool
    hold: bool
    sent_ns: int
    by_backup: bool = False
    left_ns: int = NEVER
    arrived_ns: int = NEVER
    lost: Lost = Lost.NOWHERE


class Log(Protocol):
    """The flights of a run, in the order of sending; `Loop` asks for those the vif still has."""

    def append(self, flight: Flight, /) -> None:
        """One more."""
        ...

    def __getitem__(self, number: int, /) -> Flight: ...

    def __len__(self) -> int: ...


@dataclass(slots=True)
class Machine:
    """A side's endpoints with their timers. ``behind_ns``: how far its clock is behind.

    ``protected``: whether what it sends goes through the buffer; ``coupled``: without a copy, so
    that it counts as unsent until it leaves. ``waiting``: what happens to it at its resume.
    """

    endpoints: list[Endpoint]
    timers: dict[tuple[int, str], int] = field(default_factory=dict)
    alive: bool = True
    paused: bool = False
    protected: bool = False
    is_guest: bool = True
    behind_ns: int = 0
    coupled: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lane:
    """RTP packets of one stream that have to go step by step: (time, row) in order of time.

    ``from_guest``: through the guest's pauses and vif; ``by_backup``: sent by the backup, which
    has neither.
    """

    owner: int
    times: Sequence[int]
    rows: Sequence[int]
    length: int
    from_guest: bool
    by_backup: bool
    hold: bool


class Loop:
    """One run of a scenario's reactive traffic, and of ``lanes`` where those have to come along.

    ``limit``, ``slots``: what of plug and ring is there for it; ``coupled``: whether frames are
    held without a copy. After `run`, ``flights`` has every frame (unless ``log`` takes them),
    ``said`` what endpoints told the report, and ``vif`` its counters.
    """

    def __init__(
        self,
        scenario: Scenario,
        timeline: Timeline,
        conversations: list[Conversation],
        lanes: list[Lane],
        judge: Judge,
        *,
        limit: int,
        slots: int | None,
        coupled: bool = False,
        log: Log | None = None,
    ) -> None:
        self.scenario = scenario
        self.timeline = timeline
        self.conversations = conversations
        self.judge = judge
        self.now_ns = 0
        self.flights: list[Flight] = []
        self._log: Log = self.flights if log is None else log
        self.said: list[Said] = []
        self.vif = Vif(limit, slots)
        self._heap: list[tuple[int, int, int, Callable[[], None]]] = []
        self._pushed = 0
        # The scenario's own endpoints stay as they are: another policy's run begins with them.
        self.primary = Machine(
            [copy.deepcopy(each.guest) for each in conversations], protected=timeline.protected
        )
        self.peers = Machine([copy.deepcopy(each.peer) for each in conversations], is_guest=False)
        self.backup: Machine | None = None
        self._state: tuple[list[Endpoint], dict[tuple[int, str], int]] = ([], {})
        self._up, self._down = (
            Link(scenario.network, generator(scenario.seed, "network", direction))
            for direction in (0, 1)
        )
        self._lanes = lanes
        self._couple(self.primary, coupled=coupled)

    def _couple(self, machine: Machine, *, coupled: bool) -> None:
        """Whether the host of ``machine`` counts what is held as unsent."""
        machine.coupled = coupled
        for endpoint in machine.endpoints:
            if isinstance(endpoint, TcpEnd):
                endpoint.couple(coupled=coupled)

    def run(self) -> None:
        """All of it: until the end, and until what left before it has come."""
        for index, conversation in enumerate(self.conversations):
            self._push(conversation.start_ns, _TRAFFIC, partial(self._start, index))
        for lane in self._lanes:
            self._next_in_lane(lane, 0)
        if self.timeline.protected:
            self._plan(0)
        marks = self.timeline.marks
        if marks is not None:
            if marks.state_ns == 0:
                self._push(0, _CHECKPOINT, self._save)
            self._push(marks.failed_ns, _FAILURE, self._fail)
            self._push(marks.resume_ns, _FAILURE, self._take_over)
            if marks.stale_until_ns is not None:
                self._push(marks.stale_until_ns, _FAILURE, self._fence)
        while self._heap:
            self.now_ns, _, _, action = heapq.heappop(self._heap)
            action()
        self._lose_held()

    def _push(self, time_ns: int, order: int, action: Callable[[], None]) -> None:
        # The count keeps equal moments in the order in which they were planned.
        self._pushed += 1
        heapq.heappush(self._heap, (time_ns, order, self._pushed, action))

    # The checkpoints.

    def _plan(self, index: int) -> None:
        """The steps of checkpoint ``index``; the next one is planned when it commits."""
        planned = self.timeline.checkpoints
        if index >= len(planned):
            return
        times = planned.suspend_ns, planned.resume_ns, planned.commit_ns
        suspend, resume, commit = (int(each[index]) for each in times)
        self._push(suspend, _CHECKPOINT, self._suspend)
        self._push(resume, _CHECKPOINT, self._resume)
        self._push(commit, _CHECKPOINT, partial(self._commit, index))

    def _failed(self) -> bool:
        marks = self.timeline.marks
        return marks is not None and self.now_ns > marks.failed_ns

    def _suspend(self) -> None:
        if self._failed():
            return
        marks = self.timeline.marks
        if marks is not None and marks.state_ns == self.now_ns:
            self._save()
        self._through_vif(Suspended(self.now_ns))
        self.primary.paused = True

    def _resume(self) -> None:
        if not self._failed():
            self._go_on(self.primary)

    def _commit(self, index: int) -> None:
        if self._failed():
            return
        self._through_vif(Committed(self.now_ns))
        self._plan(index + 1)

    def _go_on(self, machine: Machine) -> None:
        machine.paused = False
        waiting, machine.waiting = machine.waiting, []
        for action in waiting:
            action()

    # The failure.

    def _save(self) -> None:
        """What the backup would begin with: memory and timers."""
        self._state = copy.deepcopy(self.primary.endpoints), dict(self.primary.timers)

    def _fail(self) -> None:
        marks = self.timeline.marks
        if marks is None:
            return
        if marks.state_ns == marks.failed_ns:
            self._save()
        if marks.stale_until_ns is None:
            self.primary.alive = False
            self._lose_held()
        elif self.primary.paused:
            self._go_on(self.primary)

    def _take_over(self) -> None:
        marks = self.timeline.marks
        if marks is None:
            return
        endpoints, timers = self._state
        behind_ns = marks.resume_ns - marks.state_ns
        self.backup = Machine(copy.deepcopy(endpoints), behind_ns=behind_ns)
        self._couple(self.backup, coupled=False)
        for (index, timer), due_ns in timers.items():
            left_ns = max(0, due_ns - marks.state_ns)
            self._set_timer(self.backup, index, timer, left_ns)

    def _fence(self) -> None:
        self.primary.alive = False

    def _lose_held(self) -> None:
        """Counts as lost the frames that no checkpoint will release any more."""
        for number in self.vif.inside:
            self._log[number].lost = Lost.FAILURE

    # Endpoints.

    def _start(self, index: int) -> None:
        conversation = self.conversations[index]
        if conversation.begins is not None:
            self.said.append(Said(index, Begin(conversation.begins), self.now_ns))
        at_guest = conversation.client is Side.GUEST
        machine = self._guest_now() if at_guest else self.peers
        if machine is not None:
            self._happen(machine, index, Started())

    def _guest_now(self) -> Machine | None:
        """The guest that acts by itself now: the primary until it fails, then the backup."""
        return self.primary if self.primary.alive else self.backup

    def _happen(self, machine: Machine, index: int, event: Event) -> None:
        if not machine.alive or self.now_ns > self.scenario.duration_ns:
            return
        if machine.paused:
            machine.waiting.append(partial(self._happen, machine, index, event))
            return
        own_ns = self.now_ns - machine.behind_ns
        for command in machine.endpoints[index].handle(event, own_ns):
            self._obey(machine, index, command)

    def _obey(self, machine: Machine, index: int, command: Command) -> None:
        match command:
            case Send(what):
                self._send(machine, index, what)
            case SetTimer(timer, after_ns):
                self._set_timer(machine, index, timer, after_ns)
            case StopTimer(timer):
                machine.timers.pop((index, timer), None)
            case Begin() | End() | Again() | Answered():
                self.said.append(Said(index, command, self.now_ns))

    def _set_timer(self, machine: Machine, index: int, timer: str, after_ns: int) -> None:
        due_ns = self.now_ns + after_ns
        machine.timers[index, timer] = due_ns
        self._push(due_ns, _TRAFFIC, partial(self._expire, machine, index, timer, due_ns))

    def _expire(self, machine: Machine, index: int, timer: str, due_ns: int) -> None:
        # Stopped, or set anew since.
        if machine.timers.get((index, timer)) != due_ns:
            return
        if machine.paused:
            machine.waiting.append(partial(self._expire, machine, index, timer, due_ns))
            return
        if machine.alive:
            del machine.timers[index, timer]
            self._happen(machine, index, Expired(timer))

    # Frames.

    def _send(self, machine: Machine, index: int, what: What) -> None:
        length = self.conversations[index].wire.length(what)
        hold = machine.protected and self.judge(index, what)
        by_backup = machine is self.backup
        self._out(
            machine,
            Flight(index, what, 0, length, machine.is_guest, hold, self.now_ns, by_backup),
        )

    def _next_in_lane(self, lane: Lane, position: int) -> None:
        """The lane's packet at ``position``, at its time."""
        if position < len(lane.times):
            step = partial(self._of_lane, lane, position)
            self._push(lane.times[position], _TRAFFIC, step)

    def _of_lane(self, lane: Lane, position: int) -> None:
        self._packet(lane, position)
        self._next_in_lane(lane, position + 1)

    def _packet(self, lane: Lane, position: int) -> None:
        machine = self.primary if lane.from_guest else self.peers
        guests = lane.from_guest and not lane.by_backup
        if guests and machine.paused:
            machine.waiting.append(partial(self._packet, lane, position))
            return
        flight = Flight(
            lane.owner,
            None,
            lane.rows[position],
            lane.length,
            lane.from_guest,
            lane.hold and guests,
            self.now_ns,
            lane.by_backup,
        )
        if guests and machine.alive:
            self._out(machine, flight)
        elif not guests:
            self._log.append(flight)
            self._leave(flight)

    def _out(self, machine: Machine, flight: Flight) -> None:
        """A frame on its way: the primary's through the vif, all others' at once."""
        self._log.append(flight)
        if machine.protected:
            number = len(self._log) - 1
            self._through_vif(Sent(self.now_ns, number, flight.length, flight.hold))
        else:
            self._leave(flight)

    def _through_vif(self, event: VifEvent) -> None:
        for output in self.vif.handle(event):
            flight = self._log[output.frame]
            if isinstance(output, Delivered):
                self._leave(flight)
            else:
                flight.lost = Lost.BUFFER
                self._let_go(flight)

    def _let_go(self, flight: Flight) -> None:
        """Tells the primary's TCP that its host doesn't have the segment any more."""
        if self.primary.coupled and isinstance(flight.what, Segment) and not flight.by_backup:
            event = Left(flight.what)
            self._push(
                self.now_ns, _TRAFFIC, partial(self._happen, self.primary, flight.owner, event)
            )

    def _leave(self, flight: Flight) -> None:
        flight.left_ns = self.now_ns
        if flight.from_guest:
            self._let_go(flight)
        marks = self.timeline.marks
        # The backup is heard only once the switch has turned.
        if marks is not None and flight.by_backup and self.now_ns < marks.path_ns:
            flight.lost = Lost.FAILURE
            return
        link = self._up if flight.from_guest else self._down
        lane = flight.what is None
        arrival_ns = link.frame(self.now_ns, flight.length, (lane, flight.owner))
        if arrival_ns is None:
            flight.lost = Lost.NETWORK
            return
        self._push(arrival_ns, _TRAFFIC, partial(self._arrive, flight))

    def _arrive(self, flight: Flight) -> None:
        if flight.from_guest:
            flight.arrived_ns = self.now_ns
            if flight.what is not None:
                self._happen(self.peers, flight.owner, Received(flight.what))
            return
        guest = self._reachable()
        if guest is None:
            flight.lost = Lost.NOBODY
            return
        flight.arrived_ns = self.now_ns
        if flight.what is not None:
            self._happen(guest, flight.owner, Received(flight.what))

    def _reachable(self) -> Machine | None:
        """The guest that frames reach now: the switch turns when the path is back."""
        marks = self.timeline.marks
        if marks is None or self.now_ns <= marks.failed_ns:
            return self.primary
        if self.now_ns >= marks.path_ns:
            return self.backup
        return self.primary if self.primary.alive else None

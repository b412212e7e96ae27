"""A tree of actors on an asyncio loop: its queue, its clock, its events and its dead letters."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import cast

from remusnet.actors import supervision
from remusnet.actors.actor import Actor
from remusnet.actors.cell import Cell
from remusnet.actors.envelope import Envelope
from remusnet.actors.events import Change, Event, describe
from remusnet.actors.spec import Spec
from remusnet.actors.state import State
from remusnet.actors.strategy import Directive, Strategy
from remusnet.errors import InvalidInput, quoted

_ENDS = Strategy(Directive.ESCALATE)
# So many messages are handled, or so long, before the loop looks at sockets and timers again: what
# a message leads to is mostly handled in the turn that it came in. The clock is looked at after a
# portion.
_TURN = 1024
_TURN_NS = 1_000_000
_PORTION = 64
_ROWS = 200  # of a status: a millisecond or two


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that no actor handled, for whom it was and why."""

    recipient: Cell
    message: object
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    """An actor at a moment. ``age_s``: seconds since its instance was started."""

    path: str
    kind: str
    state: str
    age_s: float
    mailbox: int
    restarts: int
    restarts_in_window: int


class System:
    """Actors that share a queue: one message is handled after the other, in the order of `tell`.

    ``strategy``: what the system does where a failure escalates beyond the top; the system is an
    actor too, and ends by default.

    It must be made, and used, in the thread of the running asyncio loop. ``seed`` is for the
    jitter of back-offs; ``on_event`` is called with each `Event`, ``on_dead_letter`` with each
    `DeadLetter`. ``before`` is called before each message is handled: what it raises is a failure
    of that actor (tests inject faults with it). ``clock_ns``: the time of events, where the loop's
    is too coarse (uvloop's has milliseconds).

    >>> class Greeter(Actor):
    ...     def receive(self, message):
    ...         self.context.reply(f"hello {message}")
    >>> async def main():
    ...     system = System()
    ...     greeter = system.spawn(Spec("greeter", Greeter))
    ...     print(await greeter.ask("world", timeout=1))
    ...     await system.stop()
    >>> asyncio.run(main())
    hello world
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        on_event: Callable[[Event], None] | None = None,
        on_dead_letter: Callable[[DeadLetter], None] | None = None,
        on_complaint: Callable[[Cell, Exception], None] | None = None,
        strategy: Strategy = _ENDS,
        clock_ns: Callable[[], int] | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self._time_ns = clock_ns or self._from_loop
        self.random = Random(seed)
        self.on_event = on_event
        self.on_dead_letter = on_dead_letter
        self.on_complaint = on_complaint
        self.before: Callable[[Cell, object], None] | None = None
        self.active: Cell | None = None  # whose handler is under way, coroutines aside
        self.dead_letters = 0
        self.complaints = 0
        self.failure: Exception | None = None
        self._incidents = 0
        self.queue: deque[tuple[Cell, object]] = deque()
        self.scheduled = False
        self._waiting: dict[Cell, asyncio.Future[None]] = {}
        self._root = Cell(self, None, Spec("root", Actor, strategy=strategy), "root")
        self._root.instance = Actor()
        self._root.state = State.RUNNING
        if on_event is not None:
            wall = datetime.now(UTC).isoformat()
            on_event(Event(self._time_ns(), "/", "", None, Change.SERVER_STARTED, wall=wall))

    def spawn(self, spec: Spec, name: str = "") -> Cell:
        """Start an actor at the top. Its failures, if they escalate, end the system."""
        return self._root.spawn(spec, name)

    def declare(self, spec: Spec) -> Cell:
        """Start an actor at the top that belongs there.

        Where the top itself is restarted (see ``strategy``) and its children are stopped, it is
        started anew, in the order of declaration, like the declared children of any actor.
        """
        cell = self._root.spawn(spec)
        root = self._root.spec
        self._root.spec = replace(root, children=(*root.children, spec))
        return cell

    def find(self, path: str) -> Cell:
        """The actor at ``path`` (``transport/receiver``). Raises InvalidInput if there is none."""
        cell: Cell | None = self._root
        for name in path.strip("/").split("/"):
            cell = cell.child(name) if cell is not None else None
        if cell is None:
            raise InvalidInput(f"no actor {quoted(path)}")
        return cell

    def walk(self) -> Iterator[Cell]:
        """All actors, each before its children."""
        pending = list(self._root.children)[::-1]
        while pending:
            cell = pending.pop()
            yield cell
            pending += list(cell.children)[::-1]

    def status(self) -> list[Status]:
        """All actors as they are now, each before its children."""
        return [each for portion in self.status_in_portions() for each in portion]

    def status_in_portions(self) -> Iterator[list[Status]]:
        """The same, of those that there are now, a few at a time: others may have turns between."""
        now = self.now()
        waiting = self.waiting()
        cells = list(self.walk())
        for begin in range(0, len(cells), _ROWS):
            yield [
                Status(
                    path=cell.path,
                    kind=cell.kind,
                    state=cell.state.value,
                    age_s=now - cell.born,
                    mailbox=waiting[cell],
                    restarts=cell.restarts,
                    restarts_in_window=cell.in_window(),
                )
                for cell in cells[begin : begin + _ROWS]
            ]

    def waiting(self) -> Counter[Cell]:
        """How many messages wait for each actor."""
        found = Counter(each.cell for each, what in self.queue if what is not _DRAIN)
        for cell in self.walk():
            if cell.stash:
                found[cell] += len(cell.stash)
        return found

    async def stop(self) -> None:
        """Stop all actors, in reverse order of their start; each has its deadline."""
        if (stopping := supervision.stop(self._root)) is not None:
            await stopping

    async def ended(self) -> None:
        """Wait until all actors have stopped. Raises what escalated beyond the top, if it did."""
        if self._root.state is not State.STOPPED:
            await self.when_stopped(self._root)
        if self.failure is not None:
            raise self.failure

    # For cells and supervision.

    start_cell = staticmethod(supervision.start)
    stop_cell = staticmethod(supervision.stop)
    rejuvenate = staticmethod(supervision.rejuvenate)
    failed = staticmethod(supervision.failed)

    def enqueue(self, cell: Cell, envelope: object) -> None:
        """Let ``cell`` take ``envelope``, which is more than a message, when its turn comes."""
        self.queue.append((cast("Cell", _Order(cell)), envelope))
        if not self.scheduled:
            self.schedule()

    def schedule(self) -> None:
        """See to it that the queue is worked on."""
        self.scheduled = True
        self.loop.call_soon(self._pump)

    def enqueue_drain(self, cell: Cell) -> None:
        """Let ``cell`` take what had to wait."""
        self.enqueue(cell, _DRAIN)

    def _pump(self) -> None:
        queue, clock, left = self.queue, self._time_ns, _TURN
        ends = clock() + _TURN_NS
        while left > 0:
            portion = min(len(queue), _PORTION)
            self._handle(portion)
            left -= portion
            if not queue or clock() >= ends:
                break
        self.active = None
        if queue:
            self.loop.call_soon(self._pump)
        else:
            self.scheduled = False

    def _handle(self, count: int) -> None:
        before, take_next = self.before, self.queue.popleft
        for _ in range(count):
            cell, envelope = take_next()
            self.active = cell
            take = cell.ready
            if take is None:
                cell.deliver(envelope)
                continue
            # As Cell.deliver does it with a bare message, whose sender waits for no answer: two
            # calls less are a third of what a message costs, and each attribute a twentieth.
            if cell.gated:
                cell.queued -= 1
            try:
                if before is not None:
                    before(cell, envelope)
                awaited = take(envelope)
            except Exception as error:  # noqa: BLE001 - whatever it is, the strategy answers it
                supervision.failed(cell, error, envelope)
                continue
            if awaited is not None or cell.exceptional:
                cell.handled(awaited, envelope)

    def dead_letter(self, recipient: Cell, message: object, reason: str) -> None:
        """Count a message that no actor handles."""
        self.dead_letters += 1
        if self.on_dead_letter is not None:
            self.on_dead_letter(DeadLetter(recipient, message, reason))

    def complain(self, cell: Cell, error: Exception) -> None:
        """Count what a hook raised while its actor ended: it ends all the same."""
        self.complaints += 1
        if self.on_complaint is not None:
            self.on_complaint(cell, error)

    def emit(self, cell: Cell, change: Change, error: BaseException | None = None) -> None:
        """Tell of a change of ``cell``."""
        if self.on_event is None:
            return
        root = cell is self._root
        if root and change is Change.STOPPED:
            change, error = Change.SERVER_STOPPED, self.failure
        text = None if error is None else describe(error)
        # A start or an end that no failure caused has no failure's number.
        caused = change in (Change.FAILED, Change.RESTARTED, Change.RESUMED, Change.ESCALATED)
        incident = cell.incident if caused else None
        kind = "" if root else cell.kind
        self.on_event(Event(self._time_ns(), cell.path, kind, incident, change, text))

    def fail(self, error: Exception) -> None:
        """End: a failure has escalated beyond the top."""
        if self.failure is None:
            self.failure = error
            self.loop.call_soon(supervision.stop, self._root)

    @property
    def failures(self) -> int:
        """How many failures there were, of all actors."""
        return self._incidents

    def next_incident(self) -> int:
        """A number for a failure."""
        self._incidents += 1
        return self._incidents

    def when_stopped(self, cell: Cell) -> asyncio.Future[None]:
        """Done when ``cell`` has stopped."""
        if cell not in self._waiting:
            self._waiting[cell] = self.loop.create_future()
        return self._waiting[cell]

    def has_stopped(self, cell: Cell) -> None:
        """Tell those who wait for it."""
        waiting = self._waiting.pop(cell, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _from_loop(self) -> int:
        return round(self.now() * 1e9)


class _Order:
    """Stands in the queue for a cell whose envelope is more than a message: it is never running."""

    __slots__ = ("cell",)

    ready = None

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def deliver(self, envelope: object) -> None:
        """Let the cell have it."""
        cell = self.cell
        cell.system.active = cell
        if envelope is _DRAIN:
            cell.drain()
        else:
            cell.deliver(envelope)


_DRAIN = Envelope(None)

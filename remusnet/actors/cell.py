"""Where an actor lives: its reference, its mailbox, its place in the tree.

Instances come and go with restarts; the cell stays, and with it the reference and the mailbox.
How cells start, restart and stop is `remusnet.actors.supervision`; what they need of the system
that they are part of is `remusnet.actors.home`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from remusnet.actors.envelope import (
    Asked,
    AskFailed,
    Crash,
    Envelope,
    Rejuvenate,
    RejuvenationAsked,
    Reply,
)
from remusnet.actors.events import Change
from remusnet.actors.home import Home
from remusnet.actors.place import Place
from remusnet.actors.spec import Instance, Spec
from remusnet.actors.state import State
from remusnet.actors.strategy import OnMessage, Window
from remusnet.actors.timer import STALE, Timer


@dataclass(frozen=True, slots=True)
class Watched:
    """Tells whoever watches that ``ref`` was restarted, resumed or stopped.

    Death watch alone would hide a restart, in which references stay valid and state is lost.
    """

    ref: Cell
    change: Change


class Cell(Place):
    """One actor, as others see it (``tell``, ``ask``, ``path``) and as itself sees its place.

    All of it belongs to the thread of the system's event loop.
    """

    __slots__ = (
        "_again",
        "_system",
        "_timers",
        "_watchers",
        "born",
        "current",
        "escalated",
        "exceptional",
        "failures",
        "gated",
        "held",
        "incident",
        "instance",
        "life",
        "queued",
        "ready",
        "restarts",
        "stash",
        "state",
        "stop_asked",
        "take",
        "task",
    )

    def __init__(self, system: Home[Cell], parent: Cell | None, spec: Spec, name: str) -> None:
        super().__init__(parent, spec, name)
        self._system = system
        self.gated = spec.mailbox is not None  # whether `tell` has to look before it puts
        self.state = _STARTING
        self.instance: Instance | None = None
        self.take: Callable[[object], Awaitable[None] | None] = _nobody  # the instance's receive
        # The same, while a message may go to it straight from the queue; see `enter`.
        self.ready: Callable[[object], Awaitable[None] | None] | None = None
        self.task: asyncio.Future[None] | None = None
        self.failures: deque[float] | None = None
        self.restarts = 0
        # Counts starts, restarts and the stop: what belonged to an earlier one is stale.
        self.life = 0
        self.born = system.now()
        self.incident: int | None = None  # the failure that is being answered, or was last
        self.escalated = False
        self.held = False
        self.queued = 0  # how many wait, where that is bounded; elsewhere nobody keeps count
        self.stash: deque[object] | None = None  # what was taken from the queue too early
        self._watchers: list[Cell] | None = None
        self._timers: dict[object, Timer] | None = None
        self.current: object = None
        self._again: object = None
        self.stop_asked = False
        self.exceptional = False  # whether a handled message has to be looked after

    # For everyone.

    def __repr__(self) -> str:
        return f"<actor {self.path} {self.state.value}>"

    @property
    def system(self) -> Home[Cell]:
        """The system that it is part of."""
        return self._system

    @property
    def alive(self) -> bool:
        """Whether it will take messages, now or after a restart."""
        return self.state is not State.STOPPED and self.state is not State.STOPPING

    @property
    def cell(self) -> Cell:
        """Itself: in the queue an order may stand for it."""
        return self

    @property
    def waiting(self) -> int:
        """How many messages wait in its mailbox."""
        return self.queued if self.spec.mailbox is not None else self._system.waiting()[self]

    def tell(self, message: object) -> bool:
        """Put ``message`` into its mailbox; false where it became a dead letter instead."""
        if self.gated:
            if not self._admits(message):
                return False
            self.queued += 1
        # Not by System.enqueue, whose call would be a fifth of all that a tell costs.
        system = self._system
        system.queue.append((self, message))
        if not system.scheduled:
            system.schedule()
        return True

    async def ask(self, message: object, timeout: float) -> Any:
        """What its handler replies to ``message``.

        Raises TimeoutError after ``timeout`` seconds, and AskFailed at once where it is sure that
        there will be no answer.
        """
        answer: asyncio.Future[Any] = self._system.loop.create_future()
        asked = Asked(message, answer)
        if not self.gated or self._admits(asked):
            self.order(asked)
        async with asyncio.timeout(timeout):
            return await answer

    def crash(self, error: Exception) -> None:
        """Let it fail with ``error`` when it would take its next message: a fault, on purpose."""
        self.order(Crash(error))

    def restart(self) -> None:
        """Restart it between two messages without a failure: rejuvenation. No window counts it."""
        self.order(Rejuvenate(None))

    def stop(self) -> None:
        """Stop it and its children, after the message under way; what still waits is dead."""
        if self._system.active is self and self.state is State.RUNNING:
            self.stop_asked = self.exceptional = True
        else:
            self._system.stop_cell(self)

    # For the actor itself, as ``self.context``.

    def spawn(self, spec: Spec, name: str = "") -> Cell:
        """Start a child, as many of a spec as there are names (default: the spec's own).

        Raises InvalidInput where one of that name lives.
        """
        cell = Cell(self._system, self, spec, name or spec.name)
        self.adopt(cell)
        self._system.start_cell(cell)
        return cell

    def watch(self, other: Cell) -> None:
        """Be told, by `Watched`, when ``other`` is restarted, resumed or stopped."""
        if other.state is State.STOPPED:
            self.tell(Watched(other, Change.STOPPED))
            return
        if other._watchers is None:
            other._watchers = []
        if self not in other._watchers:
            other._watchers.append(self)

    def unwatch(self, other: Cell) -> None:
        """Be told no more."""
        if other._watchers and self in other._watchers:
            other._watchers.remove(self)

    def after(self, seconds: float, message: object, key: object = None) -> Timer:
        """Tell itself ``message`` in ``seconds``.

        A timer with a ``key`` takes the place of the one that has it. Whatever is cancelled, or was
        set before a restart, is never delivered, even if it has fired already.
        """
        if self._timers is None:
            self._timers = {}
        timer = Timer(self, self._timers, message, key)
        if key is not None and (old := self._timers.get(key)) is not None:
            old.cancel()
        self._timers[timer.key] = timer
        timer.handle = self._system.loop.call_later(seconds, timer.fire)
        return timer

    def cancel(self, key: object) -> None:
        """Cancel the timer with that key, if there is one."""
        if self._timers and (timer := self._timers.get(key)) is not None:
            timer.cancel()

    def replier(self) -> Reply:
        """Whom to answer the message that is being handled, now or later."""
        current = self.current
        return Reply(current.answer if isinstance(current, Asked) else None)

    def reply(self, value: object) -> None:
        """Answer the message that is being handled. Nobody may have asked: then nothing happens."""
        self.replier().send(value)

    # For the system and for supervision.

    def deliver(self, envelope: object) -> None:
        """Take the next message from the system's queue: handle it, or keep it for later."""
        if self.ready is not None:
            self._handle(envelope)
        elif self.state is State.STOPPED:
            self._bury(envelope, "the actor has stopped")
        else:
            if self.stash is None:
                self.stash = deque()
            self.stash.append(envelope)

    def drain(self) -> None:
        """Go on: take the first of what had to wait, and see to it that the rest follows."""
        if self.stash and self.state is State.RUNNING:
            envelope = self.stash.popleft()
            if self.stash:
                self._system.enqueue_drain(self)
            else:
                self.stash = None
                self.enter(State.RUNNING)
            self._handle(envelope)

    def enter(self, state: State) -> None:
        """Be in ``state`` from now on: messages are taken while it runs and nothing waits."""
        self.state = state
        self.ready = self.take if state is _RUNNING and self.stash is None else None

    def resume(self) -> None:
        """Take messages again, as far as those above allow."""
        self.enter(State.SUSPENDED if self.held else _RUNNING)
        if self.stash and not self.held:
            self._system.enqueue_drain(self)

    def hold(self) -> None:
        """Take no message, and let none below take one, until `release`."""
        for child in self.children:
            child.hold()
        self.held = True
        if self.state is _RUNNING:
            self.enter(State.SUSPENDED)

    def release(self) -> None:
        """Undo `hold`."""
        self.held = False
        if self.state is State.SUSPENDED:
            self.resume()
        for child in self.children:
            child.release()

    def note_failure(self) -> int | None:
        """How many failures its window has with this one; None where it is one too many."""
        if self.failures is None:
            self.failures = deque()
        window = self.spec.strategy.window
        over = (window or _UNLIMITED).count(self.failures, self._system.now())
        return None if over else len(self.failures)

    def in_window(self) -> int:
        """How many failures its window has now."""
        if not self.failures:
            return 0
        (self.spec.strategy.window or _UNLIMITED).forget(self.failures, self._system.now())
        return len(self.failures)

    def retry_or_bury(self, envelope: object, *, retry: bool) -> None:
        """Decide about the message whose processing failed."""
        if envelope is None or isinstance(envelope, Crash):
            return
        if retry and envelope is not self._again:
            self._again = envelope
            self.exceptional = True
            if self.stash is None:
                self.stash = deque()
            self.stash.appendleft(envelope)
            self.queued += 1
            return
        self._again = None
        self._dead(envelope, "its processing failed twice" if retry else "its processing failed")

    def bury_all(self, reason: str) -> None:
        """All that waits is dead."""
        while self.stash:
            self._bury(self.stash.popleft(), reason)
        self.stash = None

    def cancel_timers(self) -> None:
        """None of this instance's timers fires any more."""
        while self._timers:
            self._timers.popitem()[1].cancel()
        self._timers = None

    def let_go(self) -> Instance | None:
        """Have no instance any more (the result), and nothing that keeps it in memory."""
        instance, self.instance = self.instance, None
        self.take = _nobody
        self.current = None
        return instance

    def notify(self, change: Change) -> None:
        """Tell those who watch."""
        if self._watchers is None:
            return
        for watcher in tuple(self._watchers):
            watcher.tell(Watched(self, change))
        if change is Change.STOPPED:
            self._watchers = None

    def _admits(self, message: object) -> bool:
        reason = ""
        if not self.alive:
            reason = "the actor has stopped"
        elif self.spec.mailbox is not None and self.queued >= self.spec.mailbox:
            reason = "its mailbox is full"
        if reason:
            self._dead(message, reason)
        return not reason

    def order(self, order: object) -> None:
        """Let it take ``order`` in its turn, however full its mailbox is."""
        if self.alive:
            self.queued += 1
            self._system.enqueue(self, order)

    def _handle(self, envelope: object) -> None:
        self.queued -= 1
        self.current = message = envelope
        try:
            if isinstance(envelope, Envelope):
                message = envelope.open()
                if message is STALE:
                    self.current = None
                    return
            if self._system.before is not None:
                self._system.before(self, message)
            awaited = self.take(message)
        except RejuvenationAsked:
            self.current = None
            self._system.rejuvenate(self)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the strategy answers it
            self.current = None
            self._system.failed(self, error, envelope)
            return
        if awaited is None:
            self.current = None  # what is handled next may be a message that nobody has asked
        if awaited is not None or self.exceptional:
            self.handled(awaited, envelope)

    def handled(self, awaited: Awaitable[None] | None, envelope: object) -> None:
        """See to what a handler leaves behind: its coroutine, a message that was tried again."""
        if awaited is not None:
            self._await(awaited, envelope)
        else:
            self.exceptional = False
            self._again = None
            if self.stop_asked:
                self._system.stop_cell(self)

    def _await(self, awaited: Awaitable[None], envelope: object) -> None:
        self.enter(State.BUSY)
        life = self.life
        self.task = task = asyncio.ensure_future(awaited, loop=self._system.loop)

        def done(finished: asyncio.Future[None]) -> None:
            self.task = None
            if self.current is envelope:
                self.current = None
            error = None if finished.cancelled() else finished.exception()
            if self.life != life:
                # It is being stopped or restarted: what was not done is decided about, no more.
                if finished.cancelled() or error is not None:
                    retry = self.alive and self.spec.strategy.message is OnMessage.RETRY
                    self.retry_or_bury(envelope, retry=retry)
                return
            if finished.cancelled() or error is not None:
                # A strategy is for Exceptions; a cancelled handler is one to it.
                failure = error if isinstance(error, Exception) else RuntimeError("cancelled")
                self._system.failed(self, failure, envelope)
                return
            self._again = None
            if self.stop_asked:
                self.enter(State.RUNNING)
                self._system.stop_cell(self)
            else:
                self.resume()

        task.add_done_callback(done)

    def _bury(self, envelope: object, reason: str) -> None:
        self.queued -= 1
        self._dead(envelope, reason)

    def _dead(self, envelope: object, reason: str) -> None:
        message = envelope
        if isinstance(envelope, Envelope):
            message = envelope.message
            if isinstance(envelope, Asked):
                envelope.fail(AskFailed(f"{self.path}: {reason}"))
            elif not isinstance(envelope, Timer):
                return  # orders to the actor itself: nobody misses them
        self._system.dead_letter(self, message, reason)


def _nobody(_message: object) -> None:
    raise AssertionError("a cell without an instance was running")


# Python 3.11 takes 90 ns to find a member of an Enum, a global 5 ns.
_STARTING, _RUNNING = State.STARTING, State.RUNNING
# Without a limit, failures are counted for the back-off alone.
_UNLIMITED = Window(most=2**63, seconds=60.0)

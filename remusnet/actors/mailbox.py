"""What waits for an actor: each message is taken, kept for later, tried again, or buried."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Self

from remusnet.actors.envelope import Asked, AskFailed, Crash, Envelope, RejuvenationAsked
from remusnet.actors.home import Home
from remusnet.actors.place import Place
from remusnet.actors.spec import Spec
from remusnet.actors.state import State
from remusnet.actors.strategy import OnMessage
from remusnet.actors.timer import STALE, Timer


class Mailbox(Place):
    """A cell as messages see it. All of it belongs to the thread of the system's event loop."""

    __slots__ = (
        "_again",
        "_system",
        "current",
        "exceptional",
        "gated",
        "held",
        "life",
        "queued",
        "ready",
        "stash",
        "state",
        "stop_asked",
        "take",
        "task",
    )

    def __init__(self, system: Home[Any], parent: Self | None, spec: Spec, name: str) -> None:
        super().__init__(parent, spec, name)
        self._system = system  # of cells, whose class this one can't know
        self.gated = spec.mailbox is not None  # whether `tell` has to look before it puts
        self.state = _STARTING
        self.take: Callable[[object], Awaitable[None] | None] = nobody  # the instance's receive
        # The same, while a message may go to it straight from the queue; see `enter`.
        self.ready: Callable[[object], Awaitable[None] | None] | None = None
        self.task: asyncio.Future[None] | None = None
        # Counts starts, restarts and the stop: what belonged to an earlier one is stale.
        self.life = 0
        self.held = False
        self.queued = 0  # how many messages wait, where that is bounded; else not counted
        self.stash: deque[object] | None = None  # messages that it took from the queue too early
        self.current: object = None
        self._again: object = None
        self.stop_asked = False
        self.exceptional = False  # whether a handled message has to be looked after

    # For everyone.

    @property
    def alive(self) -> bool:
        """Whether it will take messages, now or after a restart."""
        return self.state is not State.STOPPED and self.state is not State.STOPPING

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

    def order(self, order: object) -> None:
        """Let it take ``order`` in its turn, however full its mailbox is."""
        if self.alive:
            self.queued += 1
            self._system.enqueue(self, order)

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

    def _admits(self, message: object) -> bool:
        reason = ""
        if not self.alive:
            reason = "the actor has stopped"
        elif self.spec.mailbox is not None and self.queued >= self.spec.mailbox:
            reason = "its mailbox is full"
        if reason:
            self._dead(message, reason)
        return not reason

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
            self.current = None  # the next message may be one whose sender waits for no answer
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
                return  # orders to the actor itself: no sender misses them
        self._system.dead_letter(self, message, reason)


def nobody(_message: object) -> None:
    """Takes no message: there is no instance that could."""
    raise AssertionError("a cell without an instance was running")


# Python 3.11 takes 90 ns to find a member of an Enum, a global 5 ns.
_STARTING, _RUNNING = State.STARTING, State.RUNNING

"""Where an actor lives: its reference, and what it can do and ask for in its place in the tree.

Instances come and go with restarts; the cell stays, and with it the reference and the mailbox
(`remusnet.actors.mailbox`). How cells start, restart and stop is `remusnet.actors.supervision`;
what they need of the system that they are part of is `remusnet.actors.home`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from remusnet.actors.envelope import (
    Asked,
    Crash,
    Rejuvenate,
    Reply,
)
from remusnet.actors.events import Change
from remusnet.actors.home import Home
from remusnet.actors.mailbox import Mailbox, nobody
from remusnet.actors.spec import Instance, Spec
from remusnet.actors.state import State
from remusnet.actors.strategy import Window
from remusnet.actors.timer import Timer


@dataclass(frozen=True, slots=True)
class Watched:
    """Tells each watcher that ``ref`` was restarted, resumed or stopped.

    Death watch alone would hide a restart, in which references stay valid and state is lost.
    """

    ref: Cell
    change: Change


class Cell(Mailbox):
    """One actor, as others see it (``tell``, ``ask``, ``path``) and as itself sees its place.

    All of it belongs to the thread of the system's event loop.
    """

    __slots__ = (
        "_timers",
        "_watchers",
        "born",
        "escalated",
        "failures",
        "incident",
        "instance",
        "restarts",
    )

    def __init__(self, system: Home[Cell], parent: Cell | None, spec: Spec, name: str) -> None:
        super().__init__(system, parent, spec, name)
        self.instance: Instance | None = None
        self.failures: deque[float] | None = None
        self.restarts = 0
        self.born = system.now()
        self.incident: int | None = None  # the failure that is being answered, or was last
        self.escalated = False
        self._watchers: list[Cell] | None = None
        self._timers: dict[object, Timer] | None = None

    # For everyone.

    def __repr__(self) -> str:
        return f"<actor {self.path} {self.state.value}>"

    @property
    def system(self) -> Home[Cell]:
        """The system that it is part of."""
        return self._system

    @property
    def cell(self) -> Cell:
        """Itself: in the queue an order may stand for it."""
        return self

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
        """Answer the message that is being handled; nothing where its sender waits for none."""
        self.replier().send(value)

    # For the system and for supervision.

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

    def cancel_timers(self) -> None:
        """None of this instance's timers fires any more."""
        while self._timers:
            self._timers.popitem()[1].cancel()
        self._timers = None

    def let_go(self) -> Instance | None:
        """Have no instance any more (the result), and nothing that keeps it in memory."""
        instance, self.instance = self.instance, None
        self.take = nobody
        self.current = None
        return instance

    def notify(self, change: Change) -> None:
        """Tell the watchers."""
        if self._watchers is None:
            return
        for watcher in tuple(self._watchers):
            watcher.tell(Watched(self, change))
        if change is Change.STOPPED:
            self._watchers = None


# Without a limit, failures are counted for the back-off alone.
_UNLIMITED = Window(most=2**63, seconds=60.0)

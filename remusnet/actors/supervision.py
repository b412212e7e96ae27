"""How cells start, fail, restart and stop.

Each procedure is a generator: it yields what has to be awaited (a handler under way, a start that
is a coroutine), and runs through at once where nothing has. So in an actor system without
coroutines a failure and its restart are one step, which no message can come between.

A procedure that has waited looks whether its cell still is in the same ``life``: if not, another
procedure has overtaken it, and it leaves the cell alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence

from remusnet.actors.cell import Cell
from remusnet.actors.events import Change
from remusnet.actors.state import State
from remusnet.actors.strategy import Directive, OnChildren, OnMessage, Scope

# For each start and stop: Python 3.11 takes 90 ns to find a member of an Enum, a global 5 ns.
_RUNNING, _STOPPING, _STOPPED = State.RUNNING, State.STOPPING, State.STOPPED
_STARTED, _ENDED = Change.STARTED, Change.STOPPED

Steps = Generator["asyncio.Future[None]", None, None]


def start(cell: Cell) -> None:
    """Make the first instance of a new cell, and its children."""
    _drive(_revive(cell, first=True))


def failed(cell: Cell, error: Exception, envelope: object) -> None:
    """Answer a failure: ``error`` was raised while ``envelope`` was handled (None: at a start)."""
    system = cell.system
    strategy = cell.spec.strategy
    cell.enter(State.FAILED)
    cell.incident = system.next_incident()
    system.emit(cell, Change.FAILED, error)
    directive = strategy.directive_for(error)
    failures = cell.note_failure()
    if cell.stop_asked:
        directive = Directive.STOP
    elif directive in (Directive.RESUME, Directive.RESTART) and failures is None:
        directive = Directive.ESCALATE
    goes_on = directive is not Directive.STOP
    cell.retry_or_bury(envelope, retry=goes_on and strategy.message is OnMessage.RETRY)
    if directive is Directive.STOP:
        stop(cell)
    elif directive is Directive.ESCALATE:
        _escalate(cell, error)
    elif directive is Directive.RESUME and cell.instance is not None:
        system.emit(cell, Change.RESUMED)
        cell.notify(Change.RESUMED)
        if cell.task is None:
            cell.resume()
        else:
            cell.enter(State.BUSY)
        _drive(_complete_children(cell))
    else:
        # An actor whose start failed has nothing to resume: it is restarted.
        _restart_later(cell, error, failures or 1, at_start=envelope is None)


def rejuvenate(cell: Cell) -> None:
    """Restart a cell that has not failed, between two of its messages."""
    cell.incident = None
    _drive(_restart(cell, None))


def stop(cell: Cell) -> asyncio.Future[None] | None:
    """Stop a cell and its children, in reverse order of their start.

    None where that is done, else what will be.
    """
    if cell.state is not _STOPPING and cell.state is not _STOPPED:
        _drive(_stop(cell))
    return None if cell.state is _STOPPED else cell.system.when_stopped(cell)


def _drive(steps: Steps) -> None:
    """Run ``steps`` until they wait, and go on when that is over."""
    for awaited in steps:
        if not awaited.done():
            awaited.add_done_callback(lambda _done: _drive(steps))
            return


def _restart_later(cell: Cell, error: Exception, failures: int, *, at_start: bool) -> None:
    """Restart a failed cell after its back-off, if it has one.

    A failing start without one is restarted through the queue, not on top of this call.
    """
    cell.life += 1
    system, life = cell.system, cell.life
    backoff = cell.spec.strategy.backoff

    def now() -> None:
        if cell.life == life:
            _drive(_restart(cell, error))

    if backoff is not None:
        _hold_children(cell)
        system.loop.call_later(backoff.pause(failures, system.random), now)
    elif at_start:
        system.loop.call_soon(now)
    else:
        now()


def _escalate(cell: Cell, error: Exception) -> None:
    """Make a child's failure its parent's.

    The child waits, stopped but in its place, for what its parent's restart does with it.
    """
    system, parent = cell.system, cell.parent
    system.emit(cell, Change.ESCALATED, error)
    cell.life += 1
    cell.escalated = True
    cell.cancel_timers()
    if parent is None:
        system.fail(error)
    elif parent.alive and parent.state is not State.FAILED:
        failed(parent, Escalated(cell.path, error), None)
    # A parent that has failed already will find it so; one that stops, stops it.


class Escalated(Exception):
    """A child's failure, which its strategy or its window made its parent's."""

    def __init__(self, path: str, error: Exception) -> None:
        super().__init__(f"{path}: {type(error).__name__}: {error}")
        self.path = path
        self.error = error


def _restart(cell: Cell, error: Exception | None) -> Steps:
    """Put new instances in place: of the cell, and of whom its strategy names besides."""
    group = [cell]
    strategy = cell.spec.strategy
    if strategy.scope is Scope.REST_FOR_ONE and error is not None and cell.parent is not None:
        siblings = list(cell.parent.children)
        group += siblings[siblings.index(cell) + 1 :]
    group = [member for first in group for member in _in_place(first)]
    lives: dict[Cell, int] = {}
    for member in group:
        if member.state is not State.FAILED:
            member.incident = cell.incident
        _begin(member)
        lives[member] = member.life
    for member in reversed(group):
        if member.life == lives[member]:
            yield from _quiesce(member, error)
    for member in group:
        if member.life == lives[member]:
            yield from _revive(member, first=False)


def _in_place(cell: Cell) -> list[Cell]:
    """The cell, and those below it that are restarted in their places with it."""
    found = [cell]
    if cell.spec.strategy.children is OnChildren.RESTART:
        for child in cell.children:
            found += _in_place(child)
    return found


def _begin(cell: Cell) -> None:
    """Let nothing of the old life happen any more, and nothing of the next one yet."""
    cell.life += 1
    cell.enter(State.RESTARTING)
    if cell.escalated:
        # Its parent has answered: its window begins anew.
        cell.escalated = False
        cell.failures = None
    cell.cancel_timers()
    _hold_children(cell)


def _hold_children(cell: Cell) -> None:
    """None below it takes a message while it is restarted (Akka's order)."""
    for child in cell.children:
        child.hold()


def _quiesce(cell: Cell, error: Exception | None) -> Steps:
    """End an instance: its handler, the children that don't outlive it, what it holds."""
    yield from _finish(cell)
    if cell.spec.strategy.children is OnChildren.STOP:
        yield from _stop_children(cell)
    instance = cell.let_go()
    if instance is not None:
        try:
            instance.restarting(error)
        except Exception as late:  # noqa: BLE001 - it is going anyway; the log has it
            cell.system.complain(cell, late)


def _revive(cell: Cell, *, first: bool) -> Steps:
    """Start an instance: make it, start what children it lacks, let it begin."""
    life = cell.life
    try:
        cell.instance = instance = cell.spec.make()
        instance.context = cell
        cell.take = instance.receive
        if cell.spec.children or cell.has_children:
            yield from _complete_children(cell)
        awaited = instance.started()
        if awaited is not None:
            # What it raises is a failure of the start.
            cell.task = task = asyncio.ensure_future(awaited, loop=cell.system.loop)
            yield task
            cell.task = None
            if cell.life != life:
                _swallow(task)
                return
            task.result()
    except (Exception, asyncio.CancelledError) as late:  # noqa: BLE001 - as a failing handler
        cell.task = None
        if cell.life == life:
            cell.instance = None
            failed(cell, late if isinstance(late, Exception) else RuntimeError(repr(late)), None)
        return
    if cell.life != life:
        return
    change = _STARTED
    if not first or cell.incident is not None:
        cell.restarts += 1
        change = Change.RESTARTED
    cell.born = cell.system.now()
    cell.system.emit(cell, change)
    cell.notify(change)
    cell.state = _RUNNING
    if cell.stop_asked:
        stop(cell)
        return
    cell.resume()
    if cell.has_children:
        for child in cell.children:
            child.release()


def _complete_children(cell: Cell) -> Steps:
    """Start declared children that are not there; restart those whose failure escalated."""
    for spec in cell.spec.children:
        child = cell.child(spec.name)
        if child is None:
            child = cell.spawn(spec)
            if child.task is not None:
                # The next one starts when this one has (OTP, supervisor: start order).
                yield child.task
    for child in cell.children:
        if child.escalated:
            yield from _restart(child, None)


def _finish(cell: Cell) -> Steps:
    """Wait for the handler under way; cancel it when its time is up."""
    task = cell.task
    if task is None or task.done():
        return
    handle = cell.system.loop.call_later(cell.spec.stop_within, task.cancel)
    yield task
    handle.cancel()
    _swallow(task)
    cell.task = None


def _swallow(task: asyncio.Future[None]) -> None:
    """Look at what a task came to: asyncio complains of an error that no code has looked at."""
    if task.done() and not task.cancelled():
        task.exception()


def _stop_children(cell: Cell) -> Steps:
    children: Sequence[Cell] = list(cell.children)
    for child in children:
        # None of them takes another message while the others are waited for.
        child.hold()
    for child in reversed(children):
        if (stopping := stop(child)) is not None:
            yield stopping


def _stop(cell: Cell) -> Steps:
    cell.life += 1
    cell.enter(_STOPPING)
    cell.gated = True
    cell.cancel_timers()
    if cell.has_children:
        yield from _stop_children(cell)
    if cell.task is not None:
        yield from _finish(cell)
    instance = cell.let_go()
    if instance is not None:
        try:
            instance.stopped()
        except Exception as late:  # noqa: BLE001 - it is going anyway; the log has it
            cell.system.complain(cell, late)
    cell.cancel_timers()
    cell.current = None  # a timer's envelope has its cell
    cell.enter(_STOPPED)
    cell.bury_all("the actor has stopped")
    if cell.parent is not None:
        cell.parent.forget_child(cell.name)
    cell.system.emit(cell, _ENDED)
    cell.notify(_ENDED)
    cell.system.has_stopped(cell)

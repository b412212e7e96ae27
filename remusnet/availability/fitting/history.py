"""Times out of events: how long each kind of actor lived, and how long its restarts took.

A life ends observed, by the actor's own failure, or censored: by the end of the file or of the
server, a stop, a restart that its parent's failure or rejuvenation brought. A restart ends
observed, or censored where the server or the file ended before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from remusnet.availability.fitting.events import Change, Told

SERVER: Final = "server"
"""The kind of the whole process: its life ends when a failure escalates beyond the top."""
_ESCALATED = "Escalated: "
_TOP = "/"
# Clocks of the world are set now and then; within that a gap is taken from the growing one.
_CLOCKS_AGREE_S = 2.0


@dataclass(slots=True)
class Times:
    """Times in seconds, ``ended`` by what is measured or ``censored`` before."""

    ended: list[float] = field(default_factory=list)
    censored: list[float] = field(default_factory=list)

    def add(self, seconds: float, *, ended: bool) -> None:
        """One more. Of two events at one moment the time between is a clock's tick, 1 ns."""
        (self.ended if ended else self.censored).append(max(seconds, 1e-9))

    @property
    def total(self) -> float:
        """All of them together."""
        return sum(self.ended) + sum(self.censored)


@dataclass(slots=True)
class Kind:
    """What is known of one kind of actor.

    ``attempts``: restarts that came to an end; ``stuck``: of them, those that failed again at
    once. ``escalations``: failures that went up. ``resumed``: failures after which it went on.
    """

    name: str
    lives: Times = field(default_factory=Times)
    restarts: Times = field(default_factory=Times)
    attempts: int = 0
    stuck: int = 0
    escalations: int = 0
    resumed: int = 0


@dataclass(slots=True)
class History:
    """What happened, by kind, in the order of their first start. ``runs``: starts of the server."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    runs: int = 0
    seconds: float = 0.0
    unpaired: int = 0


@dataclass(slots=True)
class _State:
    kind: Kind
    since: float
    alive: bool
    id: int | None = None
    escalated: bool = False


def history_of(events: Iterable[Told]) -> History:
    """The times in ``events``, which may be of several runs of a server, one after the other."""
    reading = _Reading()
    for event in events:
        reading.take(event)
    reading.end_of_file()
    return reading.history


class _Reading:
    def __init__(self) -> None:
        self.history = History()
        self._actors: dict[str, _State] = {}
        self._now = self._begun = 0.0
        self._wall: float | None = None
        self._running = False
        self._down_since: tuple[float, float | None] | None = None

    def take(self, event: Told) -> None:
        if event.change is Change.SERVER_STARTED:
            self._server_starts(event)
            return
        if not self._running:
            self._begin(event.time_s, None)
        self._now = max(self._now, event.time_s)
        if event.change is Change.SERVER_STOPPED:
            self._server_stops(failed=bool(event.error))
        else:
            self._of_actor(event)

    def end_of_file(self) -> None:
        if self._running:
            self._close_run(server_failed=False)
        if self._down_since is not None:
            # Never started again: the events don't tell how long that took; more than nothing.
            self._kind(SERVER).restarts.add(0.0, ended=False)

    def _server_starts(self, event: Told) -> None:
        if self._running:
            self._close_run(server_failed=False)  # it was killed, or is another machine's
        if self._down_since is not None:
            gap = _gap(self._down_since, (event.time_s, event.wall))
            if gap is not None:
                server = self._kind(SERVER)
                server.restarts.add(gap, ended=True)
                server.attempts += 1
            self._down_since = None
        self._begin(event.time_s, event.wall)

    def _begin(self, time_s: float, wall: float | None) -> None:
        self._running = True
        self._begun = self._now = time_s
        self._wall = wall
        self.history.runs += 1
        self._actors.clear()
        self._kind(SERVER)

    def _server_stops(self, *, failed: bool) -> None:
        wall = None if self._wall is None else self._wall + self._now - self._begun
        self._close_run(server_failed=failed)
        if failed:
            self._down_since = (self._now, wall)

    def _close_run(self, *, server_failed: bool) -> None:
        for state in self._actors.values():
            self._censor(state)
        self._actors.clear()
        self._running = False
        life = self._now - self._begun
        self.history.seconds += life
        self._kind(SERVER).lives.add(life, ended=server_failed)

    def _of_actor(self, event: Told) -> None:
        if event.actor == _TOP:
            return  # what its failure comes to, the server's end tells
        state = self._actors.get(event.actor)
        if event.change in (Change.STARTED, Change.RESTARTED, Change.RESUMED):
            self._up(event, state)
        elif event.change is Change.FAILED:
            self._failed(event, state)
        elif event.change is Change.ESCALATED:
            if state is None or state.alive:
                self.history.unpaired += 1
            else:
                state.escalated = True
                state.kind.escalations += 1
        elif state is not None:
            self._censor(state)
            del self._actors[event.actor]

    def _up(self, event: Told, state: _State | None) -> None:
        if state is None:
            self._actors[event.actor] = _State(self._kind(event.kind), self._now, alive=True)
            return
        if state.alive:
            self._censor(state)  # rejuvenation, or its parent's restart
        elif not state.escalated:
            if event.id != state.id:
                self.history.unpaired += 1
            state.kind.restarts.add(self._now - state.since, ended=True)
            state.kind.attempts += 1
            state.kind.resumed += event.change is Change.RESUMED
        state.since, state.alive, state.escalated = self._now, True, False

    def _failed(self, event: Told, state: _State | None) -> None:
        if state is None:
            # A first start that fails: it has not lived.
            state = self._actors[event.actor] = _State(
                self._kind(event.kind), self._now, alive=False
            )
        elif state.alive:
            inherited = (event.error or "").startswith(_ESCALATED)
            state.kind.lives.add(self._now - state.since, ended=not inherited)
            state.since = self._now
        else:
            state.kind.attempts += 1
            state.kind.stuck += 1
        state.id, state.alive, state.escalated = event.id, False, False

    def _censor(self, state: _State) -> None:
        if state.alive:
            state.kind.lives.add(self._now - state.since, ended=False)
        elif not state.escalated:
            state.kind.restarts.add(self._now - state.since, ended=False)

    def _kind(self, name: str) -> Kind:
        name = name or SERVER
        return self.history.kinds.setdefault(name, Kind(name))


def _gap(down: tuple[float, float | None], up: tuple[float, float | None]) -> float | None:
    """Seconds from a server's end to its next start; None where no clock knows.

    The growing clock begins anew when the machine does. Then the world's clock has to do.
    """
    grown = up[0] - down[0]
    told = None if down[1] is None or up[1] is None else up[1] - down[1]
    if told is None:
        return grown if grown > 0 else None
    if grown > 0 and abs(grown - told) <= _CLOCKS_AGREE_S + 0.01 * told:
        return grown
    return told if told > 0 else None

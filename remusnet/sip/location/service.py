"""The location actor: bindings in memory, in the store before they are confirmed.

The next commit takes all that comes while one is under way, so that requests share a disk's
slowness. What the actor works on (`Locations`) outlives it under ``resilient``.

While the store is away, look-ups go on from memory, as far as that has them, and registrations get
503. That is no failure of this actor: it tries to reach the store again, each second.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from remusnet.actors import Actor, Cell
from remusnet.sip.bindings import Binding, OutOfOrder, TooMany, Update, alive, applied
from remusnet.sip.steady import SteadyClock
from remusnet.sip.store import Store, StoreUnavailable
from remusnet.sip.wiring import Wiring

# So many are answered before other messages have their turn, and so many share a transaction:
# what a flood asks for keeps no call waiting that needs nothing of the store.
_ANSWERS_AT_ONCE = 4
_BATCH = 64
_RETRY_S = 1.0
_EXPIRE_S = 60.0
_NOT_HANDLED = "its answer could not be handled"


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where is ``aor``? The answer is `Found`, with ``key``."""

    aor: bytes
    asker: Cell
    key: object


@dataclass(frozen=True, slots=True)
class Found:
    """Its bindings that have not expired; None: the store is away, and memory has nothing."""

    key: object
    bindings: tuple[Binding, ...] | None


@dataclass(frozen=True, slots=True)
class Register:
    """Change bindings; the answer is `Registered`, with ``key``, after its commit."""

    update: Update
    asker: Cell
    key: object


@dataclass(frozen=True, slots=True)
class Registered:
    """``status`` 200 with all bindings of the address of record, or why not (10.3)."""

    key: object
    status: int
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch has come to its end. ``error``: how much of it the store has is unknown."""

    answers: list[tuple[Cell, Registered | Found]]
    changed: dict[bytes, tuple[Binding, ...]]
    error: str | None
    more: int = 0  # by so many the bindings have grown


@dataclass(frozen=True, slots=True)
class Opened:
    """The store was tried. ``error`` None: it is there."""

    error: str | None


@dataclass(frozen=True, slots=True)
class _Tick:
    """Time to try again, to expire, or to answer more."""

    what: str


@dataclass(slots=True)
class Locations:
    """What the location actor works on.

    ``remembered``: how many addresses of record stay in memory. ``most``: bindings that one may
    have. ``gather_s``: so long after a batch the next one begins at the earliest, s: more of them
    share what a transaction costs besides its rows. ``wall``: the wall clock, in seconds;
    ``steady``: the same, where it is one that has to be told when the machine's is set.
    """

    store: Store
    remembered: int = 100_000
    most: int = 20
    gather_s: float = 0.0
    wall: Callable[[], float] = time.time
    steady: SteadyClock | None = None
    memory: OrderedDict[bytes, tuple[Binding, ...]] = field(default_factory=OrderedDict)
    pending: list[Register | Lookup] = field(default_factory=list)
    answers: deque[tuple[Cell, Registered | Found]] = field(default_factory=deque)  # to be told
    working: asyncio.Task[None] | None = None
    latest: float = float("-inf")  # when the last batch ended
    expiring: bool = False  # what has expired is to be deleted when the store is free
    opened: bool = False
    trouble: str = ""  # why the store is away
    # What a batch that failed has changed, or not. While the store is away calls go to where the
    # phone was before; when it is back, memory must not say more than it does.
    doubtful: set[bytes] = field(default_factory=set)
    total: int = 0  # bindings in the store, as far as this server knows

    def remember(self, aor: bytes, bindings: tuple[Binding, ...]) -> None:
        """Keep them; the longest unused go where there are too many.

        First those that have none: requests for users that don't exist drive no other user out.
        """
        self.memory[aor] = bindings
        self.memory.move_to_end(aor, last=bool(bindings))
        while len(self.memory) > self.remembered:
            self.memory.popitem(last=False)

    def shift(self, step: float) -> None:
        """The clock was set: what is in memory expires as much later, and the clock goes along."""

        def later(bindings: tuple[Binding, ...]) -> tuple[Binding, ...]:
            return tuple(replace(each, expires=each.expires + step) for each in bindings)

        for aor, bindings in self.memory.items():
            self.memory[aor] = later(bindings)
        self.answers = deque(
            (asker, replace(answer, bindings=later(answer.bindings)) if answer.bindings else answer)
            for asker, answer in self.answers
        )
        if self.steady is not None:
            self.steady.follow(step)


class Location(Actor):
    """Reads and writes bindings, a batch at a time."""

    def __init__(self, wiring: Wiring, locations: Locations) -> None:
        self._wiring = wiring
        self._own = locations

    def started(self) -> None:
        """Enter itself; reach the store, unless an earlier instance has."""
        self._wiring.location = self.context
        self.context.after(_EXPIRE_S, _Tick("expire"), key="expire")
        if not self._own.opened:
            self._open()
        if self._own.answers:
            self.context.tell(_Tick("answer"))

    def restarting(self, error: Exception | None) -> None:
        """Nothing: the store and what is under way stay."""

    def stopped(self) -> None:
        """End what is under way: the actors that asked are gone.

        Where the top is restarted another service takes its place: it must not wait for a batch
        whose end it doesn't hear of, nor believe what that batch may have changed.
        """
        own = self._own
        if own.working is not None:
            own.working.cancel()
            own.working = None
            own.memory.clear()
        own.pending.clear()
        own.answers.clear()

    def receive(self, message: object) -> None:
        """A question, a change, or how a batch ended."""
        if isinstance(message, Lookup):
            self._look_up(message)
        elif isinstance(message, Register):
            if self._own.opened:
                self._own.pending.append(message)
                self._work()
            else:
                message.asker.tell(Registered(message.key, 503))
        elif isinstance(message, Committed):
            self._settle(message)
        elif isinstance(message, Opened):
            self._own.working = None
            self._own.opened = message.error is None
            self._own.trouble = message.error or ""
            if message.error is None:
                for aor in self._own.doubtful:
                    self._own.memory.pop(aor, None)
                self._own.doubtful.clear()
            else:
                self.context.after(_RETRY_S, _Tick("open"), key="open")
            self._work()
        elif isinstance(message, _Tick):
            self._tick(message.what)

    def _look_up(self, lookup: Lookup) -> None:
        known = self._own.memory.get(lookup.aor)
        # Where others write to the store too, memory is for when it is away.
        if known is not None and not (self._own.opened and self._own.store.shared):
            self._own.memory.move_to_end(lookup.aor, last=bool(known))
            lookup.asker.tell(Found(lookup.key, alive(known, self._own.wall())))
        elif self._own.opened:
            self._own.pending.append(lookup)
            self._work()
        else:
            lookup.asker.tell(_without_store(lookup, self._own))

    def _work(self) -> None:
        own = self._own
        if own.working is not None or not own.opened:
            return
        if own.expiring:
            own.expiring = False
            own.working = self._task(self._expire(self.context))
        elif own.pending:
            own.working = self._task(self._gathered(self.context))

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.context.system.loop.create_task(work)

    async def _gathered(self, cell: Cell) -> None:
        """A batch: of all that comes in a moment, where the one before was just now."""
        own = self._own
        pause = own.latest + own.gather_s - self.context.system.now()
        if pause > 0 and len(own.pending) < _BATCH:
            await asyncio.sleep(pause)
        batch, own.pending = own.pending[:_BATCH], own.pending[_BATCH:]
        await self._commit(batch, cell)

    async def _commit(self, batch: list[Register | Lookup], cell: Cell) -> None:
        """Read what memory lacks, work out all changes, write them in one transaction."""
        own = self._own
        answers: list[tuple[Cell, Registered | Found]] = []
        changed: dict[bytes, tuple[Binding, ...]] = {}
        try:
            wanted = {each.update.aor if isinstance(each, Register) else each.aor for each in batch}
            # A REGISTER without contacts only asks.
            changing = {
                each.update.aor
                for each in batch
                if isinstance(each, Register) and each.update.contacts != ()
            }
            async with own.store.exclusively(changing) as rows:
                known = {}
                if not own.store.shared:
                    known = {aor: own.memory[aor] for aor in wanted if aor in own.memory}
                read = await rows.load([aor for aor in wanted if aor not in known])
                known.update(read)
                before = dict(known)
                answers.extend((each.asker, _answer(each, known, changed, own)) for each in batch)
                if changed:
                    await rows.replace(changed)
            more = sum(len(after) - len(before[aor]) for aor, after in changed.items())
            cell.tell(Committed(answers, {**read, **changed}, None, more))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            refused = [(each.asker, _without_store(each, own)) for each in batch]
            cell.tell(Committed(refused, changed, _text(error)))

    def _settle(self, done: Committed) -> None:
        own = self._own
        own.working = None
        own.latest = self.context.system.now()
        if done.error is None:
            own.total += done.more
            for aor, bindings in done.changed.items():
                own.remember(aor, bindings)
        else:
            own.doubtful.update(done.changed)
            own.opened = False
            own.trouble = done.error
        own.answers.extend(done.answers)
        self._answer_some()
        if not own.opened:
            for each in own.pending:
                each.asker.tell(_without_store(each, own))
            own.pending.clear()
            self.context.after(_RETRY_S, _Tick("open"), key="open")
        self._work()

    def _answer_some(self) -> None:
        answers = self._own.answers
        for _ in range(min(len(answers), _ANSWERS_AT_ONCE)):
            asker, answer = answers.popleft()
            asker.tell(answer)
        if answers:
            self.context.tell(_Tick("answer"))

    def _open(self) -> None:
        own = self._own
        if own.working is None:
            own.working = self._task(self._reach(self.context))

    async def _reach(self, cell: Cell) -> None:
        store = self._own.store
        with suppress(Exception):
            await store.close()
        try:
            await store.open()
        except Exception as error:  # noqa: BLE001 - a file that is no store any more is away, too
            cell.tell(Opened(str(error)))
        else:
            cell.tell(Opened(None))

    def _tick(self, what: str) -> None:
        own = self._own
        if what == "answer":
            self._answer_some()
            return
        if what == "open":
            if not own.opened:
                self._open()
            return
        self.context.after(_EXPIRE_S, _Tick("expire"), key="expire")
        now = own.wall()
        for aor, bindings in list(own.memory.items()):
            if bindings and not alive(bindings, now):
                own.memory[aor] = ()
        own.expiring = True
        self._work()

    async def _expire(self, cell: Cell) -> None:
        own = self._own
        try:
            if own.steady is not None and (step := own.steady.step()):
                await own.store.shift(step, own.wall())
                own.shift(step)
            now = own.wall()
            await own.store.expire(now)
            total = await own.store.count(now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            cell.tell(Committed([], {}, _text(error)))
        else:
            # Other servers may write to the same store: this is when theirs are counted too.
            cell.tell(Committed([], {}, None, total - own.total))


def given_up(message: Committed | Opened) -> Committed | Opened | None:
    """What to tell the location instead of how its store's work ended, which it failed on.

    As if the store were away: what it has is unknown; the service tries again. None: that failed.
    """
    if message.error == _NOT_HANDLED:
        return None
    if isinstance(message, Opened):
        return Opened(_NOT_HANDLED)
    answers: list[tuple[Cell, Registered | Found]] = [
        (
            asker,
            Registered(each.key, 500) if isinstance(each, Registered) else Found(each.key, None),
        )
        for asker, each in message.answers
    ]
    return Committed(answers, message.changed, _NOT_HANDLED)


def _without_store(each: Register | Lookup, own: Locations) -> Registered | Found:
    """The answer while the store is away: calls are served from memory."""
    if isinstance(each, Register):
        return Registered(each.key, 503)
    known = own.memory.get(each.aor)
    return Found(each.key, None if known is None else alive(known, own.wall()))


def _text(error: Exception) -> str:
    """Why the store is away, also for an error that no code foresees."""
    return str(error) if isinstance(error, StoreUnavailable) else repr(error)


def _answer(
    each: Register | Lookup,
    known: dict[bytes, tuple[Binding, ...]],
    changed: dict[bytes, tuple[Binding, ...]],
    own: Locations,
) -> Registered | Found:
    now = own.wall()
    if isinstance(each, Lookup):
        return Found(each.key, alive(known[each.aor], now))
    update = each.update
    before = known[update.aor]
    try:
        after = applied(before, update, now, own.most)
    except OutOfOrder:
        # RFC 3261, 10.3: the request fails; 500 is what says that it came late (8.2.2, 12.2.2).
        return Registered(each.key, 500)
    except TooMany:
        return Registered(each.key, 403)
    if after != before:
        known[update.aor] = changed[update.aor] = after
    return Registered(each.key, 200, after)

"""Probes of the three services, at a fixed rate each, counted second by second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from statistics import fmean, median

from scripts.experiment.phones import Call, Phone, called, registered

SERVICES = ("registration", "new-calls", "established-calls")
# Shorter than the shortest repair, so that no probe outlives the failure that it has met.
PATIENCE_S = 2.0
# RFC 3261's T1: whoever waits longer repeats the request.
DELAYED_S = 0.5
CALLS = 4
_USERS = 50


@dataclass(slots=True)
class Tally:
    """``counts``: by second since the start, how many probes were sent, lost and delayed."""

    begun: float
    counts: dict[int, list[int]] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)

    def note(self, sent: float, *, good: bool) -> None:
        """One probe that was sent at the monotonic time ``sent`` has come to its end now."""
        row = self.counts.setdefault(int(sent - self.begun), [0, 0, 0])
        took = time.monotonic() - sent
        row[0] += 1
        row[1] += not good
        row[2] += good and took > DELAYED_S
        if good:
            self.latencies_s.append(took)

    @property
    def flight_s(self) -> float:
        """How long an answered probe is under way, by the median."""
        return median(self.latencies_s) if self.latencies_s else 0.0

    @property
    def mean_flight_s(self) -> float:
        """How long an answered probe is under way, on average."""
        return fmean(self.latencies_s) if self.latencies_s else 0.0


class Probes:
    """Phones that probe the server at ``port``; a lost call is missed for ``call_mean_s`` more."""

    def __init__(self, port: int, *, rate: float, call_mean_s: float, seed: int) -> None:
        self._caller, self._callee = Phone("caller", port), Phone("callee", port)
        self._rate, self._call_mean_s = rate, call_mean_s
        self._random = Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self.begun = time.monotonic()
        self.tallies = {service: Tally(self.begun) for service in SERVICES}

    async def begin(self) -> None:
        """Register the callee, set the calls up, and start to count."""
        for phone in (self._caller, self._callee):
            await phone.open()
        for _ in range(30):
            if await registered(self._callee, "callee", PATIENCE_S):
                break
        else:
            raise SystemExit("availability-experiment: the callee could not be registered")
        slots = [_Slot(self._caller, self._call_mean_s, self._random) for _ in range(CALLS)]
        for slot in slots:
            await slot.set_up()
        self.begun = time.monotonic()
        for tally in self.tallies.values():
            tally.begun = self.begun
        self._start(self._ticks("registration", self._register))
        self._start(self._ticks("new-calls", self._call))
        self._start(self._ticks("established-calls", lambda n: slots[n % CALLS].probe()))

    async def end(self) -> None:
        """Send no more, wait for what is under way, and close."""
        for task in list(self._tasks):
            if task.get_name() == "ticks":
                task.cancel()
        await asyncio.sleep(PATIENCE_S + 0.1)
        for task in list(self._tasks):
            task.cancel()
        for phone in (self._caller, self._callee):
            phone.close()

    def _start(self, work: Awaitable[None], name: str = "ticks") -> None:
        task = asyncio.ensure_future(work)
        task.set_name(name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ticks(self, service: str, probe: Callable[[int], Awaitable[bool]]) -> None:
        number = 0
        while True:
            # By the clock: a machine that is busy makes a probe late, and none fewer.
            await asyncio.sleep(max(self.begun + number / self._rate - time.monotonic(), 0))
            self._start(self._one(self.tallies[service], probe(number)), "probe")
            number += 1

    async def _one(self, tally: Tally, probe: Awaitable[bool]) -> None:
        sent = time.monotonic()
        tally.note(sent, good=await probe)

    async def _register(self, number: int) -> bool:
        return await registered(self._caller, f"user{number % _USERS}", PATIENCE_S)

    async def _call(self, _number: int) -> bool:
        call = await called(self._caller, "callee", PATIENCE_S)
        if call is not None:
            self._start(_hang_up(call), "probe")
        return call is not None


async def _hang_up(call: Call) -> None:
    await call.ask("BYE", PATIENCE_S)


class _Slot:
    """One established call after the other.

    A call that the server does not know any more is lost, and would have gone on for a time
    without memory: until that is over its probes are lost too. That time passes while the server
    answers, as in the model.
    """

    def __init__(self, caller: Phone, call_mean_s: float, random: Random) -> None:
        self._caller, self._call_mean_s, self._random = caller, call_mean_s, random
        self._call: Call | None = None
        self._over: asyncio.TimerHandle | None = None
        self._noticed = 0.0
        self._renewing: asyncio.Task[None] | None = None

    async def set_up(self) -> None:
        """Begin a call; where that fails, the slot stays as it is."""
        self._over = None
        call = await called(self._caller, "callee", PATIENCE_S)
        if call is not None:
            self._call = call

    async def probe(self) -> bool:
        """Whether a request within the call is answered by the other side."""
        if self._call is None:
            await self.set_up()
            return False
        call, sent = self._call, asyncio.get_running_loop().time()
        answer = await call.ask("INFO", PATIENCE_S)
        if answer is not None and answer.status == 200:
            # A server that has lost a call lets its first request pass by its URI, and no other.
            answer = await call.ask("INFO", PATIENCE_S)
        if answer is not None and answer.status == 200:
            return True
        if call is self._call:
            self._missed(sent, silent=answer is None)
        return False

    def _missed(self, sent: float, *, silent: bool) -> None:
        """A probe of then was lost; silence of before the loss was noticed says nothing."""
        if silent:
            if self._over is not None and sent > self._noticed:
                self._over.cancel()
                self._over = None
        elif self._over is None:
            loop = asyncio.get_running_loop()
            self._noticed = loop.time()
            rest = self._random.expovariate(1 / self._call_mean_s)
            self._over = loop.call_later(rest, self._renew)

    def _renew(self) -> None:
        self._renewing = asyncio.ensure_future(self.set_up())

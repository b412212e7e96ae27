"""The actor core against pykka, which has a thread an actor, and against 100 MB."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pykka

from remusnet.actors import Actor, Spec, System
from scripts.benchmarks.ratio import Ratio

TELLS = 100_000
BURST = 500  # then the loop has its turn, as any program gives it
STARTS = 2_000
IDLE = 100_000
BUDGET_MB = 100.0


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """Tells, starts, and what idle actors keep in memory."""
    yield [
        Ratio(
            f"{TELLS:,} tells, handled",
            "pykka",
            5,
            _cpu(_tells),
            _cpu(_pykka_tells),
            unit="CPU s",
            name="tells",
        ),
        Ratio(
            f"{STARTS:,} actors, started and stopped",
            "pykka",
            50,
            _cpu(_starts),
            _cpu(_pykka_starts),
            unit="CPU s",
            name="starts",
        ),
        Ratio(
            f"{IDLE:,} idle actors",
            f"{BUDGET_MB:.0f} MB",
            1,
            _idle_mb,
            lambda: BUDGET_MB,
            unit="MB",
            name="idle",
        ),
    ]


def _cpu(work: Callable[[], None]) -> Callable[[], float]:
    """CPU seconds, of all threads: others on this machine count for nothing."""

    def run() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    return run


class _Counter(Actor):
    """Counts, and says so when it has all."""

    def __init__(self, done: asyncio.Event) -> None:
        self._done = done
        self._left = TELLS

    def receive(self, message: object) -> None:
        """One more."""
        del message
        self._left -= 1
        if not self._left:
            self._done.set()


class _PykkaCounter(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: object) -> int:
        """One more; what there are, to who asks."""
        self.count += 1
        return self.count


def _tells() -> None:
    async def main() -> None:
        done = asyncio.Event()
        system = System()
        counter = system.spawn(Spec("counter", lambda: _Counter(done)))
        for _ in range(TELLS // BURST):
            for _ in range(BURST):
                counter.tell(1)
            await asyncio.sleep(0)
        await done.wait()
        await system.stop()

    asyncio.run(main())


def _pykka_tells() -> None:
    counter = _PykkaCounter.start()
    for _ in range(TELLS):
        counter.tell(1)
    assert counter.ask(1) == TELLS + 1
    counter.stop()


def _starts() -> None:
    async def main() -> None:
        system = System()
        for number in range(STARTS):
            system.spawn(Spec(str(number), Actor))
        await system.stop()

    asyncio.run(main())


def _pykka_starts() -> None:
    started = [_PykkaCounter.start() for _ in range(STARTS)]
    for each in started:
        each.stop()


def _idle_mb() -> float:
    """In a process of its own: what this one has freed would count as free."""
    program = "from scripts.benchmarks.actors import idle_mb; print(idle_mb())"
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def idle_mb() -> float:
    """How much this process grows by the actors, in MB."""

    async def main() -> float:
        system = System()
        spec = Spec("idle", Actor)
        gc.collect()
        before = resident_mb("self")
        for number in range(IDLE):
            system.spawn(spec, str(number))
        return resident_mb("self") - before

    return asyncio.run(main())


def resident_mb(pid: int | str) -> float:
    """What a process has in memory, in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return kilobytes * 1024 / 1e6

"""One run: a server process, faults in it at random times, its repair, and the probes beside it."""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from remusnet.errors import RemusnetError
from remusnet.sip.control import ask
from scripts.experiment.phones import HOST, Phone, registered
from scripts.experiment.probes import Probes
from scripts.sip.faults import MOST, STANDING, WINDOW_S
from scripts.sip.sipp import free_port

ACTORS = (*STANDING, "transport")
BIN_S = 10
_STARTING_S = 60.0
_OBEYING_S = 20.0
# So far apart are the requests that find out since when a new process answers.
_ASKING_S = 0.02
_CONFIG = """\
listen = ["udp:{host}:{port}"]
domains = ["example.org"]
authenticate = false
flood.trusted = ["127.0.0.0/8"]
"""


@dataclass(frozen=True, slots=True)
class Options:
    """``actor_life_s``: the mean time between an actor's faults; ``repair_s``: from, to.

    ``failures``: after so many the run ends; ``rate``: probes of each service a second.
    """

    preset: str
    failures: int
    actor_life_s: float
    repair_s: tuple[float, float]
    call_mean_s: float
    rate: float
    seed: int
    at_most_s: float = 86_400.0


@dataclass(slots=True)
class Recording:
    """What a run came to.

    ``probes``: by service, a row for each `BIN_S` seconds: when it began, probes sent, lost,
    delayed. ``flight_s``, ``mean_flight_s``: by service, the median and the mean time to an answer,
    the latter with the first ones of a process, which is slow at first. Under ``none``, of each
    process: ``starts_s``: from its start until a request is answered, be it after a while; then
    ``lives_s`` until its failure, by its own events; ``ends_s`` from there until it is gone.
    ``seconds`` holds the last of the probes' whole bins.
    """

    options: Options
    seconds: float
    failures: int
    held_back: int
    probes: dict[str, list[list[int]]]
    flight_s: dict[str, float]
    starts_s: list[float]
    ends_s: list[float]
    lives_s: list[float] = field(default_factory=list)
    mean_flight_s: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """As JSON, a service's rows in a line."""
        fields = asdict(self)
        rows = fields.pop("probes")
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
        inner = [f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in rows.items()]
        lines.append('  "probes": {\n' + ",\n".join(inner) + "\n  }")
        return "{\n" + ",\n".join(lines) + "\n}\n"


def binned(counts: Mapping[int, Sequence[int]], seconds: float) -> list[list[int]]:
    """Counts by second as rows of `BIN_S` seconds; the last one, cut short, is left out."""
    rows = {start: [0, 0, 0] for start in range(0, int(seconds) // BIN_S * BIN_S, BIN_S)}
    for second, row in counts.items():
        kept = rows.get(second // BIN_S * BIN_S)
        if kept is not None:
            kept[:] = [a + b for a, b in zip(kept, row, strict=True)]
    return [[start, *row] for start, row in rows.items()]


def recording(text: str) -> Recording:
    """A recording from its JSON."""
    fields = json.loads(text)
    options = fields.pop("options")
    options["repair_s"] = tuple(options["repair_s"])
    return Recording(options=Options(**options), **fields)


class Run:
    """A run in ``folder``, where the server's files come to lie; ``tell``: called as it goes on."""

    def __init__(self, folder: Path, options: Options, tell: Callable[[str], None]) -> None:
        self._folder, self._options, self._tell = folder, options, tell
        self._random = Random(options.seed)
        self._port = free_port("udp")
        self._control = folder / "control" / "sip.sock"
        self.events = folder / "events.jsonl"
        self._process: asyncio.subprocess.Process | None = None
        self._struck: dict[str, list[float]] = {actor: [] for actor in ACTORS}
        self._failures = self._held_back = 0
        self._latest = math.inf
        self._starts_s: list[float] = []
        self._ends_s: list[float] = []
        self._lives_s: list[float] = []
        self._serves_since = 0.0
        self._read = 0

    async def run(self) -> Recording:
        """Start, probe, strike and repair, until there were failures enough."""
        options = self._options
        (self._folder / "sip.toml").write_text(_CONFIG.format(host=HOST, port=self._port))
        self._caller = Phone("starter", self._port)
        await self._caller.open()
        probes = Probes(
            self._port, rate=options.rate, call_mean_s=options.call_mean_s, seed=options.seed
        )
        try:
            await self._start()
            await probes.begin()
            self._serves_since = probes.begun
            self._latest = time.monotonic() + options.at_most_s
            while self._goes_on():
                await self._live()
            seconds = time.monotonic() - probes.begun
            await probes.end()
        finally:
            await self._kill()
            self._caller.close()
        return Recording(
            options=options,
            seconds=round(seconds, 3),
            failures=self._failures,
            held_back=self._held_back,
            probes={
                service: binned(tally.counts, seconds) for service, tally in probes.tallies.items()
            },
            flight_s={name: round(each.flight_s, 6) for name, each in probes.tallies.items()},
            mean_flight_s={
                name: round(each.mean_flight_s, 6) for name, each in probes.tallies.items()
            },
            starts_s=[round(each, 3) for each in self._starts_s],
            ends_s=[round(each, 3) for each in self._ends_s],
            lives_s=[round(each, 3) for each in self._lives_s],
        )

    async def _live(self) -> None:
        """Strike the server that runs; where that ends it, repair it."""
        due = [(self._serves_since + self._life(), actor) for actor in ACTORS]
        heapq.heapify(due)
        while self._goes_on():
            when, actor = heapq.heappop(due)
            await asyncio.sleep(max(when - time.monotonic(), 0))
            # From when it was due: a machine that is busy makes a fault late, and none fewer.
            heapq.heappush(due, (when + self._life(), actor))
            struck = time.monotonic()
            recent = [at for at in self._struck[actor] if at > struck - WINDOW_S]
            if len(recent) >= MOST:
                self._held_back += 1
                continue
            self._struck[actor] = [*recent, struck]
            await self._crash(actor)
            self._failures += 1
            self._tell(f"{self._failures} of {self._options.failures} failures")
            if self._options.preset == "none":
                await self._repair()
                return

    async def _crash(self, actor: str) -> None:
        """Crash ``actor``, once. Raises RemusnetError where the server takes no order in 20 s."""
        assert self._process is not None
        latest = time.monotonic() + _OBEYING_S
        while True:
            asked = time.monotonic()
            try:
                await asyncio.to_thread(ask, self._control, {"do": "crash", "actor": actor})
            except RemusnetError:
                ended = self._process.returncode is not None
                # Under `none` the process may end before its answer is out; and a server that is
                # slow to answer has the order all the same.
                if (ended and self._options.preset == "none") or time.monotonic() > asked + 1:
                    return
                # It serves a moment before it takes orders.
                if ended or time.monotonic() > latest:
                    raise
                await asyncio.sleep(0.02)
            else:
                return

    async def _repair(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(_STARTING_S):
            await self._process.wait()
        ended, failed = time.monotonic(), self._failed_at()
        self._lives_s.append(failed - self._serves_since)
        self._ends_s.append(ended - failed)
        await asyncio.sleep(self._random.uniform(*self._options.repair_s))
        await self._start()

    def _failed_at(self) -> float:
        """When an actor of the process that has ended failed; its clock is this one's."""
        with self.events.open() as events:
            events.seek(self._read)
            told = [json.loads(line) for line in events]
            self._read = events.tell()
        failed: list[int] = [each["time_ns"] for each in told if each["event"] == "failed"]
        return min(failed) / 1e9

    async def _start(self) -> None:
        """Start the process, and wait until it answers a registration.

        It serves since the first one that it answers was sent: what comes while it is slow at
        first waits in its socket, and is not lost.
        """
        begun = time.monotonic()
        command = [sys.executable, "-m", "remusnet", "sip", "serve", str(self._folder / "sip.toml")]
        command += ["--control", str(self._control)]
        command += ["--store", f"sqlite:{self._folder / 'sip.db'}", "--events", str(self.events)]
        command += ["--supervision", self._options.preset, "--allow-faults"]
        with (self._folder / "stderr").open("ab") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                *command, stderr=stderr, stdin=asyncio.subprocess.DEVNULL
            )
        asked: dict[asyncio.Task[bool], float] = {}
        while not (answered := [sent for task, sent in asked.items() if _good(task)]):
            if self._process.returncode is not None or time.monotonic() > begun + _STARTING_S:
                raise RemusnetError(f"the server did not start: {self._said()}")
            task = asyncio.ensure_future(registered(self._caller, "starter", _STARTING_S))
            asked[task] = time.monotonic()
            open_ones = [each for each in asked if not each.done()]
            await asyncio.wait(open_ones, timeout=_ASKING_S, return_when=asyncio.FIRST_COMPLETED)
        for each in asked:
            each.cancel()
        # Between that one and the one before it, which was lost.
        first = min(answered)
        before = max((sent for sent in asked.values() if sent < first), default=first)
        self._serves_since = (before + first) / 2
        self._starts_s.append(self._serves_since - begun)

    async def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_STARTING_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def _goes_on(self) -> bool:
        """Whether there were not failures enough yet, nor is the time up."""
        options = self._options
        return self._failures < options.failures and time.monotonic() < self._latest

    def _life(self) -> float:
        return self._random.expovariate(1 / self._options.actor_life_s)

    def _said(self) -> str:
        lines: list[Any] = (self._folder / "stderr").read_text().splitlines()
        return str(lines[-1]) if lines else "it said nothing"


def _good(task: asyncio.Task[bool]) -> bool:
    """Whether what was asked has been answered well."""
    return task.done() and task.result()

"""A host of 500 vifs by its file, against ``ip`` and ``tc`` in batches that do and read the same.

Start-up is left out: Python runs already, as do ``ip`` and ``tc`` but for one process a batch. Runs
in a UML kernel.

Whether a command is linear is told by its time a vif on a host of 500 and on one of 100, which are
there at the same time, in a network namespace each. All that is compared is measured in turns, so a
noisy minute hits all of it, and the least of all rounds counts: what else the machine does only
ever adds to a time. (A processor's time would be no better: inside UML, a process is charged for
what the host gives to others.) What ``ip`` and ``tc`` need more on the large host stands beside.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pyroute2 import netns

from remusnet.api.host import difference, make_true
from remusnet.host.desired import Candidate, DesiredState, load_desired, orders
from remusnet.kernel.change.verify import verify
from remusnet.kernel.state.status import status
from remusnet.plan.plan import Plan
from scripts.benchmarks.apply import batch, batches
from scripts.benchmarks.ratio import Ratio

MANY, FEW = 500, 100
_FILE = '[default]\nmemory = "1MB"\n[[vif]]\npattern = "vif*.0"\n'
_LINEAR = 2 / 3
"""A vif may cost half as much again on the large host, whose tables no cache holds: five times
as many vifs would cost five times as much where each is compared with all.
"""


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """tcp-only by u32: 37 operations a vif."""
    with TemporaryDirectory() as folder:
        few, many = (_Host(Path(folder), number) for number in (FEW, MANY))
        yield [*_applying(few, many), *_reading(few, many)]


class _Host:
    """So many vifs in a network namespace of their own, and the file that says of them."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self._folder = folder / f"host{number}"
        self._folder.mkdir()
        self._run = self._folder / "run"
        self._file = self._folder / "remusnet.toml"
        self._file.write_text(_FILE, encoding="ascii")
        self._vifs = [f"vif{at}.0" for at in range(1, number + 1)]
        self._applied = False
        netns.create(self._folder.name)
        with self:
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()  # as in benchmarks.apply
            batch("ip", [f"link add {vif} type veth peer name g{vif}" for vif in self._vifs])

    def __enter__(self) -> None:
        netns.pushns(self._folder.name)

    def __exit__(self, *_: object) -> None:
        netns.popns()

    def apply(self) -> None:
        done = make_true(self._desired(), self._run, force=True)
        assert not done.exit_code

    def plan(self) -> Plan:
        """All of it as one plan, for ``ip`` and ``tc``."""
        wishes = self._desired().wishes([Candidate(each) for each in self._vifs])
        each = [order.plan for order in orders(wishes)]
        protections = tuple(protection for plan in each for protection in plan.protections)
        return replace(each[0], protections=protections)

    def reset(self) -> None:
        there = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True)
        ours = [line.split()[0] for line in there.stdout.splitlines()]
        devices = [each for each in ours if each.startswith(("ifb", "sink"))]
        batch("tc", [f"qdisc delete dev {vif} ingress" for vif in self._vifs])
        batch("ip", [f"link delete dev {each}" for each in devices])
        for receipt in self._run.glob("*.json"):
            receipt.unlink()

    def look(self, name: str) -> None:
        """What the command ``name`` reads of what is applied, and thinks of it."""
        match name:
            case "diff":
                difference(self._desired(), self._run)
            case "verify":
                verify(run_dir=self._run)
            case "status":
                status(run_dir=self._run)

    def read(self) -> None:
        """The same in the words of ``ip`` and ``tc``: devices, qdiscs, filters of each vif."""
        batch("ip", ["link show"], "-j", "-d")
        lines = ["qdisc show", *(f"filter show dev {vif} ingress" for vif in self._vifs)]
        batch("tc", lines, "-j", "-s")

    def ready(self) -> None:
        """Applies, once."""
        if not self._applied:
            self.apply()
            self._applied = True

    def _desired(self) -> DesiredState:
        return load_desired(str(self._file))


@dataclass(slots=True)
class _Rounds:
    """Rounds of some measurements, taken in turns; each is read by those who compare it."""

    measurements: Mapping[tuple[str, int], Callable[[], float]]
    _taken: list[dict[tuple[str, int], float]] = field(default_factory=list)

    def reader(self, who: str, vifs: int) -> Callable[[], float]:
        """What gives that measurement of the first round, then of the second, and so on."""
        return partial(next, self._each((who, vifs)))

    def _each(self, key: tuple[str, int]) -> Iterator[float]:
        number = 0
        while True:
            if number == len(self._taken):
                self._taken.append({each: run() for each, run in self.measurements.items()})
            yield self._taken[number][key]
            number += 1


def _applying(few: _Host, many: _Host) -> list[Ratio]:
    ways: dict[tuple[str, int], Callable[[], float]] = {}
    for host in (few, many):
        ways["apply --file", host.number] = partial(_a_vif, host, host.apply, host.reset)
        theirs = partial(batches, host.plan())
        ways["ip and tc -batch", host.number] = partial(_a_vif, host, theirs, host.reset)
    return _compared(ways, "apply --file", "ip and tc -batch")


def _reading(few: _Host, many: _Host) -> Iterator[Ratio]:
    for name in ("diff", "verify", "status"):
        ways: dict[tuple[str, int], Callable[[], float]] = {}
        for host in (few, many):
            ways[name, host.number] = partial(_a_vif, host, partial(host.look, name))
            ways["tc -j -batch, ip -j", host.number] = partial(_a_vif, host, host.read)
        yield from _compared(ways, name, "tc -j -batch, ip -j")


def _compared(
    ways: Mapping[tuple[str, int], Callable[[], float]], ours: str, theirs: str
) -> list[Ratio]:
    """Ours with theirs on the large host, and the large host with the small one by each."""
    rounds = _Rounds(ways)
    pairs = [
        (f"{ours}, {MANY} vifs", theirs, 1 / 2, (ours, MANY), (theirs, MANY)),
        (f"{ours}, {MANY} vifs", f"{FEW} vifs", _LINEAR, (ours, MANY), (ours, FEW)),
        (f"{theirs}, {MANY} vifs", f"{FEW} vifs", 0, (theirs, MANY), (theirs, FEW)),
    ]
    return [
        Ratio(what, than, goal, rounds.reader(*left), rounds.reader(*right), unit="ms a vif")
        for what, than, goal, left, right in pairs
    ]


def _a_vif(
    host: _Host, run: Callable[[], object], reset: Callable[[], object] | None = None
) -> float:
    """Milliseconds a vif. What needs no ``reset`` runs as often as makes it equally long."""
    with host:
        if reset is None:
            host.ready()
        times = 1 if reset else MANY // host.number
        start = time.perf_counter()
        for _ in range(times):
            run()
        taken = time.perf_counter() - start
        if reset:
            reset()
    return taken / times / host.number * 1e3

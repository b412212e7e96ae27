"""A host of 500 vifs by its file, against ``ip`` and ``tc`` in batches that do and read the same.

Start-up is left out: Python runs already, as do ``ip`` and ``tc`` but for one process a batch. Runs
in a UML kernel.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from remusnet.api.host import difference, make_true
from remusnet.host.desired import Candidate, DesiredState, load_desired, orders
from remusnet.kernel.change.verify import verify
from remusnet.kernel.state.status import status
from remusnet.plan.plan import Plan
from scripts.benchmarks.apply import batch, batches
from scripts.benchmarks.ratio import Ratio

MANY, FEW = 500, 50
_FILE = '[default]\nmemory = "1MB"\n[[vif]]\npattern = "{}*.0"\n'


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """tcp-only by u32: 37 operations a vif."""
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()  # as in scripts.benchmarks.apply
    with TemporaryDirectory() as folder:
        host = _Host(Path(folder))
        host.add("few", FEW)
        host.apply("few")
        few = {name: _a_vif(look, FEW) for name, look in host.looks("few").items()}
        few["apply --file"] = _a_vif(lambda: host.apply("few"), FEW, host.reset)
        host.reset()
        host.delete("few", FEW)
        host.add("vif", MANY)
        plan = host.plan("vif")
        found = [
            Ratio(
                f"apply --file, {MANY} vifs",
                "ip -batch and tc -batch",
                1 / 2,
                lambda: host.apply("vif"),
                lambda: batches(plan),
                host.reset,
            ),
            _linear("apply --file", few, lambda: host.apply("vif"), host.reset),
        ]
        yield [*found, *host.readings(few)]


class _Host:
    """Vifs of one prefix at a time, and their file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = folder / "run"
        self._names: list[str] = []

    def add(self, prefix: str, number: int) -> None:
        self._names = [f"{prefix}{at}.0" for at in range(1, number + 1)]
        batch("ip", [f"link add {vif} type veth peer name g{vif}" for vif in self._names])
        self._file(prefix).write_text(_FILE.format(prefix), encoding="ascii")

    def delete(self, prefix: str, number: int) -> None:
        batch("ip", [f"link delete {prefix}{at}.0" for at in range(1, number + 1)])

    def apply(self, prefix: str) -> None:
        done = make_true(self._desired(prefix), self._run, force=True)
        assert not done.exit_code

    def plan(self, prefix: str) -> Plan:
        """All of it as one plan, for ``ip`` and ``tc``."""
        wishes = self._desired(prefix).wishes([Candidate(each) for each in self._names])
        each = [order.plan for order in orders(wishes)]
        protections = tuple(protection for plan in each for protection in plan.protections)
        return replace(each[0], protections=protections)

    def reset(self) -> None:
        there = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True)
        ours = [line.split()[0] for line in there.stdout.splitlines()]
        devices = [each for each in ours if each.startswith(("ifb", "sink"))]
        if not devices:
            return
        batch("tc", [f"qdisc delete dev {vif} ingress" for vif in self._names])
        batch("ip", [f"link delete dev {each}" for each in devices])
        for receipt in self._run.glob("*.json"):
            receipt.unlink()

    def looks(self, prefix: str) -> dict[str, Callable[[], object]]:
        desired = self._desired(prefix)
        return {
            "diff": lambda: difference(desired, self._run),
            "verify": lambda: verify(run_dir=self._run),
            "status": lambda: status(run_dir=self._run),
        }

    def readings(self, few: dict[str, float]) -> Iterator[Ratio]:
        """Of what is applied: by the first round of the first, which the best round leaves out."""
        applied = False

        def of_applied(look: Callable[[], object]) -> object:
            nonlocal applied
            if not applied:
                self.apply("vif")
                applied = True
            return look()

        for name, look in self.looks("vif").items():
            ours = partial(of_applied, look)
            yield Ratio(f"{name}, {MANY} vifs", "tc -j -batch, ip -j", 1 / 2, ours, self._read)
            yield _linear(name, few, ours)

    def _read(self) -> None:
        """The same in the words of ``ip`` and ``tc``: devices, qdiscs, filters of each vif."""
        batch("ip", ["link show"], "-j", "-d")
        lines = ["qdisc show", *(f"filter show dev {vif} ingress" for vif in self._names)]
        batch("tc", lines, "-j", "-s")

    def _desired(self, prefix: str) -> DesiredState:
        return load_desired(str(self._file(prefix)))

    def _file(self, prefix: str) -> Path:
        return self._folder / f"{prefix}.toml"


def _linear(
    name: str,
    few: dict[str, float],
    ours: Callable[[], object],
    reset: Callable[[], object] = lambda: None,
) -> Ratio:
    return Ratio(
        f"{name}, {MANY} vifs",
        f"{FEW} vifs, each",
        2 / 3,
        lambda: _a_vif(ours, MANY, rounds=1),
        lambda: few[name],
        reset,
        unit="us a vif",
    )


def _a_vif(
    run: Callable[[], object],
    vifs: int,
    reset: Callable[[], object] = lambda: None,
    rounds: int = 3,
) -> float:
    """Microseconds a vif, the best of some rounds."""
    times: Sequence[float] = [
        _timed(run, reset if rounds > 1 else lambda: None) for _ in range(rounds)
    ]
    return min(times) / vifs * 1e6


def _timed(run: Callable[[], object], reset: Callable[[], object]) -> float:
    reset()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start

"""Many tests, few boots: pytest runs inside labs, and its reports come out as they are made.

Several labs at once take the tests from one pile, a hand at a time. One that dies or hangs costs
the test that was running. The others of its hand get a new lab.
"""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from remusnet.lab.errors import LabDied
from remusnet.lab.runs import Job, Lab, Run
from remusnet.lab.visible import Inside
from tests.kernel.lab.inside import REPORTS, STACKS, VARIABLE, WANTED, Wanted
from tests.lib import long

# From the start of a lab, or the end of a test, to the start of the next test. Booting, starting
# pytest and importing a file of tests take 5 s on two idle cores.
BETWEEN_SECONDS = 90
_POLL_SECONDS = 0.02


@dataclass(slots=True)
class _Record:
    """What is known of one test."""

    timeout: float
    reports: list[pytest.TestReport] = field(default_factory=list)
    started: bool = False
    finished: bool = False
    death: str | None = None

    def waits(self) -> bool:
        """Whether it can still be run."""
        return not self.started and self.death is None

    def settled(self) -> bool:
        """Whether nothing more will be heard of it."""
        return self.finished or self.death is not None


@dataclass(slots=True)
class _Boot:
    """One lab that runs, and what was heard of it; ``mine``: the tests that it has taken."""

    run: Run
    mine: list[str]
    heard: float = field(default_factory=time.monotonic)
    unread: int = 0
    current: str | None = None
    reached: bool = False

    def events(self) -> Iterator[Mapping[str, object]]:
        """What the lines that are complete and new say."""
        path = self.run.directory / REPORTS
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self.unread)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        self.unread += len(complete)
        for line in complete.splitlines():
            self.heard = time.monotonic()
            yield ast.literal_eval(line.decode())


class Batch:
    """Tests that ``kernels`` labs share.

    ``hands``: node ids that stay together, each hand's of one file; ``timeouts``: the seconds that
    each of them may take. ``taken``: an empty folder where labs that can write it tell each other
    which hands they have.
    """

    def __init__(
        self,
        lab: Lab,
        place: Inside,
        config: pytest.Config,
        timeouts: Mapping[str, float],
        hands: Sequence[Sequence[str]],
        taken: Path,
        kernels: int,
    ) -> None:
        self._lab = lab
        self._place = place
        self._config = config
        self._records = {nodeid: _Record(timeout) for nodeid, timeout in timeouts.items()}
        self._hands = hands
        self._taken = taken
        self._kernels = kernels
        self._boots: list[_Boot] = []

    def start(self) -> None:
        """Boot; ``reports`` will find what has been done until then."""
        for _ in range(self._kernels):
            self._boot([])

    def reports(self, nodeid: str) -> Sequence[pytest.TestReport]:
        """The reports of one test, as soon as it's over.

        Raises ``LabDied`` if the lab died in it, or before any test of those that still waited, or
        if the test isn't to be found inside.
        """
        record = self._records[nodeid]
        while not record.settled():
            if not self._boots:
                self._boot(self._waiting(self._records))
            for boot in tuple(self._boots):
                self._look_after(boot)
            if not record.settled():
                time.sleep(_POLL_SECONDS)
        if record.death is not None:
            raise LabDied(record.death)
        return record.reports

    def close(self) -> None:
        """End the labs that run."""
        while self._boots:
            self._boots.pop().run.__exit__(None, None, None)

    def _waiting(self, nodeids: Iterable[str]) -> list[str]:
        return [nodeid for nodeid in nodeids if self._records[nodeid].waits()]

    def _boot(self, own: Sequence[str]) -> None:
        """A lab that runs ``own``, then what it finds on the pile."""
        self._boots.append(_Boot(self._lab.start(self._job(own)), list(own)))

    def _job(self, own: Sequence[str]) -> Job:
        option = self._config.option
        nodeids = [*own, *(nodeid for hand in self._hands for nodeid in hand)]
        argv = [
            *(self._place.python, "-m", "pytest", "-p", "tests.kernel.lab.inside"),
            *("-o", "cache_dir=/run/tmp/pytest", "--continue-on-collection-errors"),
            # What a test leaves in its folder stays in the kernel's memory.
            *("-o", "tmp_path_retention_policy=failed"),
            f"--rootdir={self._place.root}",
            f"--import-mode={option.importmode}",
            f"--tb={option.tbstyle}",
            f"--verbosity={option.verbose}",
            *(["--showlocals"] if option.showlocals else []),
            *dict.fromkeys(nodeid.partition("::")[0] for nodeid in nodeids),
        ]
        timeouts = {nodeid: self._records[nodeid].timeout for nodeid in nodeids}
        script = f'export {VARIABLE}="$LAB_JOB"; exec "$@"'
        passed = {
            name: os.environ[name]
            for name in ("CI", "HYPOTHESIS_PROFILE", long.VARIABLE, long.SEED_VARIABLE)
            if name in os.environ
        }
        env = {
            **self._place.environment,
            **passed,
            "HYPOTHESIS_STORAGE_DIRECTORY": "/run/tmp/hypothesis",
        }
        return Job(
            ["sh", "-euc", script, "sh", *argv],
            env,
            self._place.root,
            writable=[self._taken],
            files={WANTED: Wanted(own, self._hands, str(self._taken), timeouts).text()},
        )

    def _look_after(self, boot: _Boot) -> None:
        """Hear what is new of a lab, and bury it if it's over or hangs."""
        ended = boot.run.ended()
        self._listen(boot)
        limit = self._records[boot.current].timeout if boot.current else BETWEEN_SECONDS
        if ended:
            self._bury(boot, "the lab ended")
        elif time.monotonic() - boot.heard > limit:
            self._bury(boot, f"stopped after {limit:g} s")

    def _listen(self, boot: _Boot) -> None:
        for event in boot.events():
            self._take(boot, event)

    def _take(self, boot: _Boot, event: Mapping[str, object]) -> None:
        match event:
            case {"hand": int(number)}:
                boot.mine.extend(self._hands[number])
            case {"start": str(nodeid)}:
                boot.current, boot.reached = nodeid, True
                self._records[nodeid].started = True
            case {"finish": str(nodeid)}:
                boot.current = None
                self._records[nodeid].finished = True
            case {"missing": (str(nodeid), str(why))}:
                self._records[nodeid].death = why
            case {"report": data}:
                hook = self._config.hook
                report = hook.pytest_report_from_serializable(config=self._config, data=data)
                self._records[report.nodeid].reports.append(report)

    def _bury(self, boot: _Boot, why: str) -> None:
        """Close a lab that is over, and settle whose fault it is and who runs what it leaves."""
        boot.run.stop()
        self._listen(boot)
        words = boot.run.last_words(why)
        if stacks := boot.run.read(STACKS):
            words = f"{words}\n--- where it stood ---\n{stacks}"
        boot.run.__exit__(None, None, None)
        self._boots.remove(boot)
        if boot.current is not None:
            self._records[boot.current].death = words
        left = self._waiting(boot.mine)
        if boot.reached:
            if left:
                self._boot(left)
            return
        if not boot.mine and not self._boots:
            left = self._waiting(self._records)
        for nodeid in left:
            # It would go the same way with every further lab.
            self._records[nodeid].death = words

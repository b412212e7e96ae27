"""Many tests, one boot: pytest runs inside a lab, and its reports come out as they are made.

A lab that dies or hangs costs the test that was running. The tests after it get a new lab.
"""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from remusnet.lab.errors import LabDied
from remusnet.lab.runs import Job, Lab, Run
from remusnet.lab.visible import Inside
from tests.kernel.lab.inside import REPORTS, VARIABLE, WANTED
from tests.lib import long

# From the start of a lab, or the end of a test, to the start of the next test. Booting, starting
# pytest and importing the tests take 5 s on two idle cores.
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


class Batch:
    """Tests of one lab. ``timeouts``: the node id of each, and the seconds that it may take."""

    def __init__(
        self, lab: Lab, place: Inside, config: pytest.Config, timeouts: Mapping[str, float]
    ) -> None:
        self._lab = lab
        self._place = place
        self._config = config
        self._records = {nodeid: _Record(timeout) for nodeid, timeout in timeouts.items()}
        self._run: Run | None = None
        self._unread = 0
        self._current: str | None = None
        self._reached = False
        self._heard = 0.0

    def start(self) -> None:
        """Boot; ``reports`` will find what has been done until then."""
        self._boot()

    def reports(self, nodeid: str) -> Sequence[pytest.TestReport]:
        """The reports of one test, as soon as it's over.

        Raises ``LabDied`` if the lab died in it, or before any test of those that still waited.
        """
        record = self._records[nodeid]
        while not record.finished:
            if record.death is not None:
                raise LabDied(record.death)
            run = self._run or self._boot()
            ended = run.ended()
            self._listen(run)
            limit = self._records[self._current].timeout if self._current else BETWEEN_SECONDS
            if ended:
                self._bury(run, "the lab ended")
            elif time.monotonic() - self._heard > limit:
                self._bury(run, f"stopped after {limit:g} s")
            elif not record.finished:
                time.sleep(_POLL_SECONDS)
        return record.reports

    def close(self) -> None:
        """End the lab if it runs."""
        if self._run is not None:
            self._run.__exit__(None, None, None)
            self._run = None

    def _boot(self) -> Run:
        waiting = [nodeid for nodeid, record in self._records.items() if not record.started]
        self._run = self._lab.start(self._job(waiting))
        self._unread, self._current, self._reached = 0, None, False
        self._heard = time.monotonic()
        return self._run

    def _job(self, nodeids: list[str]) -> Job:
        option = self._config.option
        argv = [
            *(self._place.python, "-m", "pytest", "-p", "tests.kernel.lab.inside"),
            *("-o", "cache_dir=/run/tmp/pytest", "--continue-on-collection-errors"),
            f"--rootdir={self._place.root}",
            f"--import-mode={option.importmode}",
            f"--tb={option.tbstyle}",
            f"--verbosity={option.verbose}",
            *(["--showlocals"] if option.showlocals else []),
            *dict.fromkeys(nodeid.partition("::")[0] for nodeid in nodeids),
        ]
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
        files = {WANTED: repr(nodeids)}
        return Job(["sh", "-euc", script, "sh", *argv], env, self._place.root, files=files)

    def _listen(self, run: Run) -> None:
        """Take in the lines that are complete and new."""
        path = run.directory / REPORTS
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._unread)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        self._unread += len(complete)
        for line in complete.splitlines():
            self._heard = time.monotonic()
            self._take(ast.literal_eval(line.decode()))

    def _take(self, event: Mapping[str, object]) -> None:
        match event:
            case {"start": str(nodeid)}:
                self._current, self._reached = nodeid, True
                self._records[nodeid].started = True
            case {"finish": str(nodeid)}:
                self._current = None
                self._records[nodeid].finished = True
            case {"report": data}:
                hook = self._config.hook
                report = hook.pytest_report_from_serializable(config=self._config, data=data)
                self._records[report.nodeid].reports.append(report)

    def _bury(self, run: Run, why: str) -> None:
        """Close a lab that is over, and settle whose fault it is."""
        run.stop()
        self._listen(run)
        words = run.last_words(why)
        self.close()
        if self._current is not None:
            self._records[self._current].death = words
        elif not self._reached:
            # It would go the same way with every further lab.
            for record in self._records.values():
                if not record.started:
                    record.death = words

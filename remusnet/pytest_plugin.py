"""The pytest plugin: ``remusnet_simulate("call.toml")`` and ``remusnet_live("./server")`` in a test
suite of your own.

It is loaded wherever remusnet is installed, so it imports nothing but pytest until it is used.
docs/reference/pytest.md is its manual.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from remusnet import defaults

if TYPE_CHECKING:
    from remusnet.api.words import PolicyWord
    from remusnet.frames import Frames
    from remusnet.live.running import LiveRun
    from remusnet.report.result import Result

_LONGEST_NAME = 200
"""Bytes of a report's folder; file systems take 255."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--remusnet-report DIR``."""
    parser.getgroup("remusnet").addoption(
        "--remusnet-report",
        metavar="DIR",
        help="Keep the report of each simulation of a test that fails: a folder each in DIR.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say at once, not after the first failure, that reports can't be drawn."""
    if config.getoption("--remusnet-report", default=None) is None:
        return
    from remusnet.errors import MissingDependency
    from remusnet.report.drawing import style

    try:
        with style():
            pass
    except MissingDependency as error:
        raise pytest.UsageError(f"--remusnet-report: {error}") from None


@pytest.fixture
def remusnet_simulate(request: pytest.FixtureRequest) -> Simulate:
    """Runs a scenario or a recording through Remus's buffer: see `Simulate.__call__`."""
    kept = request.config.getoption("--remusnet-report", default=None)
    simulate = Simulate(request.path.parent, keep=kept is not None)
    request.node.stash[_SIMULATE] = simulate
    return simulate


@pytest.fixture
def remusnet_live(request: pytest.FixtureRequest) -> Live:
    """Runs a program under Remus, live: see `Live.__call__`."""
    return Live(request.path.parent)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Keep what a failed test has simulated, where ``--remusnet-report`` says."""
    outcome = yield
    folder = item.config.getoption("--remusnet-report", default=None)
    simulate = item.stash.get(_SIMULATE, None)
    if folder is None or simulate is None or call.when != "call":
        return
    report = outcome.get_result()
    if report.failed:
        folder = item.config.invocation_params.dir / folder
        lines = simulate.write_reports(folder, item.nodeid)
        report.sections.append(("remusnet's reports", "\n".join(lines)))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What is needed for a report."""

    result: Result
    released: tuple[Frames, ...]


class Simulate:
    """What the fixture gives a test. Relative paths begin in ``folder``, the test file's.

    ``keep``: for reports, keep the frames of scenarios too.
    """

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self._folder = folder
        self._keep = keep
        self._runs: list[_Run] = []

    def __call__(
        self,
        scenario: str | Path | None = None,
        *,
        policies: Sequence[PolicyWord] = (),
        calls: int | None = None,
        duration: str | None = None,
        seed: int | None = None,
        capture: str | Path | None = None,
        interval: str = defaults.INTERVAL,
        period: str | None = None,
        pause: str = defaults.PAUSE,
        commit_delay: str = defaults.COMMIT_DELAY,
        schedule: str = "xl",
        guest: str | None = None,
        rate: str = defaults.RATE,
        limit: str | None = None,
    ) -> Result:
        """Simulate ``scenario`` (a file, or the name of a shipped one), or replay ``capture``.

        The arguments are those of `remusnet.simulate`, with the same defaults. Raises as that does:
        what the command would print, `remusnet.InvalidInput` and its like, and TypeError for a
        scenario and a capture at once, or neither.
        """
        __tracebackhide__ = True  # pytest shows the line of the test, not this one
        from remusnet.api.simulation import simulated
        from remusnet.report.result import Result

        done = simulated(
            scenario,
            policies=policies,
            calls=calls,
            duration=duration,
            seed=seed,
            capture=capture,
            interval=interval,
            period=period,
            pause=pause,
            commit_delay=commit_delay,
            schedule=schedule,
            guest=guest,
            rate=rate,
            limit=limit,
            folder=self._folder,
            keep=self._keep,
        )
        result = Result(done.simulation.comparison)
        self._runs.append(_Run(result, done.released))
        return result

    def write_reports(self, folder: Path, name: str) -> list[str]:
        """Write a report of each run into a folder of its own below ``folder``, named for ``name``.

        Returns a line for each: where it is, or why there is none.
        """
        from remusnet.errors import RemusnetError, quoted
        from remusnet.report.directory import PAGE, prepare, write_report

        lines = []
        for number, run in enumerate(self._runs, 1):
            directory = folder / _folder_name(name, number)
            try:
                prepare(directory)
                write_report(directory, run.result.measurements, run.result.checked, run.released)
            except (RemusnetError, OSError) as error:
                lines.append(f"not kept: {error}")
            else:
                lines.append(f"kept: {quoted(str(directory / PAGE))}")
        return lines


class Live:
    """What the fixture `remusnet_live` gives a test. Programs begin in ``folder``, the test's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        *command: str,
        policy: str | Path = "tcp-only",
        interval: str = defaults.INTERVAL,
        pause: str = defaults.PAUSE,
        commit_delay: str = defaults.COMMIT_DELAY,
        publish: Sequence[str] = (),
        plug: str = "auto",
        user: str | None = None,
        fail_after: str | None = None,
        outage: str = "1s",
        capture: str | Path | None = None,
    ) -> LiveRun:
        """A context in which ``command`` runs, with its ``address``; after it ``result`` is what
        ``remusnet run --json`` prints. The arguments are that command's options.

        Entering it raises what the command would print, as `remusnet.errors.RemusnetError` with its
        exit code. A violation of output commit fails the test that looks at ``result``.
        """
        from remusnet.live.running import LiveRun

        given = {
            "policy": policy,
            "interval": interval,
            "pause": pause,
            "commit-delay": commit_delay,
            "plug": plug,
            "user": user,
            "fail-after": fail_after,
            "outage": outage,
            "capture": capture,
        }
        options = [
            word
            for name, value in given.items()
            if value is not None
            for word in (f"--{name}", str(value))
        ]
        options += [word for each in publish for word in ("--publish", each)]
        return LiveRun(command, options, self._folder)


_SIMULATE = pytest.StashKey[Simulate]()


def _folder_name(node: str, number: int) -> str:
    """A folder's name for the run of a test: nothing that a path or a shell would take apart."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", node).strip("-.")[-_LONGEST_NAME:]
    return name if number == 1 else f"{name}-{number}"

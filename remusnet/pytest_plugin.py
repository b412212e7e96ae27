"""The pytest plugin: ``remusnet_simulate("call.toml")`` in a test suite of your own.

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

if TYPE_CHECKING:
    from remusnet.emulator.run.recordings import Simulation
    from remusnet.frames import Frames
    from remusnet.policy import Policy
    from remusnet.report.result import Result
    from remusnet.schedule import Schedule

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
        policies: Sequence[str | Path] = (),
        calls: int | None = None,
        duration: str | None = None,
        seed: int | None = None,
        capture: str | Path | None = None,
        interval: str = "200ms",
        period: str | None = None,
        pause: str = "50ms",
        commit_delay: str = "5ms",
        schedule: str = "xl",
        guest: str | None = None,
        rate: str = "1gbit",
        limit: str | None = None,
    ) -> Result:
        """Simulate ``scenario`` (a file, or the name of a shipped one), or replay ``capture``.

        The arguments are the options of ``remusnet simulate``, and so are their defaults:
        ``calls``, ``duration`` and ``seed`` are for scenarios, ``interval`` to ``limit`` for
        captures. ``scenario`` may be a capture, as the command's first word may.

        Raises what the command would print, `remusnet.errors.InvalidInput` and its like, also for
        values of another type, and TypeError for a scenario and a capture at once, or neither.
        """
        __tracebackhide__ = True  # pytest shows the line of the test, not this one
        if (scenario is None) == (capture is None):
            raise TypeError("expected a scenario or capture=, and not both")
        from remusnet.errors import RemusnetError

        try:
            if scenario is not None and self._is_capture(scenario):
                scenario, capture = None, scenario
            chosen = self._policies(policies)
            if capture is None:
                word = _path("scenario", scenario)
                simulation = self._scenario(word, chosen, calls, duration, seed)
            else:
                times = _schedule(interval, period, pause, commit_delay, schedule)
                plug = _limit(limit, rate, times.interval_ns)
                simulation = self._replay(_path("capture", capture), chosen, times, plug, guest)
        except RemusnetError as error:
            # One line: where inside remusnet it was noticed helps nobody who has to correct it.
            raise error.with_traceback(None) from None
        from remusnet.report.result import Result

        result = Result(simulation.comparison)
        self._runs.append(_Run(result, simulation.released))
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

    def _scenario(
        self,
        word: str,
        policies: tuple[Policy, ...],
        calls: int | None,
        duration: str | None,
        seed: int | None,
    ) -> Simulation:
        from remusnet.capture import read
        from remusnet.cli._scenarios import beside, load_scenario, policies_of
        from remusnet.emulator.run.scenario_run import run_scenario
        from remusnet.scenario.scenario_file import overridden
        from remusnet.units import parse_duration

        word = self._found(word)
        _whole("calls", calls, 1, 1_000_000)
        _whole("seed", seed, 0, 2**63 - 1)
        duration_ns = None
        if duration is not None:
            duration_ns = parse_duration(_text("duration", duration, "'60s'"))
        loaded = overridden(load_scenario(word), calls=calls, duration_ns=duration_ns, seed=seed)
        recordings = [read(str(beside(word, each.file))).frames for each in loaded.recordings]
        chosen = policies or policies_of(loaded, word)
        return run_scenario(loaded, chosen, recordings=recordings, release=self._keep)

    def _replay(
        self,
        capture: str,
        policies: tuple[Policy, ...],
        times: Schedule,
        limit: int,
        guest: str | None,
    ) -> Simulation:
        from remusnet.capture import read
        from remusnet.emulator.run.recordings import simulate
        from remusnet.policy import PRESETS

        if guest is not None:
            _text("guest", guest, "'00:16:3e:00:00:01'")
        recording = read(str(self._folder / capture))
        chosen = policies or tuple(PRESETS.values())
        return simulate(recording.frames, chosen, times, limit, capture=recording.name, guest=guest)

    def _is_capture(self, word: object) -> bool:
        from remusnet.cli._scenarios import names_capture

        word = _path("scenario", word)
        beside = self._folder / word
        return names_capture(str(beside) if beside.is_file() else word)

    def _policies(self, policies: object) -> tuple[Policy, ...]:
        from remusnet.errors import InvalidInput
        from remusnet.host.policy_files import named_policy

        if isinstance(policies, str | bytes) or not isinstance(policies, Sequence):
            raise InvalidInput(f"policies: expected a list of names and files, not {policies!r}")
        return tuple(named_policy(self._found(_path("policies", each))) for each in policies)

    def _found(self, word: str) -> str:
        """A path from the test's folder; a name stays a name."""
        from remusnet.policy.presets import is_policy_path

        return str(self._folder / word) if is_policy_path(word) else word


_SIMULATE = pytest.StashKey[Simulate]()


def _schedule(
    interval: str, period: str | None, pause: str, commit_delay: str, schedule: str
) -> Schedule:
    from remusnet.cli._scenarios import schedule_of
    from remusnet.errors import InvalidInput
    from remusnet.schedule import ScheduleKind
    from remusnet.units import parse_duration

    times = {"interval": interval, "pause": pause, "commit_delay": commit_delay}
    found = {name: parse_duration(_text(name, each, "'50ms'")) for name, each in times.items()}
    period_ns = None if period is None else parse_duration(_text("period", period, "'400ms'"))
    kinds = [str(each) for each in ScheduleKind]
    if schedule not in kinds:
        raise InvalidInput(f"schedule: expected one of {', '.join(kinds)}, not {schedule!r}")
    return schedule_of(
        found["interval"], period_ns, found["pause"], found["commit_delay"], ScheduleKind(schedule)
    )


def _limit(limit: str | None, rate: str, interval_ns: int) -> int:
    from remusnet.plan.limits import plug_limit
    from remusnet.units import parse_rate, parse_size

    if limit is not None:
        return parse_size(_text("limit", limit, "'10MB'"))
    return plug_limit(parse_rate(_text("rate", rate, "'1gbit'")), interval_ns)


def _text(name: str, value: object, example: str) -> str:
    """``value`` if it is text; else InvalidInput: a number says nothing of its unit."""
    from remusnet.errors import InvalidInput

    if not isinstance(value, str):
        raise InvalidInput(f"{name}: expected text, for example {example}, not {value!r}")
    return value


def _path(name: str, value: object) -> str:
    from remusnet.errors import InvalidInput

    if not isinstance(value, str | Path):
        raise InvalidInput(f"{name}: expected a name or a path, not {value!r}")
    return str(value)


def _whole(name: str, value: object, least: int, most: int) -> None:
    from remusnet.errors import InvalidInput

    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(f"{name}: expected a whole number, {least} to {most}, not {value!r}")


def _folder_name(node: str, number: int) -> str:
    """A folder's name for the run of a test: nothing that a path or a shell would take apart."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", node).strip("-.")[-_LONGEST_NAME:]
    return name if number == 1 else f"{name}-{number}"

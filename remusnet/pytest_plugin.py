"""The pytest plugin: ``remusnet_simulate("call.toml")`` in a test suite of your own.

It is loaded wherever remusnet is installed, so it imports nothing but pytest until it is used.
docs/reference/pytest.md is its manual.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from remusnet.emulator.simulation import Simulation
    from remusnet.policy import Policy
    from remusnet.report.result import Result
    from remusnet.schedule import Schedule


@pytest.fixture
def remusnet_simulate(request: pytest.FixtureRequest) -> Simulate:
    """Runs a scenario or a recording through Remus's buffer: see `Simulate.__call__`."""
    return Simulate(request.path.parent)


class Simulate:
    """What the fixture gives a test. Relative paths begin in ``folder``, the test file's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        captures.

        Raises what the command would print, `remusnet.errors.InvalidInput` and its like, and
        TypeError for a scenario and a capture at once, or neither.
        """
        from remusnet.report.result import Result

        if (scenario is None) == (capture is None):
            raise TypeError("expected a scenario or capture=, and not both")
        if scenario is not None:
            return Result(self._scenario(str(scenario), policies, calls, duration, seed).comparison)
        from remusnet.plan.limits import plug_limit
        from remusnet.schedule import Schedule, ScheduleKind
        from remusnet.units import parse_duration, parse_rate, parse_size

        times = Schedule(
            parse_duration(interval),
            parse_duration(pause),
            parse_duration(commit_delay),
            ScheduleKind(schedule),
        )
        plug = plug_limit(parse_rate(rate), times.interval_ns)
        if limit is not None:
            plug = parse_size(limit)
        return Result(self._replay(str(capture), policies, times, plug, guest).comparison)

    def _scenario(
        self,
        word: str,
        policies: Sequence[str | Path],
        calls: int | None,
        duration: str | None,
        seed: int | None,
    ) -> Simulation:
        from remusnet.capture import read
        from remusnet.cli._scenarios import beside, load_scenario, policies_of
        from remusnet.emulator.scenario_file import overridden
        from remusnet.emulator.scenario_run import run_scenario
        from remusnet.units import parse_duration

        word = self._found(word)
        duration_ns = None if duration is None else parse_duration(duration)
        loaded = overridden(load_scenario(word), calls=calls, duration_ns=duration_ns, seed=seed)
        recordings = [read(str(beside(word, each.file))).frames for each in loaded.recordings]
        chosen = self._policies(policies) or policies_of(loaded, word)
        return run_scenario(loaded, chosen, recordings=recordings)

    def _replay(
        self,
        capture: str,
        policies: Sequence[str | Path],
        times: Schedule,
        limit: int,
        guest: str | None,
    ) -> Simulation:
        from remusnet.capture import read
        from remusnet.emulator.simulation import simulate
        from remusnet.policy import PRESETS

        recording = read(str(self._folder / capture))
        chosen = self._policies(policies) or tuple(PRESETS.values())
        return simulate(recording.frames, chosen, times, limit, capture=recording.name, guest=guest)

    def _policies(self, policies: Sequence[str | Path]) -> tuple[Policy, ...]:
        from remusnet.host.policy_files import named_policy

        return tuple(named_policy(self._found(str(each))) for each in policies)

    def _found(self, word: str) -> str:
        """A path from the test's folder; a name stays a name."""
        from remusnet.policy.presets import is_policy_path

        return str(self._folder / word) if is_policy_path(word) else word

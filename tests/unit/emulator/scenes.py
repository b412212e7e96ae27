"""Scenarios for tests: as short text, loaded and run."""

from __future__ import annotations

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import PRESETS
from remusnet.results.comparison import Outcome
from remusnet.results.scene import Scene
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import load

MS = 1_000_000
S = 1_000_000_000


def scenario(text: str, duration: str = "10s") -> Scenario:
    """The scenario of a file's ``text``, with a name and a duration."""
    return load(f'name = "test"\nduration = "{duration}"\n{text}', "test.toml")


def outcome(text: str | Scenario, policy: str = "tcp-only", duration: str = "10s") -> Outcome:
    """What ``policy`` makes of it."""
    found = scenario(text, duration) if isinstance(text, str) else text
    (only,) = run_scenario(found, [PRESETS[policy]]).comparison.outcomes
    return only


def scene(found: Outcome) -> Scene:
    """What only a scenario has."""
    assert found.scene is not None
    return found.scene

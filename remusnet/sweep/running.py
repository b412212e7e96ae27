"""What a scenario comes to at one point: a number for each metric and policy."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

from remusnet.errors import InvalidInput, quoted
from remusnet.policy.policy import Policy
from remusnet.report.assertion_syntax import Assertion, Selector
from remusnet.report.assertions import evaluate
from remusnet.report.measures import Measurements, Metric, folded, readings
from remusnet.report.metric_table import METRICS
from remusnet.scenario.guest import GuestModel
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import ScenarioFileError, impossible, of_tables
from remusnet.sweep.grid import Settings
from remusnet.units import format_duration

IMPORTS = (__name__, "remusnet.emulator.run.scenario_run")
"""What `run` needs, for processes that are to run it."""
LOWEST = frozenset({"mos", "mos.min", "voice.r"})
"""Metrics whose worst reading is the lowest; of all others it is the highest."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric as the user wrote it: ``text`` names it in tables, ``metric`` in METRICS."""

    text: str
    metric: str
    selectors: tuple[Selector, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """All that a point's numbers depend on; it can be sent to another process.

    ``tables``: the scenario file's. ``requirements``: assertions, as texts. ``seed``: added to the
    scenario's own.
    """

    tables: dict[str, Any]
    origin: str
    interval_ns: int
    settings: Settings
    seed: int
    policies: tuple[Policy, ...]
    asked: tuple[Asked, ...]
    guest: GuestModel | None = None
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """The worst reading of ``metric`` (its text) under ``policy``; None where there is none."""

    policy: str
    metric: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Whether a requirement holds, and the worst that was seen of its metric (None: nothing)."""

    text: str
    holds: bool
    worst: float | None


@dataclass(frozen=True, slots=True)
class Done:
    """A point's numbers."""

    values: tuple[Value, ...]
    requirements: tuple[Kept, ...] = ()


def run(task: Task) -> Done:
    """Run the scenario at one point under each policy.

    Raises ScenarioFileError for a scenario that is wrong there.
    """
    # Only where points are run: what builds frames takes 0.6 s to import, and where others run
    # them, this process has no use for it.
    from remusnet.emulator.run.scenario_run import run_scenario

    simulation = run_scenario(scenario_at(task), task.policies)
    measurements = Measurements(simulation.comparison)
    values = []
    for asked in task.asked:
        metric = METRICS[asked.metric]
        found = [
            each
            for each in readings(metric, measurements)
            if all(selector.matches(each) for selector in asked.selectors)
        ]
        for policy in task.policies:
            own = [each for each in found if each.label("policy") == policy.name]
            values.append(Value(policy.name, asked.text, _worst(metric, own)))
    return Done(tuple(values), _kept(task, measurements))


def scenario_at(task: Task) -> Scenario:
    """The task's scenario: its file with the settings, its interval, its guest."""
    tables = copy.deepcopy(task.tables)
    for key, value in task.settings:
        set_key(tables, key, value)
    checkpoint = tables.setdefault("checkpoint", {})
    if not isinstance(checkpoint, dict):
        raise InvalidInput(f"{task.origin}: checkpoint: not a table")
    checkpoint.pop("period", None)
    checkpoint["interval"] = format_duration(task.interval_ns)
    scenario = of_tables(tables, task.origin)
    scenario = replace(scenario, seed=scenario.seed + task.seed)
    if task.guest is not None:
        planned = task.guest.checkpoints(scenario.checkpointing, task.interval_ns)
        scenario = replace(scenario, checkpointing=planned)
        mistakes = impossible(scenario)
        if mistakes:
            raise ScenarioFileError(task.origin, tuple(mistakes))
    return scenario


def set_key(tables: dict[str, Any], path: str, text: str) -> None:
    """Give the key at ``path`` the value ``text``: in every table of a list, for ``calls.count``.

    Raises InvalidInput where what it should be in is no table.
    """
    *parents, key = path.split(".")
    places: list[dict[str, Any]] = [tables]
    for name in parents:
        inner: list[dict[str, Any]] = []
        for place in places:
            found = place.setdefault(name, {})
            inner += found if isinstance(found, list) else [found]
        places = inner
        if not all(isinstance(each, dict) for each in places):
            raise InvalidInput(f"--set {path}: {quoted(name)} is no table")
    for place in places:
        place[key] = _value(text)


def _value(text: str) -> object:
    """As TOML would have it: a number (``2%`` too, as files have 2), true or false, or text."""
    if text in ("true", "false"):
        return text == "true"
    number = text.removesuffix("%")
    for kind in (int, float):
        try:
            return kind(number)
        except ValueError:
            continue
    return text


def _worst(metric: Metric, own: list[Any]) -> float | None:
    if not own:
        return None
    values = [each.value for each in folded(metric, own)]
    return min(values) if metric.path in LOWEST else max(values)


def _kept(task: Task, measurements: Measurements) -> tuple[Kept, ...]:
    if not task.requirements:
        return ()
    from remusnet.report.assertion_syntax import parse

    parsed: list[Assertion[Metric]] = [parse(text) for text in task.requirements]
    return tuple(
        Kept(each.assertion.text, each.passed, None if each.worst is None else each.worst.value)
        for each in evaluate(parsed, measurements)
    )


def finite(value: float | None) -> bool:
    """Whether there is a value, and it came to an end."""
    return value is not None and math.isfinite(value)

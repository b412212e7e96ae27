"""Scenarios by name or path, and the files that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from remusnet.errors import InvalidInput, quoted
from remusnet.policy import PRESETS, Policy
from remusnet.policy.toml import named_policy
from remusnet.tables.documents import is_path, read_text
from remusnet.tables.mistakes import shown_origin

if TYPE_CHECKING:
    from remusnet.scenario.scenario import Scenario
    from remusnet.schedule import Schedule, ScheduleKind


def load_scenario(word: str) -> Scenario:
    """The scenario that ``word`` names: a shipped one, or a file (.toml, or a path with a slash).

    Raises InvalidInput, in one line, for an unknown name, a file that can't be read, and mistakes.
    """
    from remusnet.scenario.library import shipped
    from remusnet.scenario.scenario_file import load

    if not is_path(word):
        return shipped(word)
    return load(read_text(word), word)


def names_capture(word: str) -> bool:
    """Whether ``word`` is a capture and no scenario: see `remusnet.capture.is_capture`.

    Raises InvalidInput for a file that is neither.
    """
    from remusnet.capture import is_capture
    from remusnet.scenario.library import names

    if word in names():
        return False
    if is_capture(word):
        return True
    if not is_path(word) and Path(word).is_file():
        raise InvalidInput(
            f"{quoted(word)} is neither a scenario (.toml) nor a capture (pcap, pcapng)"
        )
    return False


def schedule_of(
    interval_ns: int, period_ns: int | None, pause_ns: int, commit_delay_ns: int, kind: ScheduleKind
) -> Schedule:
    """Checkpoints by their period, where there is one, else by their interval."""
    from remusnet.schedule import Schedule

    if period_ns is None:
        return Schedule(interval_ns, pause_ns, commit_delay_ns, kind)
    return Schedule.of_period(period_ns, pause_ns, commit_delay_ns, kind)


def policies_of(scenario: Scenario, word: str) -> tuple[Policy, ...]:
    """The policies that a scenario names, paths from the scenario's folder; all shipped ones else.

    Raises InvalidInput as `named_policy` does, with the scenario's name before it.
    """
    found = []
    for name in scenario.policies:
        path = str(beside(word, name)) if is_path(name) else name
        try:
            found.append(named_policy(path, read_text))
        except InvalidInput as error:
            raise InvalidInput(f"{shown_origin(word)}: policies: {error}") from None
    return tuple(found) or tuple(PRESETS.values())


def beside(word: str, name: str) -> Path:
    """The file that a scenario names: from the folder of its own file."""
    return Path(word).parent / name

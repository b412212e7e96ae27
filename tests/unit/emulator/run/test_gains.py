"""The advice of a simulation: a setting's gain is that of a run with it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from remusnet.emulator.run import gains as gaining
from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.emulator.traffic import tcp_notes as say
from remusnet.emulator.traffic.tcp_notes import Change
from remusnet.metrics.percentiles import percentile
from remusnet.policy import PRESETS
from remusnet.results.comparison import Comparison
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import load

HEAD = """
name = "tcp"
duration = "40s"
[checkpoint]
interval = "200ms"
pause = "0ms"
[network]
delay = "1ms"
"""
IDLE = '[[tcp]]\ncount = 4\nspacing = "1076ms"\nresponse = 100000\nexchanges = 5\nthink = "1s"\n'
BULK = '[[tcp]]\nkind = "bulk"\ncount = 4\nspacing = "9276ms"\nresponse = 3000000\n'
QUEUED = HEAD + 'rate = "100mbit"\nqueue = 100\n' + BULK
SMALL = '[[tcp]]\ncount = 4\nexchanges = 5\nthink = "1s"\n'


def scenario(text: str) -> Scenario:
    return load(text, "tcp.toml")


def run(given: Scenario, *policies: str, advise: bool = True) -> Comparison:
    chosen = [PRESETS[name] for name in policies or ("tcp-only",)]
    return run_scenario(given, chosen, advise=advise).comparison


def answers_ms(found: Comparison) -> list[float]:
    scene = found.outcomes[0].scene
    assert scene is not None
    return [each for one in scene.transfers for each in one.responses_ms]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "change"), [(HEAD + IDLE, Change.RESTART), (QUEUED, Change.QUEUE)]
)
def test_the_gain_is_that_of_a_run_with_the_setting(text: str, change: Change) -> None:
    given = scenario(text)
    before = run(given)
    after = run(change.made(given), advise=False)
    (note,) = (each for each in before.setting.notes if each.startswith(change.title(given)))
    told = re.search(r"(?:idle|transfers) ([\d,]+) -> ([\d,]+) ms median", note)
    assert told is not None
    for word, seen in zip(told.groups(), (before, after), strict=True):
        assert word == f"{percentile(np.array(answers_ms(seen)), 0.5):,.0f}"
    assert before.setting.notes[-1] == gaining.HOW_TO


def test_what_is_not_worth_it_is_not_advised() -> None:
    """Small answers fit the first window: no setting of TCP makes them faster."""
    assert run(scenario(HEAD + SMALL)).setting.notes == ()
    # Here HyStart may be off or on: the window is never that large.
    assert not any(
        each.startswith(Change.HYSTART.value) for each in run(scenario(HEAD + IDLE)).setting.notes
    )


@pytest.mark.slow
def test_two_runs_say_the_same() -> None:
    given = scenario(QUEUED)
    assert run(given).setting.notes == run(given).setting.notes


def test_a_run_that_is_too_large_says_what_settings_do_and_not_their_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gaining, "MOST_FRAMES", 100)
    notes = run(scenario(HEAD + IDLE)).setting.notes
    assert [each.partition(" What it gains")[0] for each in notes] == [
        say.HYSTART,
        say.RESTART,
        gaining.HOW_TO,
    ]


def test_without_a_copy_only_the_copy_helps() -> None:
    notes = run(scenario(HEAD + IDLE), "stock-remus").setting.notes
    assert say.COUPLED in notes
    assert not any(" -> " in each for each in notes)


def test_the_first_policy_that_copies_is_asked() -> None:
    notes = run(scenario(HEAD + IDLE), "stock-remus", "hold-all").setting.notes
    assert any(each.startswith(Change.RESTART.value) for each in notes)
    assert say.COUPLED in notes


def test_a_sweep_is_not_slowed_by_advice() -> None:
    assert run(scenario(HEAD + IDLE), advise=False).setting.notes == (say.HYSTART, say.RESTART)

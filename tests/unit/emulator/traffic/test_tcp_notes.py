"""TCP under held output: what results advise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.emulator.traffic import tcp_notes as say
from remusnet.policy import PRESETS
from remusnet.results.comparison import Comparison
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import load

HELD = """
name = "tcp"
duration = "30s"
[checkpoint]
interval = "200ms"
pause = "0ms"
commit-delay = "5ms"
[network]
delay = "1ms"
"""
BULK = '[[tcp]]\nkind = "bulk"\n'
IDLE = '[[tcp]]\nresponse = 100000\nexchanges = 3\nthink = "1s"\n'
RATED = HELD + 'rate = "100mbit"\n'
EXCHANGES = '[[tcp]]\ncount = 10\nexchanges = 5\nspacing = "1066ms"\n'


def scenario(text: str) -> Scenario:
    return load(text, "tcp.toml")


def run(text: str, *policies: str) -> Comparison:
    chosen = [PRESETS[name] for name in policies or ("tcp-only",)]
    return run_scenario(scenario(text), chosen).comparison


def notes(text: str, *policies: str) -> tuple[str, ...]:
    return run(text, *policies).setting.notes


@pytest.mark.parametrize(
    ("text", "policies", "expected"),
    [
        (HELD + "[[calls]]\n", ("stock-remus",), ()),
        (HELD + EXCHANGES, ("tcp-only",), ()),
        (HELD + EXCHANGES, ("tcp-only", "stock-remus"), (say.COUPLED,)),
        (HELD + '[[sip]]\ntransport = "tcp"\n', ("stock-remus",), (say.COUPLED,)),
        (HELD + "[[sip]]\n", ("stock-remus",), ()),
        (HELD + BULK, ("tcp-only",), (say.HYSTART,)),
        (HELD + "[guest-tcp]\nhystart = false\n" + BULK, ("tcp-only",), ()),
        (HELD + '[guest-tcp]\ncongestion = "reno"\n' + BULK, ("tcp-only",), ()),
        # What the guest receives it doesn't pace.
        (HELD + '[[tcp]]\nkind = "bulk"\nrequest = 100000\nresponse = 1\n', ("tcp-only",), ()),
        (HELD + IDLE, ("tcp-only",), (say.HYSTART, say.RESTART)),
        (
            HELD + "[guest-tcp]\nslow-start-after-idle = false\n" + IDLE,
            ("tcp-only",),
            (say.HYSTART,),
        ),
        (RATED + BULK, ("tcp-only",), (say.HYSTART, say.QUEUE)),
        (RATED + "queue = 100\n" + BULK, ("tcp-only",), (say.HYSTART,)),
        (HELD + "[vif]\nring = 64\n" + EXCHANGES, ("tcp-only",), (say.RING,)),
    ],
)
def test_a_result_gives_the_advice_that_follows_and_no_other(
    text: str, policies: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert notes(text, *policies) == expected


def test_without_checkpoints_nothing_is_held_and_nothing_is_said() -> None:
    bare = replace(scenario(HELD + EXCHANGES), checkpointing=None)
    assert run_scenario(bare, [PRESETS["stock-remus"]]).comparison.setting.notes == ()

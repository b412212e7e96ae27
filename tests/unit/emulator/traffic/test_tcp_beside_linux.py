"""Linux 6.1 in virtual time and the emulator, the same workloads: docs/explanation/tcp.md.

The figures are the kernel's: median and 95th percentile of 20 connections whose starts divide the
period, in ms.
"""

from __future__ import annotations

import math
from statistics import median

import pytest

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import PRESETS
from remusnet.scenario.scenario_file import load

_CLOSE = 0.15
"""Of the kernel's: 20 phases are 5 % of a period apart, and losses are drawn by other chance."""

BULK = '[[tcp]]\nkind = "bulk"\nresponse = 5000000\n'
ANSWERS = '[[tcp]]\nexchanges = 10\nthink = "1s"\nresponse = 100000\n'
REQUESTS = '[[tcp]]\nexchanges = 10\nthink = "137ms"\n'
COUPLED = '[[tcp]]\nkind = "bulk"\nresponse = 300000\n'
QUEUE = '[network]\ndelay = "1ms"\nrate = "100mbit"\nqueue = 100\n'
NEAR = '[network]\ndelay = "1ms"\n'
FAR = '[network]\ndelay = "10ms"\nrate = "100mbit"\nqueue = 1000\n'
LOSS = '[network]\ndelay = "1ms"\nloss = 0.5\n'


@pytest.mark.parametrize(
    ("interval_ms", "network", "traffic", "policy", "median_ms", "p95_ms"),
    [
        (400, NEAR, REQUESTS, "tcp-only", 4266, 4438),
        (200, NEAR, BULK, "tcp-only", 2212, 6840),
        (400, NEAR, BULK, "tcp-only", 4407, 14219),
        (200, NEAR, ANSWERS, "tcp-only", 13559, 13646),
        (400, NEAR, ANSWERS, "tcp-only", 18542, 19869),
        (200, QUEUE, BULK, "tcp-only", 8607, 10534),
        (200, FAR, BULK, "tcp-only", 2410, 8492),
        (200, LOSS, BULK, "tcp-only", 31481, 39609),
        (200, NEAR, COUPLED, "stock-remus", 10771, 10858),
    ],
)
def test_transfers_take_as_long_as_under_linux(
    interval_ms: int, network: str, traffic: str, policy: str, median_ms: float, p95_ms: float
) -> None:
    period_ms = interval_ms + 5
    # A whole number of periods and a twentieth of one apart; transfers don't meet.
    spacing_us = (60_000 // period_ms * 20 + 1) * period_ms * 50
    scenario = load(
        f'name = "x"\nduration = "1300s"\n[checkpoint]\ninterval = "{interval_ms}ms"\n'
        f'pause = "0ms"\ncommit-delay = "5ms"\n{network}{traffic}count = 20\n'
        f'spacing = "{spacing_us}us"\n',
        "x.toml",
    )
    (outcome,) = run_scenario(scenario, [PRESETS[policy]]).comparison.outcomes
    assert outcome.scene is not None
    took = sorted(each.duration_ms or math.inf for each in outcome.scene.transfers)
    assert len(took) == 20
    assert median(took) == pytest.approx(median_ms, rel=_CLOSE)
    assert took[18] == pytest.approx(p95_ms, rel=_CLOSE)

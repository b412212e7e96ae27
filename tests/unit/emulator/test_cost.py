"""The cost of a run grows no faster than what it runs: counted, since times depend on the machine.

Counted are calls of functions. What a single call of numpy takes isn't seen here; `scripts/bench
cost` measures that, tenfold against ten times.
"""

from __future__ import annotations

import gc
import sys
from types import FrameType

import pytest

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import PRESETS
from remusnet.scenario.scenario import Scenario
from tests.unit.emulator.scenes import scenario

CHECKPOINTS = '[checkpoint]\nperiod = "{period}ms"\npause = "1ms"\ncommit-delay = "1ms"\n'


def stream(seconds: int, period_ms: int = 300, calls: int = 1) -> Scenario:
    text = (
        CHECKPOINTS.format(period=period_ms)
        + f"[[calls]]\ncount = {calls}\ndirection = 'send'\ndrift-ppm = 10"
    )
    return scenario(text, f"{seconds}s")


def dialogs(count: int) -> Scenario:
    """Frame by frame through the loop."""
    text = CHECKPOINTS.format(period=300) + f'[[sip]]\ncount = {count}\nspacing = "1ms"'
    return scenario(text, "10s")


def functions_called(found: Scenario) -> int:
    """In a run of ``found``, Python's and C's alike."""
    policies = [PRESETS["tcp-only"]]
    run_scenario(found, policies)  # what is made once and kept belongs to no run
    count = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    # A collection calls what others have registered for it (hypothesis does): no steps of ours.
    gc.collect()
    gc.disable()
    sys.setprofile(profile)
    try:
        run_scenario(found, policies)
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


GROWING = {
    # 1, 10 and 100 stretches of 65,536 packets, less a few.
    "packets": lambda tenfold: stream(1_300 * tenfold),
    "epochs": lambda tenfold: stream(100, period_ms=400 // tenfold),
    "calls": lambda tenfold: stream(1, calls=10 * tenfold),
    "dialogs": lambda tenfold: dialogs(2 * tenfold),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", GROWING)
def test_ten_times_as_much_more_takes_ten_times_as_many_more_steps_at_most(what: str) -> None:
    """Differences, so that what any run takes doesn't hide what grows; 1 % for the heap's depth.

    And 1 % of a run, where nothing grows: caches of libraries may have to be filled again.
    """
    least, middle, most = (functions_called(GROWING[what](tenfold)) for tenfold in (1, 10, 100))
    assert most - middle <= 1.01 * 10 * (middle - least) + 0.01 * least


def test_neither_a_packet_nor_an_epoch_has_steps_of_its_own() -> None:
    """A stretch of 65,536 packets takes a fixed number, however many epochs cut it."""
    often, seldom = (functions_called(stream(100, period_ms=each)) for each in (4, 300))
    assert abs(often - seldom) <= 0.01 * seldom
    assert functions_called(stream(13_000)) < 0.1 * 13_000 * 50

"""Linux 6.1 in virtual time and the emulator, the same workloads: docs/explanation/tcp.md.

What the kernel did is kept in tests/data/tcp-linux, a file a row of `scripts/tcp-table`.
"""

from __future__ import annotations

from functools import cache

import pytest

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import PRESETS
from remusnet.scenario.scenario_file import load
from scripts.tcp.__main__ import kept
from scripts.tcp.figures import CLOSE, Figures, emulated, misses
from scripts.tcp.rows import BASES, ROWS, SWITCHES
from tests.lib.long import count

_QUICK = (
    "requests-400", "download-200", "download-400", "upload-400", "idle-1s-200", "idle-1s-400",
    "queue-100-200", "loss-200", "coupled-200", *SWITCHES,
)  # fmt: skip
"""Those of which each says something else, and none takes long."""
_TIMES_ONLY = ("queue-1000", "far", "loss-100")
"""Rows whose copies are chance. Whether a connection overflows the long queues is decided by less
than a microsecond: 1 to 3 of 20 do in Linux, or none where the kernel's boot took a second more,
and none here. With losses several acknowledgements probably share a microsecond of the kernel's
clock, and RACK takes some copies for lost."""
_BY_CHANCE = 0.20
"""How far a median may be where losses are drawn anew: a connection has 17, give or take 4, so that
the medians of 20 on either side are some 8 % apart by that alone."""
_DIFFERS, _APART = 0.12, 0.10
"""What counts as a difference of times, and how far apart the two sides' differences may be: a
connection's way is one of a few, each a period apart, and 20 connections hardly share one."""
_SOME = 15
"""Copies: as many more or fewer are a difference."""

# One worker for all: what a row comes to is worked out once, and several tests look at it.
pytestmark = pytest.mark.xdist_group("tcp beside linux")


@cache
def linux(name: str) -> Figures:
    seen = kept({**ROWS, **SWITCHES}[name])
    assert seen is not None, f"{name} isn't kept: scripts/tcp-table --run"
    return seen.figures


@cache
def ours(name: str) -> Figures:
    return emulated({**ROWS, **SWITCHES}[name])


@pytest.mark.parametrize("name", [*ROWS, *SWITCHES] if count(sample=0, long=1) else _QUICK)
def test_transfers_take_as_long_as_under_linux(name: str) -> None:
    found = misses(linux(name), ours(name))
    if name.startswith(_TIMES_ONLY):
        found = [each for each in found if "copies" not in each]
    if name.startswith("loss"):
        found = [each for each in found if "median" not in each]
        assert ours(name).median_ms == pytest.approx(linux(name).median_ms, rel=_BY_CHANCE)
    assert not found


def test_bursts_that_a_rate_spreads_take_as_long_as_under_linux() -> None:
    """Ten answers of 1 MB that share 100 Mbit/s, each to 1 ms.

    What decides is which segments share a buffer of the sender's: the last of each has PSH and is
    acknowledged at once, one alone after 40 ms, and round trips decide when slow start ends.
    """
    scenario = load(
        'name = "x"\nduration = "60s"\n[checkpoint]\ninterval = "200ms"\npause = "50ms"\n'
        '[network]\ndelay = "1ms"\nrate = "100mbit"\nqueue = 1000\n'
        '[[tcp]]\ncount = 10\nspacing = "1045500us"\nexchanges = 1\nresponse = 1000000\n',
        "x.toml",
    )
    (outcome,) = run_scenario(scenario, [PRESETS["tcp-only"]]).comparison.outcomes
    assert outcome.scene is not None
    assert [each.duration_ms for each in outcome.scene.transfers] == pytest.approx(
        [2048.2, 2784.9, 1997.2, 2734.0, 1946.2, 2685.0, 1895.4, 2649.8, 2104.0, 2073.7], abs=1
    )


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_makes_the_difference_that_it_makes_in_linux(name: str) -> None:
    base = BASES[name]
    shown = []
    for what in ("median_ms", "p95_ms"):
        theirs = getattr(linux(name), what) / getattr(linux(base), what)
        if abs(theirs - 1) > _DIFFERS:
            shown.append(what)
            assert getattr(ours(name), what) / getattr(ours(base), what) == pytest.approx(
                theirs, rel=_APART
            )
    more = linux(name).copies - linux(base).copies
    if abs(more) > _SOME:
        shown.append("copies")
        assert (ours(name).copies - ours(base).copies) * more > 0
    assert shown, f"Linux shows no difference between {base} and {name}"


@pytest.mark.parametrize(
    ("policy", "off", "median_ms", "p95_ms"),
    [
        ("tcp-only", "", 521.0, 608.2),
        ("tcp-only", "nagle = false", 316.0, 403.2),
        ("stock-remus", "nagle = false", 521.0, 608.2),
        ("stock-remus", "nagle = false\nautocorking = false", 316.0, 403.2),
    ],
)
def test_a_180_waits_behind_its_100_as_in_linux(
    policy: str, off: str, median_ms: float, p95_ms: float
) -> None:
    """Nagle holds it back for a period; without a copy autocorking does, whatever Nagle says.

    The kernel's server wrote twice 330 bytes at once; times are from the SYN on.
    """
    scenario = load(
        'name = "x"\nduration = "110s"\n[checkpoint]\ninterval = "200ms"\npause = "0ms"\n'
        f'commit-delay = "5ms"\n[network]\ndelay = "1ms"\n[guest-tcp]\n{off}\n'
        '[[sip]]\ntransport = "tcp"\ncount = 20\nspacing = "4930250us"\n',
        "x.toml",
    )
    (outcome,) = run_scenario(scenario, [PRESETS[policy]]).comparison.outcomes
    assert outcome.scene is not None
    began = {each.number: each.start_ns for each in outcome.scene.transfers}
    took_ms = sorted(
        (each.start_ns + each.ringing_ns - began[int(each.call)]) / 1e6
        for each in outcome.scene.sip
        if each.ringing_ns is not None
    )
    assert len(took_ms) == 20
    assert (took_ms[9] + took_ms[10]) / 2 == pytest.approx(median_ms, rel=CLOSE)
    assert took_ms[18] == pytest.approx(p95_ms, rel=CLOSE)

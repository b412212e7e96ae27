"""Linux 6.1 in virtual time and the emulator, the same workloads: docs/explanation/tcp.md.

What the kernel did is kept in tests/data/tcp-linux, a file a row of `scripts/tcp-table`.
"""

from __future__ import annotations

from functools import cache

import pytest

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.lab.compare_tcp import only_tcp
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
_TIMES_ONLY = ("queue-1000", "far-100")
"""Rows whose copies are chance. Whether a connection overflows the long queues is decided by less
than a microsecond: none to 24 of 50 do in Linux. How much one then sends again is not."""
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


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ROWS, *SWITCHES] if count(sample=0, long=1) else _QUICK)
def test_transfers_take_as_long_as_under_linux(name: str) -> None:
    found = misses(linux(name), ours(name))
    if name.startswith(_TIMES_ONLY):
        found = [each for each in found if "copies" not in each]
    assert not found


@pytest.mark.slow
def test_a_long_queue_that_is_overflown_costs_what_it_costs_linux() -> None:
    """Here, too, releases that come some microseconds sooner or later let connections overflow it.

    Those that do are a period sooner over than the others: 11 periods instead of 12.
    """
    name, period_ms = "queue-1000-200", 205
    sooner = sum(each < 11.5 * period_ms for each in linux(name).took_ms)
    exact, near = '"5ms"', '{ distribution = "uniform", low = "4.8ms", high = "5.2ms" }'
    text = ROWS[name].scenario().replace(f"commit-delay = {exact}", f"commit-delay = {near}")
    found = run_scenario(only_tcp(load(text, "x.toml")), [PRESETS["tcp-only"]])
    (outcome,) = found.comparison.outcomes
    assert outcome.scene is not None
    again = [each for each in outcome.scene.transfers if each.retransmissions]
    assert again
    for each in again:
        assert each.duration_ms is not None
        assert each.duration_ms < 11.5 * period_ms
        assert each.retransmissions == pytest.approx(linux(name).copies / sooner, rel=0.1)


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

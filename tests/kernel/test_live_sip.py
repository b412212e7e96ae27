"""Calls through `remusnet sip serve` under Remus, live: sipp on the host, over UDP and TCP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.sip.sipp import Figures, Sipp, free_port
from tests.kernel.lab.wait import wait_until

if TYPE_CHECKING:
    from remusnet.live.running import LiveRun
    from remusnet.pytest_plugin import Live

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("sipp"),
    pytest.mark.usefixtures("own_run_dir"),
]

CALLS = 4
_SECONDS = 60
_WORDS = ("--domain", "example.org", "--no-auth", "--allow-from", "10.0.0.0/8")


@pytest.mark.uml
def test_calls_complete_with_the_kernels_own_plug(remusnet_live: Live, tmp_path: Path) -> None:
    _see_calls_complete(remusnet_live, tmp_path, "tcp-only", "kernel")


@pytest.mark.netns
@pytest.mark.parametrize("policy", ["none", "tcp-only", "real-time", "hold-all", "stock-remus"])
def test_calls_complete_under_every_policy(
    policy: str, remusnet_live: Live, tmp_path: Path
) -> None:
    _see_calls_complete(remusnet_live, tmp_path, policy, "auto")


def _see_calls_complete(live: Live, folder: Path, policy: str, plug: str) -> None:
    server = [sys.executable, "-m", "remusnet", "sip", "serve", *_WORDS]
    for transport in ("udp", "tcp"):
        server += ["--listen", f"{transport}:{{address}}:5060"]
    server += ["--store", f"sqlite:{folder / 'sip.db'}", "--control", str(folder / "control")]
    with live(*server, policy=policy, interval="100ms", pause="20ms", plug=plug) as run:
        wait_until((folder / "control").exists, "a server that listens", _SECONDS)
        seen = {each: _call(run, folder, each) for each in ("udp", "tcp")}
    print(policy, plug, seen, run.result["tcp"])
    assert (run.result["dropped"], run.result["violations"]) == (0, 0), run.result
    for figures in seen.values():
        assert figures.good == figures.placed == CALLS
    if policy == "none":
        assert run.result["held"] == 0
    else:
        # Of each call over TCP the 100, 180 and 200 wait for a commit, at least for its delay.
        assert run.result["held"] >= 3 * CALLS
        assert run.result["tcp"]["hold_ms"]["max"] >= 5


def _call(run: LiveRun, folder: Path, transport: str) -> Figures:
    """A callee registers; calls to it, each of a second."""

    def sipp(name: str, port: int, *words: str) -> Sipp:
        return Sipp(folder / f"{name}-{transport}", name, transport, port, *words, host=run.gateway)

    there = f"{run.address}:5060"
    port = free_port(transport)
    enrol = sipp(
        "enrol", port, "-s", f"callee-{transport}-", "-m", "1", "-timeout", str(_SECONDS), there
    )
    assert enrol.wait(_SECONDS) == 0, (enrol.folder / "screen").read_text()[-2000:]
    callee = sipp("answer", port)
    calls = [
        "-s",
        f"callee-{transport}-1",
        "-m",
        str(CALLS),
        "-r",
        "4",
        "-d",
        "1000",
        "-timeout",
        str(_SECONDS),
    ]
    try:
        callee.listening()
        caller = sipp("held", free_port(transport), *calls, there)
        caller.wait(_SECONDS)
    finally:
        callee.kill()
    return caller.figures()

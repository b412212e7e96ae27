"""The server under sipp's load, whole and while its actors are crashed."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.sip.sipp import HOST, Sipp, free_port
from tests.lib.sip_process import exchange_udp, serving

pytestmark = pytest.mark.needs("sipp")
ROOT = Path(__file__).parents[2]
OPEN = ("--no-auth", "--domain", "example.org", "--min-expires", "1s")


def chaos(*words: str) -> subprocess.CompletedProcess[str]:
    """``scripts/sip-chaos`` without the wrapper that sets up .venv."""
    command = [sys.executable, "-m", "scripts.sip", *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def test_under_resilient_faults_under_load_lose_neither_calls_nor_registrations() -> None:
    done = chaos("--seconds", "10", "--rate", "5", "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    report = json.loads(done.stdout)
    assert (report["calls_lost"], report["registrations_lost"]) == (0, 0)
    assert (report["calls_placed"], report["registrations"]) == (50, 50)
    # One a second; a transaction may have ended between its draw and its crash.
    assert report["faults"] >= 5
    assert report["restarts"] + report["resumed"] >= 5
    assert report["escalations"] == 0
    assert not report["server_ended"]


def test_under_none_the_first_fault_ends_the_server_and_the_script_says_so() -> None:
    done = chaos("--seconds", "4", "--rate", "5", "--json", "--supervision", "none")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["server_ended"]
    assert report["faults"] == 1
    assert report["calls_lost"] > 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipps_built_in_caller_and_callee_call_through_the_server(
    transport: str, tmp_path: Path
) -> None:
    with serving(tmp_path, *OPEN) as server, ExitStack() as stack:
        port = free_port(transport)
        callee = Sipp(tmp_path / "uas", "uas", transport, port)
        stack.callback(callee.kill)
        contact = f"<sip:service@{HOST}:{port};transport={transport}>"
        to = "<sip:service@example.org>"
        answer = exchange_udp(
            server.ports["udp"], "REGISTER", "sip:example.org", to=to, contact=contact
        )
        assert "SIP/2.0 200" in answer
        place = f"{HOST}:{server.ports[transport]}"
        words = ("-m", "10", "-r", "10", "-d", "100", "-timeout", "30", place)
        caller = Sipp(tmp_path / "uac", "uac", transport, free_port(transport), *words)
        stack.callback(caller.kill)
        assert caller.wait(40) == 0, (tmp_path / "uac" / "screen").read_text()[-2000:]
        assert (caller.figures().placed, caller.figures().good) == (10, 10)
        assert server.status()["calls"] == 0

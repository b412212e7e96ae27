"""The server under sipp's load, whole and while its actors are crashed."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from remusnet.sip.rejuvenation import ACTORS
from scripts.sip.faults import PASSING, STANDING
from scripts.sip.sipp import HOST, Sipp, free_port
from tests.lib.long import count
from tests.lib.sip_process import exchange_udp, serving

pytestmark = pytest.mark.needs("sipp")
ROOT = Path(__file__).parents[2]
OPEN = ("--no-auth", "--domain", "example.org", "--min-expires", "1s")


def chaos(*words: str) -> subprocess.CompletedProcess[str]:
    """``scripts/sip-chaos`` without the wrapper that sets up .venv."""
    command = [sys.executable, "-m", "scripts.sip", *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.slow
def test_under_resilient_faults_under_load_lose_neither_calls_nor_registrations() -> None:
    """The same at 50 a second for 5 minutes with --long."""
    seconds, rate = count(sample=60, long=300), count(sample=10, long=50)
    done = chaos("--seconds", f"{seconds}", "--rate", f"{rate}", "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    report = json.loads(done.stdout)
    assert (report["calls_lost"], report["registrations_lost"]) == (0, 0)
    assert (report["calls_placed"], report["registrations"]) == (seconds * rate, seconds * rate)
    # One a second; a transaction may have ended between its draw and its crash.
    assert report["faults"] >= seconds / 2
    assert report["restarts"] + report["resumed"] >= seconds / 2
    assert report["escalations"] == 0
    assert not report["server_ended"]


@pytest.mark.slow
def test_beyond_the_limit_each_actor_escalates_once_and_under_resilient_that_costs_nothing() -> (
    None
):
    done = chaos("--seconds", "12", "--rate", "5", "--json", "--beyond")
    assert done.returncode == 0, (done.stdout, done.stderr)
    report = json.loads(done.stdout)
    assert (report["calls_lost"], report["registrations_lost"]) == (0, 0)
    assert report["escalated"] == report["expected"]
    assert set(STANDING) <= set(report["expected"])
    assert len(report["expected"]) == len(STANDING) + len(PASSING)
    assert report["escalations"] == len(report["expected"])


@pytest.mark.slow
def test_every_actor_is_restarted_by_hand_under_load_and_nothing_is_lost(tmp_path: Path) -> None:
    with serving(tmp_path, *OPEN) as server, ExitStack() as stack:
        port = free_port("udp")
        stack.callback(Sipp(tmp_path / "callee", "callee", "udp", port).kill)
        contact = f"<sip:callee@{HOST}:{port}>"
        answer = exchange_udp(
            server.ports["udp"],
            "REGISTER",
            "sip:example.org",
            to="<sip:callee@example.org>",
            contact=contact,
        )
        assert "SIP/2.0 200" in answer
        words = ("-s", "callee", "-m", "60", "-r", "10", "-timeout", "60")
        place = f"{HOST}:{server.ports['udp']}"
        caller = Sipp(tmp_path / "call", "call", "udp", free_port("udp"), *words, place)
        stack.callback(caller.kill)
        for path in ACTORS:
            done = server.ask("restart", path)
            assert done.stdout == f"{path}: restarted\n"
        assert caller.wait(60) == 0, (tmp_path / "call" / "screen").read_text()[-2000:]
        assert (caller.figures().placed, caller.figures().good) == (60, 60)
        restarts = {each["path"]: each["restarts"] for each in server.status()["actors"]}
        assert [path for path in ACTORS if restarts[path] != 1] == []


@pytest.mark.slow
def test_under_none_the_first_fault_ends_the_server_and_the_script_says_so() -> None:
    done = chaos("--seconds", "4", "--rate", "5", "--json", "--supervision", "none")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["server_ended"]
    assert report["faults"] == 1
    assert report["calls_lost"] > 0


def test_a_sipp_that_ends_before_it_has_its_port_is_not_waited_for(tmp_path: Path) -> None:
    phone = Sipp(tmp_path / "phone", "uas", "tcp", free_port("tcp"), "-no-such-option")
    with pytest.raises(RuntimeError, match="sipp uas has no port"):
        phone.listening()


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipps_built_in_caller_and_callee_call_through_the_server(
    transport: str, tmp_path: Path
) -> None:
    with serving(tmp_path, *OPEN) as server, ExitStack() as stack:
        port = free_port(transport)
        callee = Sipp(tmp_path / "uas", "uas", transport, port)
        stack.callback(callee.kill)
        callee.listening()
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

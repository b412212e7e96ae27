"""Live runs: real programs, frozen, their frames held; what a run says, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from remusnet.live.running import LiveRun
from tests.kernel.lab.live import (
    SECONDS,
    SLEEPER,
    groups_there,
    result_of,
    results_of,
    run_once,
    what_is_left,
)
from tests.kernel.lab.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_run_dir")]

# It serves what it is asked for by TCP, and sends back what comes by UDP.
_SERVER = """
import os, socket, threading
at = os.environ["REMUSNET_ADDRESS"]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind((at, 7))
tcp = socket.create_server((at, 80))
def echo():
    while True:
        data, peer = udp.recvfrom(2000); udp.sendto(data, peer)
threading.Thread(target=echo, daemon=True).start()
while True:
    client, peer = tcp.accept(); client.recv(1000)
    client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + peer[0].encode()); client.close()
"""


def _get(address: str, port: int = 80) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with opener.open(f"http://{address}:{port}/", timeout=SECONDS) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


def _echo_seconds(address: str) -> float:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.settimeout(SECONDS)
        begun = time.monotonic()
        there.sendto(b"hello", (address, 7))
        assert there.recv(100) == b"hello"
        return time.monotonic() - begun


@pytest.mark.uml
def test_the_kernels_own_plug_holds_tcp_and_lets_udp_pass(tmp_path: Path) -> None:
    _see_tcp_held("kernel", tmp_path)


@pytest.mark.netns
def test_the_userspace_plug_holds_tcp_and_lets_udp_pass(tmp_path: Path) -> None:
    _see_tcp_held("userspace", tmp_path)


def _see_tcp_held(plug: str, tmp_path: Path) -> None:
    groups = groups_there()
    command = [sys.executable, "-c", _SERVER]
    with LiveRun(command, ["--plug", plug, "--interval", "100ms", "--pause", "10ms"]) as run:
        assert _get(run.address) == run.gateway
        begun = time.monotonic()
        _get(run.address)
        held_s = time.monotonic() - begun
        echoed_s = min(_echo_seconds(run.address) for _ in range(5))
        subprocess.run([sys.executable, "-c", ""], check=True)
        time.sleep(0.5)
    assert run.result["plug"] == plug
    assert run.result["violations"] == run.result["dropped"] == 0
    assert run.result["held"] >= 8
    assert run.result["bypassed"] >= 5
    # SYN-ACK and answer wait for a commit each: at least its delay and the rest of the pause.
    assert held_s > 2 * 0.005
    # A frame that bypasses waits for nobody but a program that is frozen for 10 ms.
    assert echoed_s < 0.1
    assert run.result["tcp"]["hold_ms"]["max"] >= 5
    assert what_is_left(tmp_path, groups) == []


@pytest.mark.uml
def test_a_primary_that_fails_loses_what_the_kernels_plug_holds(tmp_path: Path) -> None:
    _see_it_fail("kernel", tmp_path)


@pytest.mark.netns
def test_a_primary_that_fails_loses_what_the_userspace_plug_holds(tmp_path: Path) -> None:
    _see_it_fail("userspace", tmp_path)


def _see_it_fail(plug: str, tmp_path: Path) -> None:
    groups = groups_there()
    options = ["--plug", plug, "--fail-after", "1500ms", "--outage", "500ms", "--interval", "20s"]
    with LiveRun([sys.executable, "-c", _SERVER], options) as run:
        # The answer to the first SYN is held for an epoch of 20 s, and lost; the next one's is not.
        assert _get(run.address) == run.gateway
    assert run.result["lost_failure"] >= 1
    assert run.result["violations"] == 0
    assert run.result["dropped"] >= run.result["lost_failure"]
    assert any("rolled back" in each for each in run.result["notes"])
    assert what_is_left(tmp_path, groups) == []


_READY = re.compile(r"^remusnet: (\S+) under ", re.MULTILINE)
# A plug that holds at once, and whose runner comes to it again after half a second.
_LATE = """
import runpy, time
from remusnet.live.plugs import UserspacePlug
start = UserspacePlug.start
UserspacePlug.start = lambda self: (start(self), time.sleep(0.5))
runpy.run_module("remusnet", run_name="__main__", alter_sys=True)
"""


@pytest.mark.netns
def test_who_waits_until_a_run_is_ready_is_not_too_early_for_its_counts(tmp_path: Path) -> None:
    """The guest's kernel refuses a connection (RST) before the program listens: held, counted."""
    words = ["--json", "--plug", "userspace", "--interval", "20s", "--fail-after", "1500ms"]
    words += ["--outage", "100ms", "--", "sleep", "3"]
    with (tmp_path / "out").open("w+") as out, (tmp_path / "errors").open("w+") as errors:
        command = [sys.executable, "-c", _LATE, "run", *words]
        with subprocess.Popen(command, stdout=out, stderr=errors) as process:
            said = tmp_path / "errors"
            found = wait_until(lambda: _READY.search(said.read_text()), "a run", SECONDS)
            assert found is not None
            with socket.socket() as client:
                client.setblocking(False)
                client.connect_ex((found[1], 80))
                assert process.wait(SECONDS) == 0
    result = json.loads((tmp_path / "out").read_text().splitlines()[-1])
    assert result["dropped"] >= result["lost_failure"] >= 1


@pytest.mark.netns
def test_published_ports_reach_the_program_and_it_sees_the_gateway() -> None:
    options = ["--publish", "48080:80/tcp", "--policy", "none"]
    with LiveRun([sys.executable, "-c", _SERVER], options) as run:
        assert _get("127.0.0.1", 48080) == run.gateway


@pytest.mark.netns
def test_without_checkpoints_nothing_is_held() -> None:
    with LiveRun([sys.executable, "-c", _SERVER], ["--policy", "none"]) as run:
        _get(run.address)
    assert (run.result["plug"], run.result["epochs"], run.result["held"]) == (None, 0, 0)


@pytest.mark.netns
@pytest.mark.parametrize(
    ("command", "code"), [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["no-such-program"], 127)]
)
def test_the_exit_code_is_the_programs_own(command: list[str], code: int) -> None:
    done = run_once("--", *command)
    assert done.returncode == code, done.stderr


@pytest.mark.netns
def test_after_its_duration_a_run_is_fine_though_the_program_was_ended(tmp_path: Path) -> None:
    groups = groups_there()
    done = run_once("--duration", "500ms", "--json", "--", *SLEEPER)
    assert done.returncode == 0, done.stderr
    assert result_of(done)["exit_code"] == 128 + signal.SIGTERM
    assert what_is_left(tmp_path, groups) == []


@pytest.mark.netns
def test_a_program_that_does_not_end_is_killed_after_its_grace() -> None:
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"
    done = run_once("--duration", "300ms", "--json", "--", "sh", "-c", stubborn)
    assert done.returncode == 0, done.stderr
    assert result_of(done)["exit_code"] == 128 + signal.SIGKILL


@pytest.mark.netns
@pytest.mark.parametrize("first", ["", "sleep 0.5; "])
def test_a_program_that_daemonises_is_told_to_stay_and_its_children_end(
    first: str, tmp_path: Path
) -> None:
    """Whether the child has left the program's session by then, or not yet."""
    groups = groups_there()
    done = run_once("--", "sh", "-c", f"setsid sleep 987654 >/dev/null 2>&1 & {first}exit 0")
    assert done.returncode == 5
    assert "in the foreground" in done.stderr
    assert what_is_left(tmp_path, groups) == []


@pytest.mark.netns
def test_an_assertion_that_does_not_hold_is_exit_code_1_whatever_the_program_said() -> None:
    done = run_once("--assert", "commit.bypassed > 1000", "--", "true")
    assert done.returncode == 1, done.stderr


@pytest.mark.netns
def test_two_policies_are_run_one_after_the_other() -> None:
    done = run_once("--compare", "none,hold-all", "--json", "--duration", "300ms", "--", *SLEEPER)
    assert [each["policy"] for each in results_of(done)] == ["none", "hold-all"]


@pytest.mark.netns
def test_a_port_in_use_is_a_conflict() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 48081))
        done = run_once("--publish", "48081/udp", "--", "true")
    assert done.returncode == 5
    assert "127.0.0.1:48081/udp is in use" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.netns
def test_a_taken_subnet_is_a_conflict(tmp_path: Path) -> None:
    groups = groups_there()
    subprocess.run(["ip", "addr", "add", "10.99.0.1/16", "dev", "lo"], check=True)
    done = run_once("--subnet", "10.99.7.0/24", "--", "true")
    subprocess.run(["ip", "addr", "del", "10.99.0.1/16", "dev", "lo"], check=True)
    assert done.returncode == 5
    assert "10.99.0.0/16" in done.stderr
    assert what_is_left(tmp_path, groups) == []


@pytest.mark.netns
def test_who_is_not_root_runs_in_a_user_namespace_and_reaches_it_by_a_port() -> None:
    # Not below tmp_path, whose folders only root may enter.
    folder = Path(tempfile.mkdtemp(dir="/run"))
    os.chown(folder, 65534, 65534)
    environment = {**os.environ, "REMUSNET_RUN_DIR": "", "XDG_RUNTIME_DIR": str(folder)}
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    run = subprocess.Popen(
        [
            *[*nobody, sys.executable, "-m", "remusnet", "run", "--json", "--publish"],
            *["48083:80/tcp", "--", "/usr/bin/python3", "-c", _SERVER],
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert _get("127.0.0.1", 48083) == "10.77.0.1"
    finally:
        run.terminate()
        out, said = run.communicate(timeout=SECONDS)
        print(said)
        shutil.rmtree(folder)
    result = json.loads(out.splitlines()[-1])
    assert result["held"] > 0, said
    assert result["violations"] == 0

"""What tests of live runs share: the command, what a run leaves, and a program that floods."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from remusnet.live.freezer import cgroup_root

SECONDS = 30.0
"""No test waits longer for what a run does."""
SLEEPER = ["sh", "-c", "sleep 987654; true"]
"""A program that does nothing, for days."""
# So many datagrams of 172 bytes a second, for some seconds, after one that finds the way.
FLOOD = """
import socket, sys, time
rate, seconds = int(sys.argv[1]), float(sys.argv[2])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
out.connect(("10.77.0.1", 9))
out.send(b"first"); time.sleep(0.5)
begun, sent = time.monotonic(), 0
while (now := time.monotonic() - begun) < seconds:
    while sent < now * rate:
        try:
            out.send(sent.to_bytes(172, "big"))
        except OSError:
            pass  # nobody listens there, and says so
        else:
            sent += 1
    time.sleep(0.0005)
time.sleep(0.5)
print("sent", sent + 1)
"""


def groups_there() -> list[str]:
    """The cgroups of live runs."""
    root = cgroup_root()
    return [] if root is None else [str(each) for each in root.rglob("remusnet-run-*")]


def what_is_left(tmp_path: Path, groups: list[str]) -> list[str]:
    """What a run has left of itself: devices, files, cgroups, processes."""
    devices = [name for _, name in socket.if_nameindex() if name.startswith("rn")]
    folder = tmp_path / "run" / "live"
    files = [each.name for each in folder.iterdir()] if folder.exists() else []
    processes = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    sleepers = [line for line in processes.splitlines() if line.startswith("sleep 987654")]
    new = [each for each in groups_there() if each not in groups]
    return [*devices, *(each for each in files if each != "subnets.lock"), *sleepers, *new]


def run_once(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """``remusnet run WORDS``, until it has ended."""
    return subprocess.run(
        [sys.executable, "-m", "remusnet", "run", *words],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        **more,
    )


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What ``--json`` has printed as its last line."""
    (found,) = results_of(done)
    return found


def results_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The same, a result for each policy of ``--compare``."""
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return found if isinstance(found, list) else [found]


def wait_until_nothing_is_left(tmp_path: Path, groups: list[str]) -> None:
    """Of runs in ``tmp_path``; the cgroups ``groups`` were there before."""
    deadline = time.monotonic() + SECONDS
    while left := what_is_left(tmp_path, groups):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)

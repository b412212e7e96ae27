"""Live runs: real programs, frozen, their frames held; and nothing left, whatever ends them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import RawPcapNgReader

from remusnet.live.freezer import cgroup_root
from remusnet.live.running import LiveRun
from tests.lib.long import count

pytestmark = pytest.mark.slow

_SECONDS = 30.0
_OUTBOUND = 2  # pcapng's epb_flags
_PAUSE_MS = 5
_READY = re.compile(r"remusnet: (\S+) under")
_SLEEPER = ["sh", "-c", "sleep 987654; true"]
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
# So many datagrams of 172 bytes a second, for some seconds, after one that finds the way.
_FLOOD = """
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


@pytest.fixture(autouse=True)
def _own_run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMUSNET_RUN_DIR", str(tmp_path / "run"))


def _get(address: str, port: int = 80) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            with opener.open(f"http://{address}:{port}/", timeout=_SECONDS) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


def _echo_seconds(address: str) -> float:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.settimeout(_SECONDS)
        begun = time.monotonic()
        there.sendto(b"hello", (address, 7))
        assert there.recv(100) == b"hello"
        return time.monotonic() - begun


def _groups() -> list[str]:
    root = cgroup_root()
    return [] if root is None else [str(each) for each in root.rglob("remusnet-run-*")]


def _left(tmp_path: Path, groups: list[str]) -> list[str]:
    """What a run has left of itself: devices, files, cgroups, processes."""
    devices = [name for _, name in socket.if_nameindex() if name.startswith("rn")]
    folder = tmp_path / "run" / "live"
    files = [each.name for each in folder.iterdir()] if folder.exists() else []
    processes = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    sleepers = [line for line in processes.splitlines() if line.startswith("sleep 987654")]
    new = [each for each in _groups() if each not in groups]
    return [*devices, *(each for each in files if each != "subnets.lock"), *sleepers, *new]


def _run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "remusnet", "run", *words],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        **more,
    )


def _result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.uml
def test_the_kernels_own_plug_holds_tcp_and_lets_udp_pass(tmp_path: Path) -> None:
    _see_tcp_held("kernel", tmp_path)


@pytest.mark.netns
def test_the_userspace_plug_holds_tcp_and_lets_udp_pass(tmp_path: Path) -> None:
    _see_tcp_held("userspace", tmp_path)


def _see_tcp_held(plug: str, tmp_path: Path) -> None:
    groups = _groups()
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
    assert _left(tmp_path, groups) == []


@pytest.mark.uml
def test_a_primary_that_fails_loses_what_the_kernels_plug_holds(tmp_path: Path) -> None:
    _see_it_fail("kernel", tmp_path)


@pytest.mark.netns
def test_a_primary_that_fails_loses_what_the_userspace_plug_holds(tmp_path: Path) -> None:
    _see_it_fail("userspace", tmp_path)


def _see_it_fail(plug: str, tmp_path: Path) -> None:
    groups = _groups()
    options = ["--plug", plug, "--fail-after", "1500ms", "--outage", "500ms", "--interval", "20s"]
    with LiveRun([sys.executable, "-c", _SERVER], options) as run:
        # The answer to the first SYN is held for an epoch of 20 s, and lost; the next one's is not.
        assert _get(run.address) == run.gateway
    assert run.result["lost_failure"] >= 1
    assert run.result["violations"] == 0
    assert run.result["dropped"] >= run.result["lost_failure"]
    assert any("rolled back" in each for each in run.result["notes"])
    assert _left(tmp_path, groups) == []


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
    done = _run("--", *command)
    assert done.returncode == code, done.stderr


@pytest.mark.netns
def test_after_its_duration_a_run_is_fine_though_the_program_was_ended(tmp_path: Path) -> None:
    groups = _groups()
    done = _run("--duration", "500ms", "--json", "--", *_SLEEPER)
    assert done.returncode == 0, done.stderr
    assert _result(done)["exit_code"] == 128 + signal.SIGTERM
    assert _left(tmp_path, groups) == []


@pytest.mark.netns
def test_a_program_that_does_not_end_is_killed_after_its_grace() -> None:
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"
    done = _run("--duration", "300ms", "--json", "--", "sh", "-c", stubborn)
    assert done.returncode == 0, done.stderr
    assert _result(done)["exit_code"] == 128 + signal.SIGKILL


@pytest.mark.netns
@pytest.mark.parametrize("first", ["", "sleep 0.5; "])
def test_a_program_that_daemonises_is_told_to_stay_and_its_children_end(
    first: str, tmp_path: Path
) -> None:
    """Whether the child has left the program's session by then, or not yet."""
    groups = _groups()
    done = _run("--", "sh", "-c", f"setsid sleep 987654 >/dev/null 2>&1 & {first}exit 0")
    assert done.returncode == 5
    assert "in the foreground" in done.stderr
    assert _left(tmp_path, groups) == []


@pytest.mark.netns
def test_an_assertion_that_does_not_hold_is_exit_code_1_whatever_the_program_said() -> None:
    done = _run("--assert", "commit.bypassed > 1000", "--", "true")
    assert done.returncode == 1, done.stderr


@pytest.mark.netns
def test_two_policies_are_run_one_after_the_other() -> None:
    done = _run("--compare", "none,hold-all", "--json", "--duration", "300ms", "--", *_SLEEPER)
    assert [each["policy"] for each in _result(done)] == ["none", "hold-all"]  # type: ignore[index]


@pytest.mark.netns
def test_a_port_in_use_is_a_conflict() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 48081))
        done = _run("--publish", "48081/udp", "--", "true")
    assert done.returncode == 5
    assert "127.0.0.1:48081/udp is in use" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.netns
def test_a_taken_subnet_is_a_conflict(tmp_path: Path) -> None:
    groups = _groups()
    subprocess.run(["ip", "addr", "add", "10.99.0.1/16", "dev", "lo"], check=True)
    done = _run("--subnet", "10.99.7.0/24", "--", "true")
    subprocess.run(["ip", "addr", "del", "10.99.0.1/16", "dev", "lo"], check=True)
    assert done.returncode == 5
    assert "10.99.0.0/16" in done.stderr
    assert _left(tmp_path, groups) == []


@contextmanager
def _started(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """A run of a sleeper, and the processes of it."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "remusnet", "run", *options, "--", *_SLEEPER],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert guard.stderr is not None
        line = guard.stderr.readline()
        while line and not _READY.search(line):
            line = guard.stderr.readline()
        assert line, "it did not begin"
        (runner,) = _children(guard.pid)
        deadline = time.monotonic() + _SECONDS
        while not (program := [each for each in _children(runner) if _is_program(each)]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        others = [each for each in _children(runner) if each not in program]
        names = ("keeper", "relay")
        yield (
            guard,
            {
                "guard": guard.pid,
                "runner": runner,
                "program": program[0],
                **dict(zip(names, others, strict=False)),
            },
        )
    except BaseException:
        guard.kill()  # it may be stopped, and the next tests want a clean kernel
        raise
    finally:
        if guard.poll() is None:
            guard.terminate()
        print(guard.communicate(timeout=_SECONDS)[1])


@pytest.mark.netns
def test_a_runs_record_goes_before_its_guard_has_to_do_anything(tmp_path: Path) -> None:
    """Where processors are busy the last thread of a killed guard may take long to die.

    The guard still has sockets of the run's namespace; its device goes with them.
    """
    groups = _groups()
    with _started() as (guard, processes):
        os.kill(guard.pid, signal.SIGSTOP)
        os.kill(processes["runner"], signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS
        while left := [each for each in _left(tmp_path, groups) if not each.startswith("rn")]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        os.kill(guard.pid, signal.SIGCONT)
    _wait_until_nothing_is_left(tmp_path, groups)


def _children(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    return sorted(map(int, path.read_text().split()))


def _is_program(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"sh\0-c")
    return False


def _wait_until_dead(process: int) -> None:
    deadline = time.monotonic() + _SECONDS
    with suppress(OSError):
        while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, process
            time.sleep(0.02)


def _wait_until_nothing_is_left(tmp_path: Path, groups: list[str]) -> None:
    deadline = time.monotonic() + _SECONDS
    while left := _left(tmp_path, groups):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.netns
@pytest.mark.parametrize(
    ("who", "number"),
    [
        ("guard", signal.SIGINT),
        ("guard", signal.SIGTERM),
        ("guard", signal.SIGKILL),
        ("runner", signal.SIGTERM),
        ("runner", signal.SIGKILL),
        ("keeper", signal.SIGKILL),
        ("relay", signal.SIGKILL),
        ("program", signal.SIGKILL),
    ],
)
def test_whatever_is_killed_nothing_is_left(
    who: str, number: signal.Signals, tmp_path: Path
) -> None:
    groups = _groups()
    with _started("--publish", "48082/udp") as (guard, processes):
        os.kill(processes[who], number)
        guard.wait(_SECONDS)
        _wait_until_nothing_is_left(tmp_path, groups)


@pytest.mark.netns
@pytest.mark.parametrize("what", ["uplink", "bridge"])
def test_a_device_that_somebody_deletes_ends_the_run_and_is_named(
    what: str, tmp_path: Path
) -> None:
    groups = _groups()
    with _started() as (guard, processes):
        if what == "uplink":
            (name,) = [each for _, each in socket.if_nameindex() if each.startswith("rn")]
            subprocess.run(["ip", "link", "del", name], check=True)
        else:
            enter = ["nsenter", f"--net=/proc/{processes['runner']}/ns/net"]
            subprocess.run([*enter, "ip", "link", "del", "br0"], check=True)
        assert guard.wait(_SECONDS) == 5
        assert guard.stderr is not None
        said = guard.stderr.read()
        assert "somebody has deleted" in said
        _wait_until_nothing_is_left(tmp_path, groups)


@pytest.mark.netns
def test_what_is_left_when_all_are_killed_at_once_the_next_start_clears(tmp_path: Path) -> None:
    groups = _groups()
    with _started() as (guard, processes):
        # Stopped first, so that none can clear up after another.
        for each in processes.values():
            os.kill(each, signal.SIGSTOP)
        for each in processes.values():
            # One dies with another: the kernel kills a child when its parent ends.
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        guard.wait(_SECONDS)
        for each in processes.values():
            _wait_until_dead(each)  # whose lock is free then
        done = _run("--policy", "none", "--", "true")
    assert "cleared up after a live run that was killed" in done.stderr
    assert done.returncode == 0
    _wait_until_nothing_is_left(tmp_path, groups)


@pytest.mark.netns
def test_many_runs_at_once_have_a_subnet_each(tmp_path: Path) -> None:
    groups = _groups()
    runs = [LiveRun(_SLEEPER, ["--policy", "tcp-only"]) for _ in range(count(sample=3, long=20))]
    with ExitStack() as stack:
        for each in runs:
            stack.enter_context(each)
        assert len({each.address for each in runs}) == len(runs)
    assert all(each.result["violations"] == 0 for each in runs)
    _wait_until_nothing_is_left(tmp_path, groups)


@pytest.mark.netns
def test_the_userspace_plug_keeps_20000_frames_a_second_without_loss() -> None:
    seconds = count(sample=2, long=10)
    options = ["--policy", "hold-all", "--interval", "40ms", "--pause", "0ms", "--json"]
    done = _run(*options, "--", sys.executable, "-c", _FLOOD, "20000", str(seconds))
    result = _result(done)
    sent = int(done.stdout.split("sent ")[1].split()[0])
    # A busy machine may not let the sender be as fast.
    assert sent > 5_000 * seconds
    assert (result["dropped"], result["violations"]) == (0, 0), result
    # And the ARP and ICMPv6 of the way.
    assert sent <= result["held"] <= sent + 40, result
    assert result["keeper"]["frames"] >= sent


@pytest.mark.netns
def test_what_bypasses_never_comes_to_the_userspace_plug() -> None:
    options = ["--policy", "tcp-only", "--interval", "40ms", "--json"]
    done = _run(*options, "--", sys.executable, "-c", _FLOOD, "2000", "1")
    result = _result(done)
    assert result["bypassed"] >= 1_000
    assert result["held"] == 0
    # A classifier that is not exact holds the few MLD reports of IPv6 too; nothing of the flood.
    assert result["keeper"]["frames"] <= 5


_COMMIT_WORDS = [
    "--policy",
    "hold-all",
    "--interval",
    "40ms",
    "--pause",
    f"{_PAUSE_MS}ms",
    "--json",
]


@pytest.mark.parametrize(
    ("plug", "seconds"),
    [
        pytest.param("kernel", 3, marks=pytest.mark.uml),
        pytest.param(
            "userspace",
            count(sample=3, long=600),
            marks=pytest.mark.netns(timeout=count(sample=120, long=900)),
        ),
    ],
)
def test_nothing_held_leaves_before_its_commit_at_40_ms(
    plug: str, seconds: int, tmp_path: Path
) -> None:
    """By its own count, and by the capture beside the times of the driver's orders."""
    files = ["--capture", str(tmp_path / "both.pcapng"), "--report", str(tmp_path / "report")]
    rate = 500
    flood = [sys.executable, "-c", _FLOOD, str(rate), str(seconds)]
    done = subprocess.run(
        [sys.executable, "-m", "remusnet", "run", *_COMMIT_WORDS, *files, "--", *flood],
        capture_output=True,
        text=True,
        timeout=2 * seconds + 90,
        check=False,
    )
    _see_no_commit_missed(_result(done), plug, rate * seconds, tmp_path)


@pytest.mark.kernel
@pytest.mark.long
def test_nothing_held_leaves_before_its_commit_in_ten_minutes_of_a_kernels_plug() -> None:
    """In a kernel of its own, with more memory.

    A process of UML has 65,530 pieces of memory at most (vm.max_map_count), often a page each: what
    says at the end what 300,000 frames did found no more.
    """
    seconds, rate = 600, 150
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)  # the kernel has the rights of nobody
        (folder / "flood.py").write_text(_FLOOD)
        words = [
            *_COMMIT_WORDS,
            "--capture",
            f"{folder}/both.pcapng",
            "--report",
            f"{folder}/report",
        ]
        run = shlex.join([sys.executable, "-m", "remusnet", "run", *words, "--"])
        inside = "mount -t tmpfs none /mnt && REMUSNET_RUN_DIR=/mnt/run exec " + run
        inside += shlex.join(["", sys.executable, f"{folder}/flood.py", str(rate), str(seconds)])
        lab = [sys.executable, "-m", "remusnet", "lab", "exec", "--mem", "1G", "--dir", name]
        done = subprocess.run(
            [*lab, "--", "sh", "-c", inside],
            capture_output=True,
            text=True,
            timeout=2 * seconds + 90,
            check=False,
        )
        _see_no_commit_missed(_result(done), "kernel", rate * seconds, folder)


def _see_no_commit_missed(result: dict[str, Any], plug: str, asked: int, folder: Path) -> None:
    seen, early = _early(folder / "both.pcapng", folder / "report/epochs.csv")
    told = {key: result[key] for key in ("plug", "epochs", "held", "dropped", "violations")}
    print(f"{told}; {seen} seen to leave, {early} of them before their commit")
    assert result["plug"] == plug
    # A UML kernel sends less than it is asked to.
    assert result["held"] > (0.6 if plug == "userspace" else 0.2) * asked
    assert (result["violations"], early) == (0, 0)
    assert seen > 0.95 * result["held"]


def _early(capture: Path, epochs: Path) -> tuple[int, int]:
    """Datagrams of the flood that left, and those of them that did before their epoch's commit.

    Nothing of remusnet reads here. The program stands for the pause at least, some time after the
    driver has begun to suspend it: what came to the vif before the pause could be over was sent
    before, and may leave at this commit.
    """
    lines = epochs.read_text().splitlines()[1:]
    times = [tuple(map(int, line.split(",")[1:])) for line in lines]
    ends = [suspend_ns + _PAUSE_MS * 1_000_000 for suspend_ns, _ in times]
    came: dict[bytes, int] = {}
    seen = early = 0
    about: Any  # scapy has types for pcap alone
    with RawPcapNgReader(str(capture)) as reader:
        for data, about in reader:
            time_ns = (about.tshigh << 32) | about.tslow
            if data[12:14] != b"\x08\x00" or data[23] != socket.IPPROTO_UDP or len(data) != 214:
                continue
            if about.ifname == b"vif1.0":
                came[data[-172:]] = time_ns
            if about.ifname != b"uplink" or about.direction != _OUTBOUND:
                continue
            epoch = bisect_left(ends, came[data[-172:]])
            seen += 1
            early += epoch == len(times) or time_ns < times[epoch][1]
    return seen, early


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
        out, said = run.communicate(timeout=_SECONDS)
        print(said)
        shutil.rmtree(folder)
    result = json.loads(out.splitlines()[-1])
    assert result["held"] > 0, said
    assert result["violations"] == 0

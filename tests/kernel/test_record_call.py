"""scripts/record-call places a real call, and takes away all that it made, however it ends."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.kernel.lab.wait import wait_until

RECORD_CALL = Path(__file__).parents[2] / "scripts" / "record-call"

# What ends at once, ends late on a busy machine; the call would take 30 s.
LONGEST = 20

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.needs("sipp", "tcpdump"),
]


def start(seconds: int, out: Path, temporary: Path) -> subprocess.Popen[str]:
    """A recording whose temporary files, and so the arguments of its processes, tell it apart."""
    temporary.mkdir()
    return subprocess.Popen(
        [RECORD_CALL, "--seconds", str(seconds), "--out", out],
        env={"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def devices() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def processes_of(temporary: Path) -> list[bytes]:
    """The command lines that name a file in ``temporary``."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes()
        except OSError:  # it has ended since
            continue
        if bytes(temporary) in line:
            found.append(line)
    return found


def wait_until_gone(temporary: Path) -> None:
    wait_until(lambda: not processes_of(temporary), f"no process of {temporary}", LONGEST)


def test_a_call_is_recorded_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """50 packets a second each way, told apart by their SSRC."""
    out, temporary, before = tmp_path / "out.pcap", tmp_path / "work", devices()
    run = start(2, out, temporary)
    _, said = run.communicate()
    assert said == "the call takes 2 seconds\n"
    assert run.returncode == 0
    capture = out.read_bytes()
    assert capture.count(bytes.fromhex("600d0001")) == 100
    assert capture.count(bytes.fromhex("c11e0002")) == 100
    assert capture.count(b"CSeq: 3 BYE\r\n") == 2  # the request and the answer
    wait_until_gone(temporary)
    assert list(temporary.iterdir()) == []
    assert devices() == before


@pytest.mark.parametrize(
    ("by", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 143),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_a_call_that_is_ended_early_leaves_nothing_running(
    tmp_path: Path, by: signal.Signals, code: int
) -> None:
    out, temporary, before = tmp_path / "out.pcap", tmp_path / "work", devices()
    run = start(30, out, temporary)
    assert run.stderr is not None
    assert run.stderr.readline() == "the call takes 30 seconds\n"
    # The second sipp, which calls the first.
    wait_until(
        lambda: any(b"client.xml" in line for line in processes_of(temporary)), "a call", LONGEST
    )
    run.send_signal(by)
    assert run.wait(timeout=LONGEST) == code
    assert run.stderr.read() == ""
    run.stderr.close()
    if by == signal.SIGKILL:  # nobody is left to wait for the others, or to remove the folder
        wait_until_gone(temporary)
    else:
        assert processes_of(temporary) == []
        assert list(temporary.iterdir()) == []
    assert devices() == before
    assert not out.exists()

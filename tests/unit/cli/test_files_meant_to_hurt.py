"""Small files that would fill the memory, or keep remusnet busy: refused, in one line, at once.

Each runs in a process of its own, whose processor time and memory the kernel counts: 2 s and
300 MB at most. The clock on the wall says nothing on a busy machine.
"""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_SECONDS, MOST_BYTES = 2.0, 300_000_000
PCAP = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
INTERFACE = struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20)
UNKNOWN = struct.pack("<III", 5, 12, 12)


def enhanced(interface: int) -> bytes:
    """A block of no bytes."""
    return struct.pack("<8I", 6, 32, interface, 0, 0, 0, 0, 32)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took: processor seconds, bytes, and seconds on the wall."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    bytes: int
    wall: float


# The kernel's own maximum (ru_maxrss) begins with that of the process that starts another.
_COUNTED = """
import os, re, resource, sys
from pathlib import Path
from remusnet.cli.main import main
try:
    main(sys.argv[1:])
finally:
    own = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    most = max(own, used[1].ru_maxrss * 1024)
    seconds = sum(each.ru_utime + each.ru_stime for each in used)
    os.write(2, f"\\ncost {seconds} {most}".encode())
"""


def cost(*words: str) -> Cost:
    """Runs ``remusnet WORDS``."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _COUNTED, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    said, _, counted = done.stderr.rpartition("\ncost ")
    seconds, most = counted.split()
    wall = time.monotonic() - begun
    return Cost(done.returncode, done.stdout, said, float(seconds), int(most), wall)


def refused(found: Cost, problem: str) -> None:
    """It is, in one line that says what."""
    assert found.code == 2, found
    assert found.stderr.startswith("remusnet: error: "), found
    assert found.stderr.count("\n") == 1, found
    assert problem in found.stderr
    assert found.stdout == ""
    assert found.seconds <= MOST_SECONDS
    assert found.bytes <= MOST_BYTES


CAPTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "gzip of empty records": (
        lambda: gzip.compress(PCAP + struct.pack("<IIII", 1, 1, 0, 0) * 4_100_000, mtime=0),
        "inflates to more than 250 times its size",
    ),
    "gzip of small frames": (
        lambda: gzip.compress(PCAP + (struct.pack("<IIII", 1, 1, 14, 14) + bytes(14)) * 1_000_000),
        "inflates to more than 250 times its size",
    ),
    "empty records": (
        lambda: PCAP + struct.pack("<IIII", 1, 1, 0, 0) * 4_000_000,
        "have 0.0 bytes on average, less than an Ethernet header",
    ),
    "empty sections": (lambda: SECTION * 300_000, "has more than 5000 sections"),
    "sections of one frame": (
        lambda: (SECTION + INTERFACE + enhanced(0)) * 100_000,
        "has more than 5000 sections",
    ),
    "interfaces": (lambda: SECTION + INTERFACE * 400_000, "has more than 5000 interfaces"),
    "blocks without frames": (lambda: SECTION + UNKNOWN * 3_000_000, "blocks without frames"),
    "empty blocks": (
        lambda: SECTION + INTERFACE + enhanced(0) * 500_000,
        "less than an Ethernet header",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_that_is_meant_to_hurt_is_refused(name: str, tmp_path: Path) -> None:
    make, problem = CAPTURES[name]
    path = tmp_path / "capture"
    path.write_bytes(make())
    refused(cost("classify", str(path)), problem)


def test_each_of_thousands_of_interfaces_costs_little(tmp_path: Path) -> None:
    """A capture may have them: they are read, and not in the time of frames times interfaces."""
    path = tmp_path / "capture"
    frames = b"".join(enhanced(number % 5000) for number in range(60_000))
    path.write_bytes(SECTION + INTERFACE * 5000 + frames)
    found = cost("classify", str(path))
    assert (found.code, "60000 frames held" in found.stdout) == (0, True)
    assert found.seconds <= MOST_SECONDS + 1  # most of it is judging odd frames, one by one


SCENARIOS = {
    "calls": ("[[calls]]\ncount = 65536\n" * 200, "calls: 13107200 calls in all groups"),
    "connections": ("[[tcp]]\ncount = 10000\n" * 500, "5000000 of them in all groups"),
    "packets": (
        "[[tcp]]\ncount = 10000\nexchanges = 100000\nresponse = '1GB'\n",
        "packets in all groups; expected at most 1073741824",
    ),
    "tunnels": ("[[tunnels]]\nkind = 'gre'\nspacing = '1ms'\n" * 900, "packets in all groups"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_of_many_groups_is_refused(name: str, tmp_path: Path) -> None:
    groups, problem = SCENARIOS[name]
    path = tmp_path / "many.toml"
    path.write_text(f'name = "many"\nduration = "30min"\n{groups}', encoding="utf-8")
    refused(cost("simulate", str(path)), problem)


TEMPLATES = {
    "a loop": (
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "the templates: takes more than 1 s",
    ),
    "a power": ("{{ 10 ** (10 ** 10) }}", "the templates: takes more than 1 s"),
    "a product": ("{{ 'x' * 10 ** 10 }}", "the templates: takes more than 192 MiB of memory"),
    "a width": ("{{ '%999999999d' | format(1) }}", "takes more than 192 MiB of memory"),
    "an output": (
        "{% for i in range(80) %}{{ 'x' * 10 ** 6 }}{% endfor %}",
        "the templates: ",  # of output or memory, whichever comes first
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_loops_or_grows_is_ended(name: str, tmp_path: Path) -> None:
    text, problem = TEMPLATES[name]
    (tmp_path / "plan.sh.j2").write_text(text, encoding="utf-8")
    refused(cost("plan", "vif1.0", "--templates", str(tmp_path)), problem)


def test_a_template_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plan.sh.j2")
    found = cost("plan", "vif1.0", "--templates", str(tmp_path))
    refused(found, "plan.sh.j2': not a file")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("classify",),
        ("simulate", "--capture"),
        ("simulate",),
        ("plan", "vif1.0", "--policy"),
        ("policy", "show"),
    ],
    ids=" ".join,
)
def test_a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "pipe.toml"
    os.mkfifo(path)
    found = cost(*words, str(path))
    refused(found, "a named pipe that nobody writes to (for 1.0 s)")
    assert found.wall < 30


def test_a_terminal_that_nobody_types_at_is_refused() -> None:
    ours, theirs = os.openpty()
    try:
        found = cost("classify", os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)
    refused(found, "a device that has nothing to read")

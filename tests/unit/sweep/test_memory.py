"""However many points a sweep has, it keeps their numbers and nothing else of them."""

from __future__ import annotations

from pathlib import Path

from remusnet.api.sweeps import Sweep, sweep
from remusnet.policy import PRESETS
from remusnet.sweep.grid import logarithmic
from tests.lib.long import count

MS = 1_000_000
CALL = """
name = "ten-calls"
duration = "{seconds}s"
[checkpoint]
pause = "10ms"
[[calls]]
count = 10
drift-ppm = 40
"""
MOST_MB = 8
"""By which memory may grow: an allocator's pieces, and some hundred bytes for each number. Kept
simulations would be several times that: each has some 10,000 frames."""


def resident_mb(pid: str) -> float:
    """What of the process is in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def children(pid: str) -> list[str]:
    """The processes that this one has started."""
    found: list[str] = []
    for each in Path(f"/proc/{pid}/task").iterdir():
        found += (each / "children").read_text().split()
    return found


def workers() -> list[str]:
    """Those of the server that this process has started."""
    servers = [
        pid
        for pid in children("self")
        if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return [pid for server in servers for pid in children(server)]


def test_memory_is_as_flat_after_all_points_as_after_a_tenth(tmp_path: Path) -> None:
    call = tmp_path / "call.toml"
    call.write_text(CALL.format(seconds=count(sample=10, long=60)), encoding="utf-8")
    wanted = Sweep(
        str(call),
        logarithmic(50 * MS, 1000 * MS, count(sample=120, long=1000)),
        (PRESETS["tcp-only"],),
    )
    points = len(wanted.interval_ns)
    seen: list[dict[str, float]] = []

    def tell(done: int, _: int) -> None:
        if done in (points // 10, points):
            # The largest worker: early on, another may still be importing.
            largest = max(map(resident_mb, workers()))
            seen.append({"parent": resident_mb("self"), "largest worker": largest})
            print(f"{done} of {points} points, MB: {seen[-1]}")

    sweep(wanted, workers=2, tell=tell)
    early, late = seen
    for process, mb in late.items():
        assert mb < early[process] + MOST_MB, process

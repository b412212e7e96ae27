"""Output commit, judged from what a user can see: the capture, ``--out`` and the JSON's epochs.

Nothing of remusnet is used but the command itself. The captures are read with a few lines of
struct, frames are found again in ``--out`` by their bytes, and what is held is told by own rules.
"""

from __future__ import annotations

import json
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remusnet import capture
from remusnet.emulator.machine import epochs
from remusnet.emulator.machine.epochs import Checkpoints
from remusnet.frames import Bools, Int64s
from tests.lib.program import runner
from tests.unit.emulator.recorded import GUEST, call

RECORDED = Path(__file__).parents[1] / "data" / "call.pcap"

Record = tuple[int, bytes]
"""Time in ns, and the frame."""


def is_tcp(frame: bytes) -> bool:
    return is_ipv4(frame) and frame[23] == 6


def is_ipv4(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00"


def is_held(policy: str, frame: bytes) -> bool:
    """What the shipped policies hold of the frames in these captures: IPv4 and ARP."""
    rtp = is_ipv4(frame) and frame[23] == 17 and frame[42] == 0x80
    return {
        "tcp-only": is_tcp(frame),
        "real-time": is_ipv4(frame) and not rtp,
        "hold-all": True,
        "stock-remus": is_ipv4(frame),
    }[policy]


def records(path: Path) -> list[Record]:
    """The frames of a little-endian pcap."""
    data = path.read_bytes()
    unit = {0xA1B23C4D: 1, 0xA1B2C3D4: 1000}[struct.unpack_from("<I", data)[0]]
    found, at = [], 24
    while at < len(data):
        seconds, fraction, size, _ = struct.unpack_from("<IIII", data, at)
        found.append((seconds * 10**9 + fraction * unit, data[at + 16 : at + 16 + size]))
        at += 16 + size
    return found


@dataclass(frozen=True)
class Seen:
    """What is to be seen of one run."""

    policy: str
    before: list[Record]
    after: list[Record]
    run: dict[str, Any]

    def pairs(self) -> Iterator[tuple[bytes, int, int]]:
        """(frame, recorded, left). Of equal frames the first one to come is the first to leave."""
        left = defaultdict(list)
        for time_ns, frame in self.after:
            left[frame].append(time_ns)
        for frame, times in self.by_bytes().items():
            assert len(left[frame]) == len(times), "nothing is dropped here, nothing added"
            for recorded, released in zip(times, sorted(left[frame]), strict=True):
                yield frame, recorded, released

    def by_bytes(self) -> dict[bytes, list[int]]:
        times = defaultdict(list)
        for time_ns, frame in sorted(self.before, key=lambda record: record[0]):
            times[frame].append(time_ns)
        return times

    def held(self) -> list[tuple[int, int]]:
        """(recorded, left) of what the guest sent and the policy holds."""
        return [
            (recorded, left)
            for frame, recorded, left in self.pairs()
            if frame[6:9] == GUEST[:3] and is_held(self.policy, frame)
        ]

    def early(self) -> int:
        """Held frames that left before the commit of their epoch."""
        suspends = [epoch["suspend_ns"] for epoch in self.run["epochs"]]
        commits = [epoch["commit_ns"] for epoch in self.run["epochs"]]
        return sum(
            left < commits[bisect_right(suspends, recorded)] for recorded, left in self.held()
        )


Simulate = Callable[..., dict[str, Seen]]


@pytest.fixture
def simulate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Simulate:
    def run(source: Path, *options: str) -> dict[str, Seen]:
        out = tmp_path / "out.pcap"
        simulate = runner(capsys, "simulate", "--json", "--out", out)
        code, printed, err = simulate("--capture", source, *options)
        assert code == 0, err
        runs = {run["policy"]: run for run in json.loads(printed)["runs"]}
        before = records(source)
        return {
            policy: Seen(policy, before, records(tmp_path / f"out-{policy}.pcap"), run)
            for policy, run in runs.items()
        }

    return run


@pytest.fixture(params=["recorded", "synthetic"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The recorded call, and one whose frames fall exactly on suspends and commits."""
    if request.param == "recorded":
        return RECORDED
    path = tmp_path / "call.pcap"
    capture.write(path, call(500, first_ns=0))
    return path


TIMES = {
    "typical": ("--interval", "400ms"),
    "without pause or delay": ("--interval", "400ms", "--pause", "0", "--commit-delay", "0"),
    "commits late": ("--interval", "200ms", "--pause", "20ms", "--commit-delay", "180ms"),
    "xend, always busy": (
        *("--schedule", "xend", "--interval", "40ms"),
        *("--pause", "60ms", "--commit-delay", "60ms"),
    ),
}


@pytest.mark.parametrize("times", TIMES)
def test_nothing_held_leaves_before_the_commit_of_its_epoch(
    simulate: Simulate, source: Path, times: str
) -> None:
    found = simulate(source, *TIMES[times])
    assert set(found) == {"tcp-only", "real-time", "hold-all", "stock-remus"}
    for seen in found.values():
        assert seen.early() == 0
        counts = seen.run["output_commit"]
        assert counts["held"] == len(seen.held()) > 0
        assert (counts["dropped"], counts["violations"]) == (0, 0)
        sent = sum(frame[6:9] == GUEST[:3] for _, frame in seen.before)
        assert counts["held"] + counts["bypassed"] == sent


def test_what_is_not_held_is_delayed_by_pauses_only(simulate: Simulate, source: Path) -> None:
    found = simulate(source, "--interval", "400ms", "--pause", "50ms")
    assert set(found) == {"tcp-only", "real-time", "hold-all", "stock-remus"}
    for seen in found.values():
        late = {
            left - recorded
            for frame, recorded, left in seen.pairs()
            if not (frame[6:9] == GUEST[:3] and is_held(seen.policy, frame))
        }
        assert all(0 <= each <= 50_000_000 for each in late)


def test_one_frame_of_out_moved_forward_by_a_nanosecond_is_found(simulate: Simulate) -> None:
    seen = simulate(RECORDED, "--interval", "400ms")["hold-all"]
    commits = {epoch["commit_ns"] for epoch in seen.run["epochs"]}
    released = [
        number
        for number, (time_ns, frame) in enumerate(seen.after)
        if time_ns in commits and frame[6:9] == GUEST[:3]
    ]
    for number in (released[0], released[len(released) // 2], released[-1]):
        after = list(seen.after)
        time_ns, frame = after[number]
        after[number] = (time_ns - 1, frame)
        assert Seen(seen.policy, seen.before, after, seen.run).early() == 1


def test_a_buffer_that_releases_one_epoch_early_is_found_out_twice(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By this test, and by the count that ``simulate`` itself prints."""
    right = epochs.depart_within

    def wrong(
        due_ns: Int64s,
        length: Int64s,
        hold: Bools,
        checkpoints: Checkpoints,
        limit: int,
    ) -> tuple[Int64s, Int64s, Bools]:
        sent_ns, leaves_ns, dropped = right(due_ns, length, hold, checkpoints, limit)
        early = hold & (leaves_ns == checkpoints.commit_ns[3])
        return sent_ns, leaves_ns - early, dropped  # a nanosecond

    monkeypatch.setattr(epochs, "depart_within", wrong)
    seen = simulate(RECORDED, "--interval", "400ms")["hold-all"]
    # 455 ms of the guest's RTP, and its SIP if there was any.
    assert seen.early() == seen.run["output_commit"]["violations"] >= 22

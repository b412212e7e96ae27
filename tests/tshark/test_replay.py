"""What left the buffer, judged by tshark: the recorded call, and every ``--out`` of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remusnet.policy import PRESETS
from tests.lib.program import runner
from tests.tshark.conftest import Tshark

pytestmark = pytest.mark.tshark

RECORDED = Path(__file__).parents[1] / "data" / "call.pcap"
TIMES = {
    "a pause": ("--interval", "400ms", "--pause", "50ms", "--commit-delay", "5ms"),
    "no pause": ("--interval", "400ms", "--pause", "0ms", "--commit-delay", "0ms"),
    # About 20 RTP packets: some of each epoch are lost.
    "a plug that is too small": ("--interval", "400ms", "--limit", "4280"),
}


@dataclass(frozen=True)
class Row:
    """A stream in tshark's table; jitter in ms, with three digits."""

    packets: int
    lost: int
    mean: float
    max: float


Table = Callable[[Path], dict[str, Row]]


@pytest.fixture
def table(tshark: Tshark) -> Table:
    """tshark's RTP statistics of a capture, by SSRC."""
    # ... SSRC, payload (words), packets, lost (percent), three deltas, three jitters, problems
    line = re.compile(
        r" 0x([0-9A-F]{8}) .*? ([0-9]+) +(-?[0-9]+) \([-0-9.]+%\)(?: +[-0-9.]+){4}"
        r" +([0-9.]+) +([0-9.]+)"
    )

    def rows(path: Path) -> dict[str, Row]:
        printed = tshark("-q", "--enable-heuristic", "rtp_udp", "-z", "rtp,streams", "-r", path)
        return {
            f"0x{found[1].lower()}": Row(
                int(found[2]), int(found[3]), float(found[4]), float(found[5])
            )
            for found in line.finditer(printed)
        }

    return rows


def simulated(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """The runs of ``simulate --json`` on the recorded call, by policy."""
    code, out, _ = runner(capsys, "simulate", "--capture", RECORDED, "--json")(*options)
    assert code == 0
    return {run["policy"]: run for run in json.loads(out)["runs"]}


def assert_same(streams: list[dict[str, Any]], rows: dict[str, Row]) -> None:
    assert len(streams) == len(rows) == 2
    for stream in streams:
        row = rows[stream["ssrc"]]
        assert (stream["packets"], stream["lost"]) == (row.packets, row.lost)
        for ours, theirs in zip(stream["jitter_ms"].values(), (row.mean, row.max), strict=True):
            # tshark prints three digits, and computes in doubles of seconds.
            assert ours == pytest.approx(theirs, rel=0.01, abs=0.002)


@pytest.mark.parametrize("times", TIMES)
def test_every_out_has_the_streams_that_simulate_reports(
    capsys: pytest.CaptureFixture[str], table: Table, tmp_path: Path, times: str
) -> None:
    runs = simulated(capsys, "--out", str(tmp_path / "out.pcap"), *TIMES[times])
    for policy in PRESETS:
        assert_same(runs[policy]["streams"], table(tmp_path / f"out-{policy}.pcap"))


def test_the_loss_of_a_plug_that_is_too_small_is_seen_by_both(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """So that the comparison above is not one of zeros."""
    run = simulated(capsys, *TIMES["a plug that is too small"])["hold-all"]
    assert max(stream["lost"] for stream in run["streams"]) > 100


def test_without_a_pause_tcp_only_leaves_rtp_as_tshark_sees_it_in_the_recording(
    capsys: pytest.CaptureFixture[str], table: Table
) -> None:
    run = simulated(capsys, *TIMES["no pause"])["tcp-only"]
    assert_same(run["streams"], table(RECORDED))

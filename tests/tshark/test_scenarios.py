"""What arrived in fig8 to fig12, judged by tshark."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.lib.program import runner
from tests.tshark.conftest import Tshark

pytestmark = pytest.mark.tshark

# ... SSRC, payload (words), packets, lost (percent), three deltas, three jitters, problems
LINE = re.compile(
    r" 0x([0-9A-F]{8}) .*? ([0-9]+) +(-?[0-9]+) \([-0-9.]+%\)(?: +[-0-9.]+){4}"
    r" +([0-9.]+) +([0-9.]+)"
)

SIP_OVER_EVERYTHING = """
name = "sip"
duration = "20s"
[checkpoint]
period = "400ms"
[[calls]]
[[sip]]
register = true
[[sip]]
transport = "tcp"
[[tcp]]
kind = "bulk"
response = 50000
[[dns]]
[[icmp]]
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    code, out, _ = runner(capsys, "simulate", "--json")(*arguments)
    assert code == 0
    return json.loads(out)


@pytest.mark.parametrize("name", ["fig8", "fig9", "fig10", "fig11", "fig12", "fig12-frozen"])
def test_tshark_sees_the_streams_that_simulate_reports(
    capsys: pytest.CaptureFixture[str], tshark: Tshark, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out.pcap"
    (found,) = run(capsys, name, "--out", out)["runs"]
    printed = tshark("-q", "--enable-heuristic", "rtp_udp", "-z", "rtp,streams", "-r", out)
    rows = {f"0x{row[1].lower()}": row for row in LINE.finditer(printed)}
    assert rows.keys() == {stream["ssrc"] for stream in found["streams"]}
    for stream in found["streams"]:
        row = rows[stream["ssrc"]]
        assert (stream["packets"], stream["lost"]) == (int(row[2]), int(row[3]))
        # tshark prints three digits, and computes in doubles of seconds.
        assert stream["jitter_ms"]["mean"] == pytest.approx(float(row[4]), rel=0.01, abs=0.002)
        assert stream["jitter_ms"]["max"] == pytest.approx(float(row[5]), rel=0.01, abs=0.002)


def test_tshark_finds_no_fault_with_any_protocol(
    capsys: pytest.CaptureFixture[str], tshark: Tshark, tmp_path: Path
) -> None:
    """Checksums are right, and nothing is malformed."""
    file = tmp_path / "sip.toml"
    file.write_text(SIP_OVER_EVERYTHING)
    out = tmp_path / "out.pcap"
    run(capsys, file, "--policy", "real-time", "--out", out)
    checks = [f"-o{each}.check_checksum:TRUE" for each in ("ip", "tcp", "udp")]
    bad = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 "
    bad += "|| udp.checksum.status == 0 || icmp.checksum.status == 0"
    assert tshark(*checks, "-r", out, "-Y", bad) == ""
    for shown, least in (("sip.Method == INVITE", 2), ("dns.flags.response == 1", 1)):
        assert len(tshark("-r", out, "-Y", shown).splitlines()) >= least
    # A capture at both ends of the network has all that was sent, in TCP's order.
    assert tshark("-r", out, "-Y", "tcp.analysis.ack_lost_segment") == ""

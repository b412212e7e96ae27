"""``scripts/live-table``: which stream is the phone's, and what counts as close."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.live.__main__ import Row, _jitter, _tshark_rows
from scripts.live.phones import PHONE

PRINTED = """\
========================= RTP Streams ========================
   Start time      End time     Src IP addr  Port    Dest IP addr  Port       SSRC          Payload
     1.563330     21.541012       10.77.0.1 41114       10.77.0.2  4210 0xF657509D       g711U \
  957         0 (0.0%)          14.131          20.000          24.131           0.000           \
1.154           1.518
     1.562900     21.540912       10.77.0.2  4210       10.77.0.1 41114 0x18FCF1FF       g711U \
  993        -1 (-0.1%)          0.007          20.000          51.081           0.008           \
4.348           6.370 X
==============================================================
"""


def stream(flow: str, mean: float | None) -> dict[str, Any]:
    return {"flow": flow, "jitter_ms": {"mean": mean, "max": mean}}


def test_of_two_directions_the_phones_own_counts() -> None:
    there, back = f"udp {PHONE}:4210 > 10.77.0.1:41114", f"udp 10.77.0.1:41114 > {PHONE}:4210"
    assert _jitter([stream(back, 1.15), stream(there, 4.35)]) == 4.35
    assert _jitter([stream(back, 1.15)]) is None
    assert _tshark_rows(PRINTED) == [("10.77.0.1", 957, 1.154), (PHONE, 993, 4.348)]


@pytest.mark.parametrize(
    ("policy", "tshark", "simulated", "close"),
    [
        ("none", 0.9, None, True),
        ("none", None, None, False),
        ("hold-all", 34.0, 36.0, True),
        ("hold-all", 30.0, 36.0, False),
        ("hold-all", None, 36.0, False),
        ("hold-all", 36.0, None, False),
    ],
)
def test_a_row_is_close_within_15_percent_of_its_prediction(
    policy: str, tshark: float | None, simulated: float | None, *, close: bool
) -> None:
    assert Row(policy, "userspace", 1000, tshark, tshark, simulated).is_close is close

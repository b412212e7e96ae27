"""A sample of frames with comments: our own reader, and tshark, read what was written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from remusnet import capture
from remusnet.capture.commented import write_commented
from remusnet.errors import InvalidInput
from tests.kernel.lab.protection import ARP_FRAME, TCP_FRAME

FRAMES = [
    (1_700_000_000_123_456_789, TCP_FRAME, "hold by tcp (matches); released after 83.1 ms"),
    (1_700_000_000_123_456_790, ARP_FRAME, "bypass by default (no rule matches); bypassed"),
    (1_700_000_000_123_456_791, ARP_FRAME[:15], ""),
]


def frames_of(found: capture.Capture) -> list[bytes]:
    return [found.frames.frame(index) for index in range(len(found.frames))]


def test_our_own_reader_finds_every_byte_and_nanosecond(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    write_commented(path, "vif1.0", FRAMES)
    found = capture.read(path)
    assert not found.warnings
    assert frames_of(found) == [frame for _, frame, _ in FRAMES]
    assert found.frames.time_ns.tolist() == [time_ns for time_ns, _, _ in FRAMES]


@pytest.mark.tshark
@pytest.mark.needs("tshark")
def test_tshark_shows_the_comments_and_the_vif(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    write_commented(path, "vif1.0", FRAMES)
    fields = ("frame.comment", "frame.time_epoch", "frame.interface_name")
    words = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split("\t") for line in done.stdout.splitlines()] == [
        [comment, f"{time_ns // 10**9}.{time_ns % 10**9:09}", "vif1.0"]
        for time_ns, _, comment in FRAMES
    ]


def test_a_comment_is_cut_to_what_an_option_can_have(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    write_commented(path, "vif1.0", [(1, ARP_FRAME, "ü" * 100_000)])
    assert frames_of(capture.read(path)) == [ARP_FRAME]


def test_an_unwritable_path_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot write to"):
        write_commented(tmp_path / "none" / "trace.pcapng", "vif1.0", FRAMES)

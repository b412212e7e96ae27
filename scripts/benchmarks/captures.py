"""Judging and replaying a large capture, against tshark's RTP statistics on the same file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from remusnet.capture import read, write
from remusnet.frames import Frames
from scripts.benchmarks.ratio import Ratio

CALL = Path(__file__).parents[2] / "tests" / "data" / "call.pcap"
FRAMES = 150_000


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """The recorded call, repeated to 150,000 frames; all three are whole commands."""
    with TemporaryDirectory() as folder:
        capture = Path(folder, "large.pcap")
        write(capture, repeated(read(CALL).frames, FRAMES))
        than = "tshark -z rtp,streams"
        heuristic = ("--enable-heuristic", "rtp_udp")
        theirs = _command("tshark", "-r", capture, "-q", *heuristic, "-z", "rtp,streams")
        judge = _remusnet("classify", capture)
        replay = _remusnet("simulate", "--capture", capture, "--policy", "tcp-only")
        yield [
            Ratio(f"classify {FRAMES:,} frames", than, 1, judge, theirs),
            Ratio(f"replay {FRAMES:,} frames", than, 1, replay, theirs),
        ]


def repeated(frames: Frames, count: int) -> Frames:
    """``frames`` again and again, one pass after the other in time, ``count`` in all."""
    index = np.arange(count) % len(frames)
    passes = np.arange(count) // len(frames)
    length = frames.time_ns.max() - frames.time_ns.min() + 20_000_000
    again = frames.take(index)
    return again.at(again.time_ns + passes * length)


def _remusnet(*arguments: str | Path) -> Callable[[], None]:
    return _command(sys.executable, "-m", "remusnet", *arguments)


def _command(*arguments: str | Path) -> Callable[[], None]:
    def run() -> None:
        subprocess.run(arguments, check=True, capture_output=True)

    return run

"""Writing: what was written is what is read, by remusnet and by scapy; all of it or nothing."""

from __future__ import annotations

import io
import os
import stat
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapReader

from remusnet import capture
from remusnet.capture import writer
from remusnet.errors import InvalidInput
from remusnet.frames import Frames

NS = 1_000_000_000
CALL = Frames.of([b"abcd", b"", b"ef"], [5 * NS + 7, 3, 4 * NS], [60, 0, 2])


def rows(frames: Frames) -> list[tuple[bytes, int, int]]:
    """Bytes, length on the wire, time of each frame."""
    return [
        (frames.frame(i), int(frames.length[i]), int(frames.time_ns[i])) for i in range(len(frames))
    ]


@given(
    records=st.lists(
        st.tuples(st.binary(max_size=40), st.integers(0, 2000), st.integers(0, 2**32 * NS - 1)),
        max_size=30,
    ),
    chance=st.randoms(use_true_random=False),
)
def test_written_frames_are_read_back_by_remusnet_and_by_scapy(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[bytes, int, int]],
    chance: Random,
) -> None:
    """In any order of the data, and with frames that are written more than once."""
    frames = Frames.of(
        [frame for frame, _, _ in records],
        [time for _, _, time in records],
        [len(frame) + cut for frame, cut, _ in records],
    )
    picked = chance.choices(range(len(records)), k=len(records)) if records else []
    frames = frames.take(np.array(picked, np.int64))
    # hypothesis refuses tmp_path, which all examples would share; here that does no harm.
    path = tmp_path_factory.getbasetemp() / "round-trip.pcap"
    capture.write(path, frames)

    call = capture.read(path)
    assert call.warnings == ()
    assert rows(call.frames) == rows(frames)
    with closing(RawPcapReader(str(path))) as reader:  # scapy 2.5's is no context manager
        assert reader.nano
        assert reader.linktype == 1
        assert reader.snaplen == 262_144
        read = [(frame, meta.wirelen, meta.sec * NS + meta.usec) for frame, meta in reader]
    assert read == rows(frames)


def test_no_frames_are_a_capture_too(tmp_path: Path) -> None:
    capture.write(tmp_path / "none", Frames.of([]))
    assert len(capture.read(tmp_path / "none").frames) == 0


def test_a_dash_is_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture.write(tmp_path / "call", CALL)
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
    capture.write("-", CALL)
    assert output.getvalue() == (tmp_path / "call").read_bytes()


def test_standard_output_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(InvalidInput, match="cannot write to standard output: it is closed"):
        capture.write("-", CALL)


def test_standard_output_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", buffering=1) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(InvalidInput, match="cannot write to standard output: Broken pipe"):
            capture.write("-", Frames.of([bytes(100_000)]))
        # What the pipe's buffer still has must go somewhere when it is closed.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), writing)


@pytest.mark.parametrize("time_ns", [-1, -(2**63), 2**32 * NS, 2**63 - 1])
def test_a_time_that_pcap_cannot_hold_is_refused(time_ns: int, tmp_path: Path) -> None:
    frames = Frames.of([b"a", b"b"], [0, time_ns])
    with pytest.raises(InvalidInput, match=r"out': frame 2 is not between 1970 and 2106"):
        capture.write(tmp_path / "out", frames)
    assert list(tmp_path.iterdir()) == []


def test_the_last_time_that_pcap_can_hold_is_written(tmp_path: Path) -> None:
    capture.write(tmp_path / "out", Frames.of([b"a"], [2**32 * NS - 1]))
    assert capture.read(tmp_path / "out").frames.time_ns.tolist() == [2**32 * NS - 1]


def test_a_frame_that_no_reader_would_take_is_refused(tmp_path: Path) -> None:
    capture.write(tmp_path / "out", Frames.of([bytes(262_144)]))
    with pytest.raises(InvalidInput, match="frame 1 has more than 262144 bytes"):
        capture.write(tmp_path / "out", Frames.of([bytes(262_145)]))
    with pytest.raises(InvalidInput, match="frame 1 had more than 4294967295 bytes"):
        capture.write(tmp_path / "out", Frames.of([b"a"], length=[2**32]))


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def full(_: Frames) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_records", full)
    with pytest.raises(InvalidInput, match=r"cannot write to '.*out': No space left on device"):
        capture.write(path, CALL)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Frames) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_records", interrupted)
    with pytest.raises(KeyboardInterrupt):
        capture.write(tmp_path / "out", CALL)
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_is_replaced_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "link").symlink_to("old")
    capture.write(tmp_path / "link", CALL)
    assert (tmp_path / "link").is_symlink()
    assert rows(capture.read(tmp_path / "old").frames) == rows(CALL)


def test_a_new_file_has_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        capture.write(tmp_path / "out", CALL)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_device_is_written_to_and_not_replaced() -> None:
    capture.write("/dev/null", CALL)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nothing/out", "No such file or directory"),
        (".", "Is a directory"),
        ("/dev/full", "No space left on device"),
        ("a\0b", "no file can have this name$"),
        ("a\ud800b", "no file can have this name$"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_named(
    path: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=f"cannot write to '.*': .*{reason}"):
        capture.write(path, CALL)
    assert list(tmp_path.iterdir()) == []

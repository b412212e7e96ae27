"""Where captures come from: files and standard input, gzipped or not, and what can be wrong."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from remusnet import capture
from remusnet.capture import reader
from remusnet.errors import InvalidInput

HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
CALL = HEADER + struct.pack("<IIII", 1, 2, 3, 60) + b"abc" + struct.pack("<IIII", 1, 1, 1, 1) + b"d"


def standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def is_the_call(call: capture.Capture) -> bool:
    frames = call.frames
    assert call.warnings == ()
    assert [frames.frame(0), frames.frame(1)] == [b"abc", b"d"]
    assert frames.caplen.tolist() == [3, 1]
    assert frames.length.tolist() == [60, 1]
    assert frames.time_ns.tolist() == [1_000_000_002, 1_000_000_001]
    return True


def test_a_file_is_read_by_path_or_by_name(tmp_path: Path) -> None:
    path = tmp_path / "call.pcap"
    path.write_bytes(CALL)
    assert is_the_call(capture.read(path))
    call = capture.read(str(path))
    assert (call.name, call.format) == (str(path), "pcap")


def test_gzip_is_told_by_its_magic_not_by_the_name(tmp_path: Path) -> None:
    packed, plain = tmp_path / "call.pcap", tmp_path / "call.pcap.gz"
    packed.write_bytes(gzip.compress(CALL, mtime=0))
    plain.write_bytes(CALL)
    assert is_the_call(capture.read(packed))
    assert is_the_call(capture.read(plain))


def test_gzip_members_are_read_one_after_the_other(tmp_path: Path) -> None:
    """As "cat a.gz b.gz" or bgzip make them; zeros may follow."""
    path = tmp_path / "call"
    path.write_bytes(gzip.compress(CALL[:30]) + gzip.compress(CALL[30:]) + bytes(512))
    assert is_the_call(capture.read(path))


@pytest.mark.parametrize("data", [CALL, gzip.compress(CALL, mtime=0)], ids=["plain", "gzip"])
def test_a_dash_is_standard_input(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input(monkeypatch, data)
    call = capture.read("-")
    assert is_the_call(call)
    assert call.name == "standard input"


def test_a_file_named_dash_can_be_read_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(CALL)
    assert is_the_call(capture.read(Path("-")))


def test_a_real_pipe_may_hand_over_byte_by_byte() -> None:
    program = "from remusnet import capture; print(capture.read('-').frames.caplen.tolist())"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        for byte in gzip.compress(CALL, mtime=0):
            process.stdin.write(bytes([byte]))
            process.stdin.flush()
        process.stdin.close()
        assert process.stdout.read() == b"[3, 1]\n"


def test_the_bytes_read_cannot_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "call"
    path.write_bytes(CALL)
    with pytest.raises(ValueError, match="read-only"):
        capture.read(path).frames.data[0] = 1


def test_frames_without_a_time_are_told(tmp_path: Path) -> None:
    def block(kind: int, body: bytes) -> bytes:
        total = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + total + body + total

    path = tmp_path / "call"
    path.write_bytes(
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        + block(1, struct.pack("<HHI", 1, 0, 0))
        + block(3, struct.pack("<I", 4) + b"abcd")
    )
    call = capture.read(path)
    assert call.format == "pcapng"
    assert len(call.warnings) == 1
    assert "1 frames have no time" in call.warnings[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd4",
        b"\xd4\xc3\xb2",
        b"\x1f\x8b",
        b"hello, world\n",
        b"\x7fELF" + bytes(100),
        gzip.compress(b"", mtime=0),
        gzip.compress(b"hello, world\n", mtime=0),
        gzip.compress(gzip.compress(CALL, mtime=0), mtime=0),
        b"\x1f\x8b\x08" + bytes(100),
    ],
)
def test_files_of_another_kind_are_no_captures(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="other' is not a capture"):
        capture.read(path)


def test_what_has_no_end_is_refused_at_its_first_bytes() -> None:
    with pytest.raises(InvalidInput, match="'/dev/zero' is not a capture"):
        capture.read("/dev/zero")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read '.*nothing': No such file or directory"):
        capture.read(tmp_path / "nothing")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read '.*': Is a directory"):
        capture.read(tmp_path)


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000, "call\udc00\ud800"])
def test_a_path_that_no_file_can_have(path: str) -> None:
    with pytest.raises(InvalidInput, match="cannot read '"):
        capture.read(path)


def test_a_name_cannot_disturb_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        capture.read(tmp_path / "call\x1b[2J\n.pcap")
    assert str(error.value).isprintable()


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """Root may read everything, so the kernel's answer is checked as an ordinary user."""
    path = tmp_path / "call"
    path.write_bytes(CALL)
    path.chmod(0)
    program = (
        "import os, sys\n"
        "from remusnet import capture, errors\n"
        "handle = os.open(sys.argv[1], os.O_PATH)\n"
        "os.geteuid() or os.setuid(65534)\n"
        "try: capture.read(f'/proc/self/fd/{handle}')\n"
        "except errors.InvalidInput as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Permission denied" in answer.stdout, answer.stderr


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InvalidInput, match="cannot read standard input: it is closed"):
        capture.read("-")


@pytest.mark.parametrize("packed", [False, True])
def test_a_capture_larger_than_memory_should_hold_is_refused(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gzip makes a gigabyte of zeros a megabyte: the bound holds for what comes out of it."""
    monkeypatch.setattr(reader, "MAX_BYTES", 3 << 20)
    path = tmp_path / "large"
    data = HEADER + bytes(5 << 20)
    path.write_bytes(gzip.compress(data) if packed else data)
    assert path.stat().st_size < 100_000 or not packed
    with pytest.raises(InvalidInput, match=r"too large: remusnet reads captures of up to 3 MiB"):
        capture.read(path)


def test_a_pipe_in_the_file_system_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    packed = tmp_path / "call.gz"
    packed.write_bytes(gzip.compress(CALL, mtime=0))
    with subprocess.Popen(["sh", "-c", 'gunzip -c "$1" > "$2"', "sh", str(packed), str(path)]):
        assert is_the_call(capture.read(path))

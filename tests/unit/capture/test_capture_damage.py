"""Cut and damaged captures: whole frames and one warning, or one line that says what is wrong."""

from __future__ import annotations

import gzip
import random
import struct
from pathlib import Path

import pytest

from remusnet import capture
from remusnet.errors import InvalidInput
from tests.lib.long import count, seed

FRAMES = [bytes([n]) * (n + 1) for n in range(6)]


def pcap() -> tuple[bytes, list[int]]:
    """A capture of FRAMES, and where each record ends."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    ends = []
    for n, frame in enumerate(FRAMES):
        data += struct.pack("<IIII", n, 0, len(frame), len(frame)) + frame
        ends.append(len(data))
    return data, ends


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    total = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + total + body + total


def pcapng() -> tuple[bytes, list[int]]:
    """FRAMES in two sections of either byte order and all kinds of packet blocks."""
    data = b""
    ends = []
    for order, frames in (("<", FRAMES[:3]), (">", FRAMES[3:])):
        data += block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
        clock = struct.pack(f"{order}HHB3xHHqHH", 9, 1, 9, 14, 8, 3, 0, 0)
        data += block(order, 1, struct.pack(f"{order}HHI", 1, 0, 0) + clock)
        sizes = [len(frame) for frame in frames]
        heads = (
            (6, struct.pack(f"{order}IIIII", 0, 1, 2, sizes[0], sizes[0])),
            (3, struct.pack(f"{order}I", sizes[1])),
            (2, struct.pack(f"{order}HHIIII", 0, 0, 1, 2, sizes[2], sizes[2])),
        )
        for (kind, head), frame in zip(heads, frames, strict=True):
            data += block(order, kind, head + frame)
            ends.append(len(data))
    return data, ends


def read(path: Path, data: bytes) -> capture.Capture:
    path.write_bytes(data)
    return capture.read(path)


def tried(path: Path, data: bytes) -> capture.Capture | str:
    """The capture, or the one line that refuses it. Any other error fails the test."""
    try:
        return read(path, data)
    except InvalidInput as error:
        return str(error)


def ending(call: capture.Capture) -> list[str]:
    """The warnings about where reading stopped."""
    return [line for line in call.warnings if "whole frames before that" in line]


@pytest.mark.parametrize(("sample", "header"), [(pcap(), 24), (pcapng(), 28)], ids=["pcap", "ng"])
def test_a_capture_cut_at_any_byte_gives_its_whole_frames_and_one_warning(
    sample: tuple[bytes, list[int]], header: int, tmp_path: Path
) -> None:
    data, ends = sample
    for length in range(len(data) + 1):
        if length < header:
            with pytest.raises(InvalidInput, match="is not a capture"):
                read(tmp_path / "cut", data[:length])
            continue
        call = read(tmp_path / "cut", data[:length])
        whole = sum(end <= length for end in ends)
        assert [call.frames.frame(i) for i in range(len(call.frames))] == FRAMES[:whole], length
        if ending(call):
            assert len(ending(call)) == 1
            assert f"read the {whole} whole frames" in ending(call)[0]
            assert "cut in the middle" in ending(call)[0]
    assert ending(call) == []


def test_a_cut_between_two_records_is_no_cut(tmp_path: Path) -> None:
    data, ends = pcap()
    for end in ends:
        assert read(tmp_path / "cut", data[:end]).warnings == ()
        assert len(read(tmp_path / "cut", data[: end - 1]).warnings) == 1


@pytest.mark.parametrize("sample", [pcap(), pcapng()], ids=["pcap", "ng"])
def test_gzip_cut_at_any_byte_gives_what_inflates_and_one_warning(
    sample: tuple[bytes, list[int]], tmp_path: Path
) -> None:
    data, _ = sample
    packed = gzip.compress(data, mtime=0)
    most = 0
    for length in range(len(packed)):
        call = tried(tmp_path / "cut", packed[:length])
        if isinstance(call, str):
            assert "is not a capture" in call
            assert most == 0, "a longer piece of the file gave less"
            continue
        assert len(ending(call)) == 1
        assert "its gzip data is cut" in ending(call)[0]
        found = [call.frames.frame(i) for i in range(len(call.frames))]
        assert found == FRAMES[: len(found)]
        assert len(found) >= most
        most = len(found)
    # Without its last byte, of the check sum, all frames inflate.
    assert most == len(FRAMES)


def test_gzip_that_fails_its_check_sum_gives_its_frames_and_one_warning(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(pcap()[0]))
    packed[-8] ^= 1
    call = read(tmp_path / "damaged", bytes(packed))
    assert len(call.frames) == len(FRAMES)
    assert len(call.warnings) == 1
    assert "its gzip data is damaged" in call.warnings[0]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """``data`` after one to four accidents: bits flipped, a piece lost, bytes put in."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(4):
            case 0:
                out[at : at + 1] = bytes(b ^ (1 << chance.randrange(8)) for b in out[at : at + 1])
            case 1:
                del out[at : at + chance.randint(1, 40)]
            case 2:
                out[at:at] = chance.randbytes(chance.randint(1, 40))
            case _:
                out[at : at + 4] = chance.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4)])
    return bytes(out)


@pytest.mark.slow
def test_damaged_captures_give_frames_or_one_line(tmp_path: Path) -> None:
    """Whatever is read must also be there: every frame lies within the data, no time overflows."""
    chance = random.Random(seed())
    files = count(sample=400, long=20_000)
    sound = [
        pcap()[0],
        pcapng()[0],
        gzip.compress(pcap()[0], mtime=0),
        gzip.compress(pcapng()[0], mtime=0),
    ]
    read_at_all = refused = 0
    for n in range(files):
        data = damaged(sound[n % len(sound)], chance)
        call = tried(tmp_path / "damaged", data)
        if isinstance(call, str):
            refused += 1
            assert call.isprintable()
            continue
        read_at_all += 1
        assert len(ending(call)) <= 1
        frames = call.frames
        assert (frames.caplen >= 0).all()
        assert (frames.offset + frames.caplen <= len(frames.data)).all()
        assert (frames.length >= frames.caplen).all()
        assert (abs(frames.time_ns) < 2**63 - 1).all()
    # Both must happen often, or the accidents are too mild or too hard to say anything.
    assert read_at_all > files / 4
    assert refused > files / 10

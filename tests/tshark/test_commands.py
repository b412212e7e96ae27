"""What remusnet tells people to type works: Wireshark's own tools do it."""

from __future__ import annotations

import re
import shlex
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from remusnet import capture
from remusnet.classify.columns import columns
from remusnet.emulator.run.recordings import simulate
from remusnet.errors import InvalidInput
from remusnet.frames import Frames
from remusnet.metrics.rtp import rtp_streams
from remusnet.metrics.rtp_packets import unmeasured
from remusnet.policy import PRESETS
from remusnet.schedule import Schedule
from tests.tshark.conftest import Tshark
from tests.unit.capture.test_linktypes import LAYERS, PACKETS, UNTAGGED, pcap
from tests.unit.capture.test_pcapng import block, enhanced, interface, section
from tests.unit.metrics.test_rtp_packets import TUNNELS, frames

pytestmark = pytest.mark.tshark

DAY_NS = 86_400 * 10**9
MS = 1_000_000

BARE = ("GTP-U", "PPPoE", "one MPLS label", "two MPLS labels")
"""No command takes these off: what is behind them has no Ethernet header, or another ethertype."""


@pytest.mark.parametrize("name", TUNNELS)
def test_the_command_takes_the_tunnel_off(tshark: Tshark, name: str, tmp_path: Path) -> None:
    captured = frames(TUNNELS[name][1])
    (note,) = unmeasured(captured, columns(captured))
    command = re.search(r"editcap (-L -C \S+) IN OUT", note)
    if command is None:
        assert "capture behind the tunnel's end" in note
        assert name in BARE
        return
    before, after = tmp_path / "in.pcap", tmp_path / "out.pcap"
    capture.write(before, captured)
    subprocess.run(["editcap", *command[1].split(), before, after], check=True)
    bare = capture.read(after).frames
    (stream,) = rtp_streams(bare, columns(bare))
    assert (stream.packets, stream.ssrc) == (50, 7)


def test_the_command_cuts_a_file_between_its_days(tshark: Tshark, tmp_path: Path) -> None:
    """Two calls a month apart, merged: the frame behind the gap is Wireshark's number."""
    day = frames(lambda frame: frame)
    later = day.at(day.time_ns + 30 * DAY_NS)
    path = tmp_path / "two days.pcap"
    capture.write(
        path,
        Frames(
            np.concatenate([day.data, later.data]),
            np.concatenate([day.offset, later.offset + len(day.data)]),
            *(
                np.concatenate([getattr(day, name), getattr(later, name)])
                for name in ("caplen", "length", "time_ns")
            ),
        ),
    )
    merged = capture.read(path)
    with pytest.raises(InvalidInput, match="frame 51 comes 2591999 s after") as refused:
        simulate(
            merged.frames, [PRESETS["tcp-only"]], Schedule(200 * MS, 0, 0), 10**8,
            capture=merged.name,
        )  # fmt: skip
    found = re.search(r"(editcap -r .* part\.pcap 1-50) \(without", str(refused.value))
    assert found is not None
    command = shlex.split(found[1])
    subprocess.run(command, check=True, cwd=tmp_path)
    assert (capture.read(tmp_path / "part.pcap").frames.time_ns == day.time_ns).all()
    subprocess.run([each for each in command if each != "-r"], check=True, cwd=tmp_path)
    assert (capture.read(tmp_path / "part.pcap").frames.time_ns == later.time_ns).all()


OTHERS = (0xBAD, 0x40000BAD, 9, 0x204, 0x216, 0x221, 0x208, 0x217, 0x222, 4, 5, 10, 0x7777)


def test_frames_of_a_pcapng_have_wireshark_s_numbers(tshark: Tshark, tmp_path: Path) -> None:
    """Custom blocks, the journal and sysdig's events have one; names, secrets and others don't."""
    frame = PACKETS[0]
    bodies = {9: b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=x\n\0\0", 10: b"KLST" + bytes(4)}
    for kind in OTHERS:
        other = block(kind, bodies.get(kind, struct.pack("<HQQIHI", 0, 1, 1, 26, 5, 0) + bytes(32)))
        data = section() + interface() + interface(link_type=105)
        data += enhanced(frame, 1) + other + enhanced(frame, 2, of=1) + other + enhanced(frame, 3)
        path = tmp_path / f"{kind:x}.pcapng"
        path.write_bytes(data)
        seen = tshark("-r", path, "-Y", "ip", "-T", "fields", "-e", "frame.number")
        numbers = capture.read(path).numbers.tolist()
        assert numbers == [int(number) for number in seen.split()], f"{kind:#x}"


@pytest.mark.parametrize("name", LAYERS)
def test_link_layers_are_read_as_tshark_reads_them(
    tshark: Tshark, name: str, tmp_path: Path
) -> None:
    link_type, wrap = LAYERS[name]
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(link_type, [wrap(PACKETS[n]) for n in UNTAGGED]))
    options = [part for field in FIELDS for part in ("-e", field)]
    printed = tshark("-n", "-r", path, "-T", "fields", *options).splitlines()
    headers = columns(capture.read(path).frames)
    for n, line in enumerate(printed):
        if name == "NULL of Linux" and headers.ip_version[n] == 6:
            # tshark knows the families of the BSDs alone; Linux's 10 is ours to read.
            assert line.strip() == ""
            continue
        values = dict(zip(FIELDS, line.split("\t"), strict=True))
        ports = [int(values[f"{p}.{end}"] or -1) for p in ("tcp", "udp") for end in ENDS]
        ours = [int(headers.sport[n]), int(headers.dport[n])]
        assert ours == [port for port in ports if port >= 0]
        assert bool(values["ipv6.src"]) == (headers.ip_version[n] == 6)
    assert len(printed) == len(UNTAGGED)


ENDS = ("srcport", "dstport")
FIELDS = ("ip.src", "ipv6.src", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport")

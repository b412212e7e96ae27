"""``remusnet classify`` as a user meets it."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import pytest

from remusnet.capture import write
from remusnet.frames import Frames
from tests.lib.framegen import generate
from tests.lib.long import count
from tests.lib.program import Run, runner
from tests.unit.capture.test_linktypes import PACKETS, cooked2, pcap
from tests.unit.capture.test_pcapng import block, enhanced, interface, section

CALL = Path(__file__).parents[2] / "data" / "call.pcap"
POLICIES = ("tcp-only", "real-time", "hold-all", "stock-remus")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command: its exit code, stdout and stderr."""
    return runner(capsys, "classify")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A capture of 2,000 frames of all kinds."""
    path = tmp_path / "mixed.pcap"
    write(path, Frames.of([each.frame for each in generate(2000, seed=11)]))
    return path


def _each(policies: tuple[str, ...]) -> list[str]:
    return [word for name in policies for word in ("--policy", name)]


def test_the_recorded_call_is_shown_flow_by_flow(run: Run) -> None:
    code, out, err = run(CALL)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "tcp-only: 135 frames held, 4002 bypass"
    assert lines[1].split() == ["FLOW", "FRAMES", "BYTES", "VERDICT", "RULE"]
    assert {(line.split()[0], line.split()[-2]) for line in lines[2:]} == {
        ("udp", "bypass"),
        ("tcp", "hold"),
        ("arp", "bypass"),
    }


def test_json_has_what_scripts_rely_on(run: Run, mixed: Path) -> None:
    code, out, _ = run(mixed, *_each(POLICIES), "--json")
    found = json.loads(out)["policies"]
    assert code == 0
    assert [each["policy"] for each in found] == list(POLICIES)
    for each in found:
        assert each["held"] + each["bypassed"] == 2000
        assert sum(flow["frames"] for flow in each["flows"]) == 2000
        assert {tuple(flow) for flow in each["flows"]} == {
            ("flow", "frames", "bytes", "verdict", "rule")
        }
        for verdict, total in (("hold", each["held"]), ("bypass", each["bypassed"])):
            flows = [flow for flow in each["flows"] if flow["verdict"] == verdict]
            assert sum(flow["frames"] for flow in flows) == total


def test_packets_agree_with_the_flows(run: Run, mixed: Path) -> None:
    """One object a line, for each frame one for each policy, counted from 1."""
    _, out, _ = run(mixed, *_each(POLICIES), "--packets", "--json")
    packets = [json.loads(line) for line in out.splitlines()]
    assert [each["n"] for each in packets] == [n for n in range(1, 2001) for _ in POLICIES]
    assert set(packets[0]) == {"n", "policy", "verdict", "rule", "reason"}
    _, out, _ = run(mixed, *_each(POLICIES), "--json")
    for each in json.loads(out)["policies"]:
        mine = [packet for packet in packets if packet["policy"] == each["policy"]]
        assert sum(packet["verdict"] == "hold" for packet in mine) == each["held"]


def test_packets_without_json_are_lines_with_tabs(run: Run) -> None:
    _, out, _ = run(CALL, "--packets")
    assert out.splitlines()[2].split("\t") == ["3", "tcp-only", "hold", "tcp", "matches"]


def test_hazards_are_named_with_their_frames(run: Run, mixed: Path) -> None:
    _, out, _ = run(mixed, "--policy", "tcp-only", "--policy", "hold-all", "--json")
    loose, strict = json.loads(out)["policies"]
    names = {hazard["name"] for hazard in loose["hazards"]}
    assert {"ipsec", "quic", "tunnel"} <= names
    assert "tcp" not in names
    assert strict["hazards"] == []
    _, out, _ = run(mixed, "--policy", "stock-remus")
    assert "hazard: TCP bypasses" in " ".join(out.split())


def test_a_capture_without_frames_is_bad_input(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    code, out, err = run(path)
    assert (code, out) == (2, "")
    assert err == f"remusnet: error: no frames: '{path}'\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such.pcap"], "No such file"),
        ([str(CALL.parent)], "directory"),
        ([str(Path(__file__))], "not a capture"),
        ([str(CALL), "--policy", "tcponly"], "did you mean 'tcp-only'?"),
        ([str(CALL), "--policy", "./no-such.toml"], "No such file"),
        ([str(CALL), "--policy", "tcp-only", "--policy", "tcp-only"], "two policies"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run: Run, arguments: list[str], said: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_damaged_captures_end_in_a_report_or_in_one_line(run: Run, tmp_path: Path) -> None:
    """Bits flipped, bytes cut out or put in, at any place; the seed is fixed."""
    draw = random.Random(20140)
    whole = CALL.read_bytes()[:6000]
    path = tmp_path / "damaged.pcap"
    codes = set()
    for _ in range(count(sample=200, long=10_000)):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 2, 8, 64))):
            at = draw.randrange(len(data))
            match draw.randrange(3):
                case 0:
                    data[at] ^= 1 << draw.randrange(8)
                case 1:
                    del data[at : at + draw.randrange(1, 200)]
                case 2:
                    data[at:at] = draw.randbytes(draw.randrange(1, 60))
            if not data:
                break
        path.write_bytes(data)
        code, out, err = run(path, "--packets", "--json")
        assert code in (0, 2)
        assert bool(out) == (code == 0)
        # A bit of the link type is enough to make headers up, and that is said too.
        assert err.count("\n") <= 1 + ("made up" in err)
        codes.add(code)
    assert codes == {0, 2}


def test_frames_have_the_numbers_of_wireshark(run: Run, tmp_path: Path) -> None:
    """A custom block between two frames has a number of its own; a foreign interface too."""
    frame = PACKETS[0]
    data = section() + interface() + interface(link_type=105) + enhanced(frame)
    data += block(0xBAD, bytes(8)) + enhanced(b"wlan", of=1) + enhanced(frame)
    path = tmp_path / "x.pcapng"
    path.write_bytes(data)
    code, out, err = run(path, "--packets", "--json")
    assert code == 0
    assert [json.loads(line)["n"] for line in out.splitlines()] == [1, 4]
    assert "1 frames of link type IEEE802_11 (105) are left out" in err


def test_a_capture_of_any_device_is_judged_and_its_headers_are_said_to_be_made_up(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "any.pcap"
    path.write_bytes(pcap(276, [cooked2(each) for each in PACKETS]))
    code, out, err = run(path, "--json")
    (found,) = json.loads(out)["policies"]
    assert (code, found["held"], found["bypassed"]) == (0, 2, 3)
    assert err.startswith("remusnet: warning: ")
    assert "LINUX_SLL2 (276) have no Ethernet header: it is made up" in err

"""`rtp_streams` against ``tshark -z rtp,streams``: where they agree, and each known difference.

Every case is one stream, told by its SSRC, and all of them lie in one capture: tshark starts once.
Differences are pinned from both sides. If a later tshark says something else, the test says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.closed_forms import held_mean
from remusnet.metrics.rtp import RtpStream, rtp_streams
from tests.tshark.conftest import Tshark
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import Flow, Packet, steady

pytestmark = pytest.mark.tshark

AGREEING: dict[str, list[Packet]] = {
    "plain": steady(),
    "without jitter": steady(late_ms=0),
    "sequence numbers wrap": steady(first_sequence=65_300),
    "timestamps wrap": steady(first_timestamp=2**32 - 20_000),
    "loss": make.lossy(steady()),
    "outage of 1 s": make.outage(steady()),
    "reordering": make.swapped(steady()),
    "held for 400 ms": make.held(steady(2000), 400),
    "held for 300 ms, with loss": make.held(make.lossy(steady()), 300),
    "G.722, whose clock is 8000": steady(payload_type=make.G722),
    "H.263, whose clock is 90000": steady(step=1800, payload_type=make.H263),
    "Opus, with SDP over TCP": steady(step=960, payload_type=make.OPUS),
    "Opus, with SDP over UDP": steady(step=960, payload_type=make.OPUS),
    "over tagged IPv6": steady(),
}
DEPARTING: dict[str, list[Packet]] = {
    "marker on every second": [
        replace(p, marker=n % 2 == 0) for n, p in enumerate(make.held(steady(2000), 400))
    ],
    "comfort noise": make.with_comfort_noise(steady()),
    "telephone events": make.with_events(steady()),
    "Opus, without SDP": steady(step=960, payload_type=112),
    "duplicates": make.duplicated(steady()),
    "duplicates and loss": make.duplicated(make.lossy(steady())),
    "reordering across the wrap": make.swapped(steady(first_sequence=65_530)),
    "rollback": make.rolled_back(steady()),
    "clock of 44100": steady(step=882, payload_type=make.L16, late_ms=0),
    "sender begins to count anew": [
        *steady(300),
        *(replace(p, sequence=p.sequence + 20_000) for p in steady()[300:]),
    ],
    "timestamps jump": [
        *steady(300),
        *(replace(p, timestamp=(p.timestamp + 1_500_000_000) % 2**32) for p in steady()[300:]),
    ],
    "two packets": steady(2),
    "odd ports": steady(),
}
CASES = AGREEING | DEPARTING
SSRC = {name: 0xABC0 + number for number, name in enumerate(CASES)}


def flow(name: str) -> Flow:
    """An own pair of even ports for each case, so that one case's SDP says nothing of another."""
    port = 20_000 + 4 * SSRC[name] % 4096
    odd = name == "odd ports"
    if name == "over tagged IPv6":
        return Flow("2001:db8::1", port, "2001:db8::2", port + 2, tagged=True)
    return Flow("10.0.0.1", port + odd, "10.0.0.2", port + 2 + odd)


def signalling() -> list[make.Timed]:
    """What announces Opus for two of the cases; over TCP in segments that cut a line."""
    texts = {}
    for name in ("Opus, with SDP over TCP", "Opus, with SDP over UDP"):
        body = make.sdp("10.0.0.2", flow(name).dport, [f"{make.OPUS} opus/48000/2"])
        texts[name] = make.invite(body)
    sip = Flow("10.0.0.2", 5060, "10.0.0.1", 5060)
    over_tcp = texts["Opus, with SDP over TCP"]
    cut = over_tcp.index(b"opus/48") - 3
    return [
        (-3 * make.MS, make.udp(texts["Opus, with SDP over UDP"], sip)),
        (-2 * make.MS, make.tcp(over_tcp[:cut], 1000, sip)),
        (-1 * make.MS, make.tcp(over_tcp[cut:], 1000 + cut, sip)),
    ]


@dataclass(frozen=True)
class Row:
    """A line of tshark's table; jitter in ms, with three digits."""

    packets: int
    lost: int
    mean: float
    max: float


@pytest.fixture(scope="module")
def frames() -> Frames:
    timed = [t for name, case in CASES.items() for t in make.stream(case, SSRC[name], flow(name))]
    return make.capture([*signalling(), *timed])


@pytest.fixture(scope="module")
def table(
    tshark: Tshark, frames: Frames, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[int, Row]]:
    """tshark's statistics by SSRC, with the given options."""
    path: Path = tmp_path_factory.mktemp("rtp") / "streams.pcap"
    path.write_bytes(make.pcap(frames))

    def rows(*options: str) -> dict[int, Row]:
        printed = tshark("-q", *options, "-z", "rtp,streams", "-r", path)
        # ... SSRC, payload (words), packets, lost (percent), three deltas, three jitters, problems
        line = re.compile(
            r" 0x([0-9A-F]{8}) .*? ([0-9]+) +(-?[0-9]+) \([-0-9.]+%\)(?: +[-0-9.]+){4}"
            r" +([0-9.]+) +([0-9.]+)"
        )
        return {
            int(found[1], 16): Row(int(found[2]), int(found[3]), float(found[4]), float(found[5]))
            for found in line.finditer(printed)
        }

    return rows


@pytest.fixture(scope="module")
def theirs(table: Callable[..., dict[int, Row]]) -> Callable[[str], Row]:
    """What tshark says of a case."""
    rows = table("--enable-heuristic", "rtp_udp")
    return lambda name: rows[SSRC[name]]


@pytest.fixture(scope="module")
def ours(frames: Frames) -> Callable[[str], RtpStream]:
    """What remusnet says of a case."""
    streams = {stream.ssrc: stream for stream in rtp_streams(frames, columns(frames))}
    return lambda name: streams[SSRC[name]]


Theirs = Callable[[str], Row]
Ours = Callable[[str], RtpStream]


def same_jitter(stream: RtpStream, row: Row) -> bool:
    """Within 1 % or 0.002 ms: tshark prints three digits, and computes in doubles of seconds."""
    mean = pytest.approx(row.mean, rel=0.01, abs=0.002)
    largest = pytest.approx(row.max, rel=0.01, abs=0.002)
    return bool(stream.jitter_ms.mean == mean and stream.jitter_ms.max == largest)


@pytest.mark.parametrize("name", AGREEING)
def test_packets_loss_and_jitter_agree(name: str, ours: Ours, theirs: Theirs) -> None:
    stream, row = ours(name), theirs(name)
    assert (stream.packets, stream.lost) == (row.packets, row.lost)
    assert same_jitter(stream, row), (stream.jitter_ms, row)


def test_tshark_leaves_marked_packets_out_of_the_mean(ours: Ours, theirs: Theirs) -> None:
    """RFC 3550 knows no exception. Of held packets with every second marked it misses 9.6 %."""
    stream, row = ours("marker on every second"), theirs("marker on every second")
    assert stream.jitter_ms.mean == pytest.approx(held_mean(400), rel=0.03)
    assert row.mean == pytest.approx(0.904 * stream.jitter_ms.mean, rel=0.005)


def test_tshark_leaves_comfort_noise_out(ours: Ours, theirs: Theirs) -> None:
    """Neither a comfort noise packet nor the one behind it counts for tshark."""
    stream, row = ours("comfort noise"), theirs("comfort noise")
    assert same_as_plain(stream, ours)
    assert row.mean < stream.jitter_ms.mean * 0.99


def test_tshark_compares_no_timestamps_of_telephone_events(ours: Ours, theirs: Theirs) -> None:
    """RFC 4733, 2.2.1: they are no jitter. Behind each event of 160 ms tshark sees 140 ms of it."""
    stream, row = ours("telephone events"), theirs("telephone events")
    assert (stream.packets, stream.lost) == (row.packets, row.lost)
    assert stream.events is not None
    assert stream.events.packets == 15 * 8
    # Times of audio vary by 4 ms, as in "plain".
    assert stream.jitter_ms.max < 3
    assert row.max > 140 / 16
    assert row.mean > 2 * stream.jitter_ms.mean


def test_tshark_takes_a_jump_of_timestamps_for_jitter(ours: Ours, theirs: Theirs) -> None:
    """RFC 3550 A.1: as if with a first packet. tshark has 187,500,000 ms / 16 instead."""
    stream, row = ours("timestamps jump"), theirs("timestamps jump")
    assert (stream.lost, stream.timestamp_jumps) == (0, 1)
    assert stream.jitter_ms.max < 3
    assert row.max > 10_000_000


def test_tshark_has_no_jitter_for_a_type_without_sdp(ours: Ours, theirs: Theirs) -> None:
    stream, row = ours("Opus, without SDP"), theirs("Opus, without SDP")
    assert (row.mean, row.max) == (0, 0)
    assert same_jitter(stream, theirs("Opus, with SDP over TCP"))
    assert stream.notes == ("payload type 112: no SDP, clock rate 48000 Hz estimated",)


def test_tshark_lets_duplicates_make_up_for_losses(ours: Ours, theirs: Theirs) -> None:
    stream, row = ours("duplicates"), theirs("duplicates")
    assert (row.packets, row.lost) == (660, -60)
    assert (stream.packets, stream.lost, stream.duplicates) == (660, 0, 60)
    assert same_jitter(stream, row), "copies count for the jitter of both"

    stream, row = ours("duplicates and loss"), theirs("duplicates and loss")
    assert stream.lost == theirs("loss").lost > 0
    assert row.lost == stream.lost - stream.duplicates


def test_tshark_has_negative_loss_after_a_rollback(ours: Ours, theirs: Theirs) -> None:
    stream, row = ours("rollback"), theirs("rollback")
    assert row.lost == -15
    assert (stream.lost, stream.duplicates, stream.sequence.restarts) == (0, 15, 0)
    assert same_jitter(stream, row)


def test_tshark_loses_65536_packets_to_a_late_one_at_the_wrap(ours: Ours, theirs: Theirs) -> None:
    """0 comes before 65535: for tshark the numbers have wrapped twice."""
    stream, row = ours("reordering across the wrap"), theirs("reordering across the wrap")
    assert row.lost == 65_536
    assert (stream.lost, stream.reordered) == (0, 35)
    assert same_jitter(stream, row)


def test_tshark_rounds_a_clock_rate_down_to_whole_khz(ours: Ours, theirs: Theirs) -> None:
    """It divides by 44 instead of 44.1, so a stream without any jitter has 0.045 ms."""
    stream, row = ours("clock of 44100"), theirs("clock of 44100")
    assert stream.jitter_ms.max == pytest.approx(0, abs=1e-9)
    assert row.max == pytest.approx(882 / 44 - 20, abs=0.002)


def test_tshark_counts_a_new_beginning_as_loss(ours: Ours, theirs: Theirs) -> None:
    """RFC 3550 A.1: a far jump that a second packet confirms is a restart."""
    stream, row = ours("sender begins to count anew"), theirs("sender begins to count anew")
    assert row.lost == 20_000
    assert (stream.lost, stream.sequence.restarts) == (0, 1)


def test_tshark_lists_what_may_be_chance(frames: Frames, theirs: Theirs) -> None:
    """Two packets are no stream here: a quarter of all random bytes look like one RTP packet."""
    assert theirs("two packets").packets == 2
    found = {stream.ssrc for stream in rtp_streams(frames, columns(frames))}
    assert SSRC["two packets"] not in found
    assert found == set(SSRC.values()) - {SSRC["two packets"]}


def test_tshark_finds_unannounced_rtp_only_by_its_heuristic(
    table: Callable[..., dict[int, Row]], ours: Ours, theirs: Theirs
) -> None:
    """Without the option it knows RTP from SDP alone; with it, odd ports are as good as even."""
    announced = {SSRC["Opus, with SDP over TCP"], SSRC["Opus, with SDP over UDP"]}
    assert set(table()) == announced
    assert same_jitter(ours("odd ports"), theirs("odd ports"))
    assert same_as_plain(ours("odd ports"), ours)


def same_as_plain(stream: RtpStream, ours: Ours) -> bool:
    """Whether a stream of the plain packets' times and timestamps has their jitter."""
    return stream.jitter_ms == ours("plain").jitter_ms

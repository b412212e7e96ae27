"""TCP's timer, windows and recoveries, as transcripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from remusnet.emulator.traffic.endpoints import Command, Event, Payload, Received, Send, Started
from remusnet.emulator.traffic.tcp import LONGEST_RTO_NS, MOST_TRIES, MSS, TcpEnd
from tests.unit.emulator.playbook import MS, Playbook


@dataclass(slots=True)
class Talker:
    """Says ``says`` bytes once it is connected; remembers what it hears."""

    says: int = 0
    heard: list[str] = field(default_factory=list)

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        if isinstance(event, Started) and self.says:
            yield Send(Payload("talk", self.says))
        if isinstance(event, Received) and isinstance(event.what, Payload):
            self.heard.append(event.what.name)


def client(says: int = 0, rto_min_ms: int = 200) -> tuple[Playbook, TcpEnd]:
    end = TcpEnd(Talker(says), True, rto_min_ms * MS, "c")
    return Playbook(end), end


def connected(says: int, rtt_ms: float = 10) -> tuple[Playbook, TcpEnd]:
    play, end = client(says)
    play.start(0)
    play.segment(0, 1, syn=True, at_ms=rtt_ms)
    return play, end


def test_the_handshake() -> None:
    play, _ = client()
    assert play.start() == ["syn 0+0 ack 0", "timer rto 1000"]
    assert play.segment(0, 1, syn=True) == ["stop rto", "ack 1+0 ack 1"]
    server = Playbook(TcpEnd(Talker(), False, 200 * MS, "s"))
    assert server.start() == []
    assert server.segment(0, 0, syn=True) == ["syn 0+0 ack 1", "timer rto 1000"]
    assert server.segment(1, 1) == ["stop rto"]


def test_ten_segments_go_at_once_then_two_for_each_ack() -> None:
    play, end = client(100 * MSS)
    play.start()
    first = play.segment(0, 1, syn=True, at_ms=10)
    # The SYN's own ACK has opened the window by one byte's worth: what RFC 5681 counts is bytes.
    assert sum(line.startswith("data") for line in first) == 10
    more = play.segment(1, 1 + MSS, at_ms=20)
    assert sum(line.startswith("data") for line in more) == 2
    assert end.next == 1 + 12 * MSS


@pytest.mark.parametrize(
    ("rtt_ms", "rto_ms"),
    # SRTT = R, RTTVAR = R/2 (RFC 6298, 2.2); RTO = SRTT + max(4 RTTVAR, 200 ms), as Linux has it.
    [(0, 200), (10, 210), (70, 270), (100, 300), (101, 303), (400, 1200)],
)
def test_linux_s_least_bounds_the_variance_and_not_the_timeout(rtt_ms: int, rto_ms: int) -> None:
    _, end = connected(MSS, rtt_ms=rtt_ms)
    assert end.rto_ns == rto_ms * MS


def test_steady_round_trips_of_an_epoch_keep_200_ms_beyond_it() -> None:
    """At a period of 205 ms: the variance fades, and an RTO of 205 ms would run out each time."""
    play, end = connected(2000 * MSS, rtt_ms=2)
    for epoch in range(1, 41):
        play.segment(1, end.next, at_ms=2 + 205 * epoch)
    assert end.smoothed_ns == pytest.approx(205 * MS, rel=0.01)
    assert end.smoothed_ns is not None
    assert end.rto_ns - end.smoothed_ns == 200 * MS


def test_a_timeout_is_a_minute_at_most() -> None:
    _, end = connected(MSS, rtt_ms=50_000)
    assert end.rto_ns == LONGEST_RTO_NS


def test_a_timeout_sends_the_oldest_again_with_twice_the_patience() -> None:
    play, end = connected(3 * MSS)
    assert play.expire("rto", 300) == [
        "again c timeout",
        "again c",
        f"data 1+{MSS} ack 1",
        "timer rto 420",
    ]
    assert (end.window, end.threshold) == (MSS, 2 * MSS)
    # The first copy had come after all: nothing else is missing.
    assert play.segment(1, 1 + 3 * MSS, at_ms=410) == ["stop rto"]
    # Karn: that ACK is no measure of the round trip.
    assert end.smoothed_ns == 10 * MS


def test_three_copies_of_an_ack_bring_the_missing_segment() -> None:
    play, end = connected(6 * MSS)
    for _ in range(2):
        assert play.segment(1, 1) == []
    again = play.segment(1, 1)
    assert again[:2] == ["again c", f"data 1+{MSS} ack 1"]
    assert end.recovering
    # A partial ACK tells of the next hole (RFC 6582).
    assert f"data {1 + 2 * MSS}+{MSS} ack 1" in play.segment(1, 1 + 2 * MSS)
    play.segment(1, 1 + 6 * MSS)
    assert not end.recovering


def test_what_comes_early_waits_for_what_is_missing() -> None:
    play, end = connected(0)
    late = Payload("late", MSS)
    assert play.segment(1 + MSS, 1, MSS, ends=((1 + 2 * MSS, late),)) == ["ack 1+0 ack 1"]
    assert isinstance(end.app, Talker)
    assert end.app.heard == []
    assert play.segment(1, 1, MSS)[0] == f"ack 1+0 ack {1 + 2 * MSS}"
    assert end.app.heard == ["late"]
    # A copy is acknowledged, and not heard twice.
    assert play.segment(1 + MSS, 1, MSS, ends=((1 + 2 * MSS, late),)) == [
        f"ack 1+0 ack {1 + 2 * MSS}"
    ]
    assert end.app.heard == ["late"]


def test_a_peer_that_never_answers_is_given_up() -> None:
    play, end = connected(MSS)
    for _ in range(MOST_TRIES):
        assert play.expire("rto")
    assert play.expire("rto") == ["end c timeout"]
    assert end.dead
    assert play.segment(1, 1 + MSS) == []

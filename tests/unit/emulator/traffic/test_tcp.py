"""One side of a connection, as transcripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from remusnet.emulator.traffic.endpoints import Command, Event, Payload, Received, Send, Started
from remusnet.emulator.traffic.tcp import TcpEnd
from remusnet.tcp.sender import MOST_TRIES
from remusnet.tcp.stack import LINUX, Stack
from tests.unit.emulator.playbook import MS, Playbook

MSS = LINUX.mss
PLAIN = Stack(tail_loss_probe=False)


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


def client(says: int = 0, stack: Stack = PLAIN) -> tuple[Playbook, TcpEnd]:
    end = TcpEnd(Talker(says), True, stack, "c")
    return Playbook(end), end


def connected(says: int, rtt_ms: float = 10, stack: Stack = PLAIN) -> tuple[Playbook, TcpEnd]:
    play, end = client(says, stack)
    play.start(0)
    play.segment(0, 1, syn=True, at_ms=rtt_ms)
    return play, end


def test_the_handshake() -> None:
    play, _ = client()
    assert play.start() == ["syn 0+0 ack 0", "timer rto 1000"]
    assert play.segment(0, 1, syn=True) == ["stop rto", "ack 1+0 ack 1"]
    server = Playbook(TcpEnd(Talker(), False, PLAIN, "s"))
    assert server.start() == []
    assert server.segment(0, 0, syn=True) == ["syn 0+0 ack 1", "timer rto 1000"]
    assert server.segment(1, 1) == ["stop rto"]


def test_ten_segments_go_at_once_then_two_for_each_acknowledged() -> None:
    play, end = client(100 * MSS)
    play.start()
    first = play.segment(0, 1, syn=True, at_ms=10)
    assert sum(line.startswith("data") for line in first) == 10
    more = play.segment(1, 1 + MSS, at_ms=20)
    assert sum(line.startswith("data") for line in more) == 2
    assert end.sender.next == 1 + 12 * MSS


def test_a_timeout_sends_the_oldest_again_with_twice_the_patience() -> None:
    play, end = connected(3 * MSS)
    assert play.expire("rto", 300) == [
        "again c timeout",
        "again c",
        f"data 1+{MSS} ack 1",
        "timer rto 424",
    ]
    assert end.sender.window.size == 1


def test_what_comes_early_waits_for_what_is_missing() -> None:
    play, end = connected(0)
    late = Payload("late", MSS)
    assert play.segment(1 + MSS, 1, MSS, ends=((1 + 2 * MSS, late),)) == ["ack 1+0 ack 1"]
    assert isinstance(end.app, Talker)
    assert end.app.heard == []
    assert play.segment(1, 1, MSS)[0] == f"ack 1+0 ack {1 + 2 * MSS}"
    assert end.app.heard == ["late"]
    # A copy is acknowledged, and not heard twice.
    assert play.segment(1 + MSS, 1, MSS, ends=((1 + 2 * MSS, late),))[0] == (
        f"ack 1+0 ack {1 + 2 * MSS}"
    )
    assert end.app.heard == ["late"]


def test_a_peer_that_never_answers_is_given_up() -> None:
    play, end = connected(MSS)
    for _ in range(MOST_TRIES):
        assert play.expire("rto")
    assert play.expire("rto") == ["end c timeout"]
    assert end.dead
    assert play.segment(1, 1 + MSS) == []


def test_a_small_segment_waits_for_the_one_before_unless_nagle_is_off() -> None:
    for nagle, sent in ((True, 1), (False, 2)):
        _, end = connected(0, stack=Stack(nagle=nagle))
        end.sender.write(100, 20 * MS)
        end.sender.write(100, 20 * MS)
        assert len(end.sender.board.pieces) == sent


@pytest.mark.parametrize(("copied", "expected"), [(False, 20), (True, 4)])
def test_held_without_a_copy_four_segments_are_as_much_as_goes(copied: bool, expected: int) -> None:
    _, end = connected(0, stack=Stack(initial_window=20), rtt_ms=200)
    end.couple(coupled=copied)
    end.sender.write(50 * MSS, 210 * MS)
    assert len(end.sender.board.pieces) == expected

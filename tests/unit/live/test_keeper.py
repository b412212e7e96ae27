"""The userspace plug: it holds as sch_plug does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from remusnet.live.keeper import Board, Keeper, Order
from remusnet.live.ports import HEADER, LARGEST, Port

_SECONDS = 10.0


@dataclass(slots=True)
class Bench:
    """A keeper in a thread, with the ends of its socket pairs."""

    outside: socket.socket
    orders: socket.socket
    board: Board

    def send(self, *frames: bytes) -> None:
        for each in frames:
            self.outside.send(bytes(HEADER) + each)

    def tell(self, order: Order) -> int:
        self.orders.send(bytes([order]))
        return int.from_bytes(self.orders.recv(8), "little")

    def come(self, count: int) -> list[bytes]:
        return [self.outside.recv(LARGEST)[HEADER:] for _ in range(count)]

    def nothing_comes(self) -> bool:
        self.outside.settimeout(0.05)
        try:
            self.outside.recv(LARGEST)
        except TimeoutError:
            return True
        finally:
            self.outside.settimeout(_SECONDS)
        return False


@pytest.fixture
def bench() -> Iterator[Bench]:
    device, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs, orders = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    device.setblocking(False)
    outside.settimeout(_SECONDS)
    orders.settimeout(_SECONDS)
    board = Board()
    port = Port(device.fileno(), lambda: device.recv(LARGEST), device.send, device.close)
    keeper = Keeper(port, theirs, board, limit=1000)
    thread = threading.Thread(target=keeper.run)
    thread.start()
    try:
        yield Bench(outside, orders, board)
    finally:
        orders.close()
        thread.join(_SECONDS)
        for each in (device, outside, theirs):
            each.close()


def test_until_the_first_epoch_everything_passes(bench: Bench) -> None:
    bench.send(b"a")
    assert bench.come(1) == [b"a"]


def test_an_epoch_leaves_at_its_commit_and_no_frame_of_the_next(bench: Bench) -> None:
    bench.tell(Order.BUFFER)
    bench.send(b"a", b"b")
    bench.tell(Order.BUFFER)
    bench.send(b"c")
    assert bench.nothing_comes()
    bench.tell(Order.RELEASE)
    assert bench.come(2) == [b"a", b"b"]
    assert bench.nothing_comes()
    bench.tell(Order.BUFFER)
    bench.tell(Order.RELEASE)
    assert bench.come(1) == [b"c"]


def test_what_came_before_a_checkpoint_was_read_before_it(bench: Bench) -> None:
    bench.tell(Order.BUFFER)
    for number in range(20):
        bench.send(bytes([number]))
        bench.tell(Order.BUFFER)
        bench.tell(Order.RELEASE)
        assert bench.come(1) == [bytes([number])]


def test_what_is_beyond_the_limit_is_dropped_at_the_tail_and_counted(bench: Bench) -> None:
    bench.tell(Order.BUFFER)
    bench.send(b"a" * 600, b"b" * 600, b"c" * 400)
    bench.tell(Order.BUFFER)
    bench.tell(Order.RELEASE)
    assert [each[:1] for each in bench.come(2)] == [b"a", b"c"]
    counts = bench.board.read()
    assert (counts.held, counts.dropped, counts.held_bytes) == (3, 1, 1600)


def test_a_failure_loses_what_is_held_and_nothing_is_held_after_it(bench: Bench) -> None:
    bench.tell(Order.BUFFER)
    bench.send(b"a", b"b")
    bench.tell(Order.DROP)
    bench.send(b"c")
    assert bench.come(1) == [b"c"]
    assert bench.board.read().lost == 2


def test_the_end_releases_everything(bench: Bench) -> None:
    bench.tell(Order.BUFFER)
    bench.send(b"a")
    bench.tell(Order.BUFFER)
    bench.send(b"b")
    bench.tell(Order.RELEASE_ALL)
    assert bench.come(2) == [b"a", b"b"]
    bench.tell(Order.BUFFER)  # what is told after an order is of before it
    assert bench.board.read().backlog == 0

"""Who is kept out, when, and how the kernel does it."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_network
from typing import cast

import pytest

from remusnet.sip.transport.floods import FloodLimits, Floods, source_of
from remusnet.sip.transport.intake import Intake
from remusnet.sip.transport.source_filter import drop, dropped, program


class Server:
    """A server that handles so many requests a second, one after the other, in a time of its own.

    ``stopped_until``: it reads nothing before. ``longest``: how long one of a source waited, in s.
    """

    def __init__(self, limits: FloodLimits, capacity: float, *, stopped_until: float = 0.0) -> None:
        self.now = stopped_until
        self.told: list[str] = []
        self.longest: dict[str, float] = {}
        self.handled: list[str] = []
        self.floods = Floods(limits, lambda: self.now, self._blocked)
        self.intake = Intake(self.floods, cast(asyncio.AbstractEventLoop, self), lambda: 0)
        self._each = 1 / capacity
        self._soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def hear(self, arrivals: Sequence[tuple[float, str]]) -> None:
        """Requests by the time (s) they arrive, and who sends them, until all are handled."""
        waiting = deque(arrivals)
        while waiting or self._soon:
            if waiting and not self._soon and waiting[0][0] > self.now:
                self.now = waiting[0][0]
            while waiting and waiting[0][0] <= self.now:
                at, source = waiting.popleft()
                if source not in self.floods.blocked:
                    counts = self.floods.datagrams.at(at)
                    counts[source] = counts.get(source, 0) + 1
                    take = partial(self._handle, at, source)
                    self.intake.put(source, at, 500, take, drop=True)
            self.intake.go()
            self.run_soon()

    def run_soon(self) -> None:
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()

    def _handle(self, arrived: float, source: str) -> None:
        self.longest[source] = max(self.longest.get(source, 0.0), self.now - arrived)
        self.handled.append(source)
        self.now += self._each

    def _blocked(self, source: str, _rate: float, _why: str) -> None:
        self.told.append(source)
        self.intake.forget(source)


def sent(rates: dict[str, float], seconds: float) -> list[tuple[float, str]]:
    """Requests at even distances, of each source."""
    return sorted(
        (number / rate, source)
        for source, rate in rates.items()
        for number in range(round(rate * seconds))
    )


FLOODS = [
    ["192.0.2.66"],
    ["192.0.2.66", "192.0.2.67"],
]


@pytest.mark.parametrize("floods", FLOODS)
@pytest.mark.parametrize("limits", [FloodLimits(), FloodLimits(requests=10**9)])
def test_nobody_waits_for_floods_at_twice_what_the_server_takes_found_or_not(
    floods: list[str], limits: FloodLimits
) -> None:
    """What somebody waits is what is handled at once, and one request of each flood."""
    server = Server(limits, capacity=1_000)
    others = {"192.0.2.1": 50.0, "192.0.2.2": 50.0}
    server.hear(sent({**others, **dict.fromkeys(floods, 2_000.0)}, 3))
    assert server.told == (floods if limits == FloodLimits() else [])
    assert server.handled.count("192.0.2.1") == server.handled.count("192.0.2.2") == 150
    assert max(server.longest[other] for other in others) < 0.012


class Actors(Server):
    """A server in which a request becomes so many messages between actors, one after the other.

    All messages wait in one queue, as those of a `System` do, and each takes ``1 / capacity`` s.
    ``longest``: until the last of them, from the arrival of the request.
    """

    HOPS = 15

    def __init__(self, limits: FloodLimits, capacity: float) -> None:
        super().__init__(limits, capacity)
        self.queue: deque[tuple[float, str, int]] = deque()
        loop = cast(asyncio.AbstractEventLoop, self)
        self.intake = Intake(self.floods, loop, lambda: len(self.queue))

    def _handle(self, arrived: float, source: str) -> None:
        self.queue.append((arrived, source, self.HOPS))
        if len(self.queue) == 1:
            self.call_soon(self._pump)

    def _pump(self) -> None:
        ends = self.now + 0.001
        while self.queue and self.now < ends:
            arrived, source, hops = self.queue.popleft()
            if hops:
                self.queue.append((arrived, source, hops - 1))
            else:
                super()._handle(arrived, source)
            self.now += self._each
        if self.queue:
            self.call_soon(self._pump)


def test_each_message_that_a_call_becomes_waits_for_no_more_than_a_few_of_a_flood() -> None:
    """Who is taken in its turn waits in the actors' queue, too: for what was taken before."""
    server = Actors(FloodLimits(requests=10**9), capacity=10_000)
    floods = [(1 + at, source) for at, source in sent({"192.0.2.66": 1_400.0}, 2)]
    server.hear(sorted([*sent({"192.0.2.1": 10.0}, 3), *floods]))
    alone = Actors.HOPS / 10_000
    assert server.handled.count("192.0.2.1") == 30
    # Of each actor's other messages not more than three come before: those of the flood's.
    assert server.longest["192.0.2.1"] < 6 * alone


def test_a_flood_is_kept_out_after_a_tenth_of_a_second() -> None:
    server = Server(FloodLimits(), capacity=1_000)
    server.hear(sent({"192.0.2.66": 2_000}, 3))
    assert server.told == ["192.0.2.66"]
    assert len(server.handled) < 100


def test_nobody_is_kept_out_as_long_as_the_server_keeps_up() -> None:
    server = Server(FloodLimits(), capacity=10_000)
    server.hear(sent({"192.0.2.66": 9_000}, 2))
    assert server.told == []


def test_many_who_send_little_are_no_flood() -> None:
    server = Server(FloodLimits(), capacity=500)
    server.hear(sent({f"192.0.2.{number}": 20 for number in range(100)}, 1))
    assert server.told == []
    assert len(server.handled) == 2_000


def test_a_server_that_was_stopped_takes_nobody_for_a_flood() -> None:
    """What came in a second is there at once then: who counts at that time sees a flood."""
    server = Server(FloodLimits(), capacity=1_000, stopped_until=1.5)
    server.hear(sent({"192.0.2.20": 400.0, "192.0.2.1": 20.0}, 4))
    assert server.longest["192.0.2.20"] > 1
    assert server.told == []
    assert len(server.handled) == 4 * 420


def test_who_is_kept_out_while_its_own_is_taken_costs_nobody_else_anything() -> None:
    """A stream is found to insist while a piece of it is taken."""
    server = Server(FloodLimits(), capacity=1_000)
    taken: list[int] = []
    work = 100
    intake = Intake(server.floods, cast(asyncio.AbstractEventLoop, server), lambda: work)
    intake.put("192.0.2.66", 0.0, 500, lambda: intake.forget("192.0.2.66"), drop=False)
    for number in range(3):
        intake.put("192.0.2.1", 0.0, 500, partial(taken.append, number), drop=True)
    intake.go()
    assert taken == []
    work = 0
    server.run_soon()
    assert taken == [0, 1, 2]


def test_what_comes_again_while_it_still_waits_is_dropped_and_later_it_is_not() -> None:
    """Phones repeat after T1: a server that is half a second behind had twice the work."""
    server = Server(FloodLimits(requests=10**9), capacity=1_000)
    work = 100
    intake = Intake(server.floods, cast(asyncio.AbstractEventLoop, server), lambda: work)
    taken: list[str] = []

    def come(source: str, text: str) -> None:
        take = partial(taken.append, text)
        intake.put(source, 0.0, 500, take, drop=True, what=text)

    for text in ("invite", "invite", "bye"):
        come("192.0.2.1", text)
        come("192.0.2.2", text)
    intake.go()
    work = 0
    for _ in range(3):
        server.run_soon()
    assert sorted(taken) == ["bye", "bye", "invite", "invite"]
    assert intake.repeated == 2
    # Its turn is over, or its line was dropped: nothing of it waits any more.
    work = 100
    come("192.0.2.1", "invite")
    intake.forget("192.0.2.1")
    come("192.0.2.1", "invite")
    work = 0
    intake.go()
    server.run_soon()
    assert taken[4:] == ["invite"]
    assert intake.repeated == 2


def _nothing() -> None:
    """What would be done with a datagram."""


def test_a_flood_of_one_datagram_over_and_over_is_kept_out_like_any() -> None:
    """Its repetitions wait in no line, but whoever reads them is behind as much."""
    server = Server(FloodLimits(), capacity=1_000)
    for number in range(20):
        server.now = 1 + number / 100
        counts = server.floods.datagrams.at(server.now - 0.5)  # so late is the kernel's buffer read
        for _ in range(100):
            counts["192.0.2.66"] = counts.get("192.0.2.66", 0) + 1
            server.intake.put("192.0.2.66", server.now - 0.5, 500, _nothing, drop=True, what="same")
        server.intake.go()
        server.run_soon()
    assert server.told[0] == "192.0.2.66"


def test_a_stream_that_brings_one_piece_at_a_time_does_not_come_first_each_time() -> None:
    """RFC 8290, 4.2: a flow that is through is no new one at once."""
    server = Server(FloodLimits(requests=10**9), capacity=1_000)
    order: list[str] = []

    def piece() -> None:
        order.append("stream")
        if order.count("stream") < 10:
            server.intake.put("192.0.2.66", 0.0, 2_000, piece, drop=False)

    server.intake.put("192.0.2.66", 0.0, 2_000, piece, drop=False)
    for _ in range(5):
        server.intake.put("192.0.2.1", 0.0, 500, partial(order.append, "other"), drop=True)
    server.intake.go()
    while len(order) < 15:
        server.run_soon()
    assert order[:10] == ["stream", "other"] * 5
    assert order[10:] == ["stream"] * 5


def test_where_there_is_no_room_who_floods_loses_what_it_sent_last() -> None:
    """Others lose nothing, and who floods is answered in order."""
    server = Server(FloodLimits(requests=10**9), capacity=100)
    taken: list[int] = []
    for number in range(20_000):
        take = partial(taken.append, number)
        server.intake.put("192.0.2.66", 0.0, 1_000, take, drop=True)
        if number % 1_000 == 0:
            server.intake.put("192.0.2.1", 0.0, 1_000, partial(taken.append, -1), drop=True)
    assert server.intake.full
    assert server.intake.dropped > 10_000
    server.hear([(0.0, "192.0.2.2")])
    assert taken.count(-1) == 20
    from_flood = [number for number in taken if number >= 0]
    assert from_flood[:5_000] == list(range(5_000))
    assert len(from_flood) == 20_000 - server.intake.dropped
    assert not server.intake.full


def test_who_is_trusted_may_send_what_it_likes() -> None:
    limits = FloodLimits(trusted=(ip_network("192.0.2.64/28"), ip_network("2001:db8::1")))
    server = Server(limits, capacity=1_000)
    server.hear(sent({"192.0.2.66": 2_000, source_of("2001:db8::1"): 2_000}, 1))
    assert server.told == []


def test_who_was_kept_out_is_let_in_again() -> None:
    server = Server(FloodLimits(block_s=5), capacity=1_000)
    server.hear(sent({"192.0.2.66": 2_000}, 1))
    until = server.floods.blocked["192.0.2.66"]
    server.now = until - 0.1
    assert server.floods.lift() == []
    server.now = until
    assert server.floods.lift() == ["192.0.2.66"]
    assert not server.floods.blocked


def test_an_ipv6_host_has_more_addresses_than_one() -> None:
    assert source_of("2001:db8:0:1::1") == source_of("2001:db8:0:1:ffff::2") == "2001:db8:0:1::/64"
    assert source_of("2001:db8:0:2::1") != source_of("2001:db8:0:1::1")
    assert source_of("fe80::1%eth0") == "fe80::/64"


def heard(bound: socket.socket) -> set[bytes]:
    """All that waits at a socket."""
    found = set()
    try:
        while True:
            found.add(bound.recv(100))
    except TimeoutError:
        return found


def test_the_kernel_drops_what_is_blocked_counts_it_and_hears_it_again_afterwards() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(0.2)

        def all_send() -> None:
            for number in (2, 3, 4):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
                    agent.bind((f"127.0.0.{number}", 0))
                    agent.sendto(b"from %d" % number, bound.getsockname())

        drop(bound, ["127.0.0.2", "2001:db8::/64", "127.0.0.4"])
        all_send()
        assert heard(bound) == {b"from 3"}
        assert dropped(bound) == 2
        drop(bound, ["127.0.0.4"])
        all_send()
        assert heard(bound) == {b"from 2", b"from 3"}
        drop(bound, [])
        drop(bound, [])
        all_send()
        assert heard(bound) == {b"from 2", b"from 3", b"from 4"}
        assert dropped(bound) == 3


@pytest.mark.parametrize(("network", "gone"), [("::/64", True), ("0:0:0:1::/64", False)])
def test_the_kernel_drops_a_64_of_ipv6(network: str, gone: bool) -> None:
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as agent,
    ):
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(("::1", 0))
        bound.settimeout(0.2)
        drop(bound, ["127.0.0.2", network, "2001:db8::/64"])
        agent.sendto(b"hello", bound.getsockname())
        assert heard(bound) == (set() if gone else {b"hello"})


def test_a_thousand_blocked_sources_are_a_program_that_the_kernel_takes() -> None:
    sources = [f"10.0.{number // 256}.{number % 256}" for number in range(1000)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(0.2)
        drop(bound, [*sources, "127.0.0.2"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
            agent.bind(("127.0.0.2", 0))
            agent.sendto(b"hello", bound.getsockname())
        assert heard(bound) == set()
    assert len(program(sources, v6=False)) == 2002


def test_a_flood_that_takes_both_ways_is_found_by_what_comes_both_ways() -> None:
    server = Server(FloodLimits(requests=500), capacity=1_000)
    floods = server.floods
    for _ in range(200):
        server.now += 0.01
        for window in (floods.streams, floods.datagrams):
            counts = window.at(server.now)
            counts["192.0.2.9"] = counts.get("192.0.2.9", 0) + 3
        floods.waited("192.0.2.9", 0.05)
        floods.waited("192.0.2.1", 0.05)
    assert server.told == ["192.0.2.9"]


@pytest.mark.parametrize(("share", "told"), [(0.3, []), (0.6, ["192.0.2.9"])])
def test_a_stream_that_has_more_than_is_taken_most_of_the_time_is_kept_out(
    share: float, told: list[str]
) -> None:
    server = Server(FloodLimits(requests=100), capacity=1_000)
    server.floods.streams.at(server.now)["192.0.2.9"] = 200
    server.floods.insists("192.0.2.9", share)
    assert server.told == told

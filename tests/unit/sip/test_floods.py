"""Who is kept out, when, and how the kernel does it."""

from __future__ import annotations

import socket
from ipaddress import ip_network

import pytest

from remusnet.sip.transport.floods import FloodLimits, Floods, source_of
from remusnet.sip.transport.source_filter import drop, dropped, program


class Server:
    """A server that handles so many requests a second, in its own time, one after the other."""

    def __init__(self, limits: FloodLimits, capacity: float) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.floods = Floods(limits, lambda: self.now, lambda source, *_: self.told.append(source))
        self._each = 1 / capacity

    def handle(self, arrivals: list[tuple[float, str]], *, stopped_until: float = 0.0) -> float:
        """Requests by the time (s) they arrive, and who sends them; the longest that one waits."""
        longest = 0.0
        self.now = max(self.now, stopped_until)
        for place in range(0, len(arrivals), 32):
            turn = arrivals[place : place + 32]
            arrived = turn[0][0]
            self.now = max(self.now, arrived)
            waited = self.now - arrived
            counts = self.floods.datagrams.at(arrived)
            self.floods.waited(waited, self.floods.datagrams, arrived)
            for at, source in turn:
                if source in self.floods.blocked:
                    continue
                counts[source] = counts.get(source, 0) + 1
                longest = max(longest, self.now - at)
                self.now = max(self.now, at) + self._each
        return longest


def sent(rates: dict[str, float], seconds: float) -> list[tuple[float, str]]:
    """Requests at even distances, of each source."""
    return sorted(
        (number / rate, source)
        for source, rate in rates.items()
        for number in range(round(rate * seconds))
    )


def test_a_flood_at_twice_what_the_server_takes_is_kept_out_within_a_tenth_of_a_second() -> None:
    server = Server(FloodLimits(), capacity=1_000)
    longest = server.handle(sent({"192.0.2.66": 2_000, "192.0.2.1": 50, "192.0.2.2": 50}, 3))
    assert server.told == ["192.0.2.66"]
    assert longest < 0.1


def test_two_floods_are_kept_out_one_after_the_other() -> None:
    server = Server(FloodLimits(), capacity=1_000)
    server.handle(sent({"192.0.2.66": 2_000, "192.0.2.67": 1_500, "192.0.2.1": 50}, 3))
    assert server.told == ["192.0.2.66", "192.0.2.67"]


def test_nobody_is_kept_out_as_long_as_the_server_keeps_up() -> None:
    server = Server(FloodLimits(), capacity=10_000)
    server.handle(sent({"192.0.2.66": 9_000}, 2))
    assert server.told == []


def test_many_who_send_little_are_no_flood() -> None:
    server = Server(FloodLimits(), capacity=500)
    server.handle(sent({f"192.0.2.{number}": 20 for number in range(100)}, 1))
    assert server.told == []


def test_a_server_that_was_stopped_takes_nobody_for_a_flood() -> None:
    """What came in a second is there at once then: who counts at that time sees a flood."""
    server = Server(FloodLimits(), capacity=1_000)
    rates = {"192.0.2.20": 400.0, "192.0.2.1": 20.0}
    first = sent(rates, 1)
    server.handle(first)
    longest = server.handle([(at + 1, source) for at, source in sent(rates, 3)], stopped_until=2.5)
    assert longest > 1
    assert server.told == []


def test_who_is_trusted_may_send_what_it_likes() -> None:
    limits = FloodLimits(trusted=(ip_network("192.0.2.64/28"), ip_network("2001:db8::1")))
    server = Server(limits, capacity=1_000)
    server.handle(sent({"192.0.2.66": 2_000, source_of("2001:db8::1"): 2_000}, 1))
    assert server.told == []


def test_who_was_kept_out_is_let_in_again() -> None:
    server = Server(FloodLimits(block_s=5), capacity=1_000)
    server.handle(sent({"192.0.2.66": 2_000}, 1))
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


def test_a_flood_over_tcp_that_makes_datagrams_wait_is_found() -> None:
    """Those who wait need not come the way that the flood takes."""
    server = Server(FloodLimits(requests=200), capacity=1_000)
    floods = server.floods
    for _ in range(40):
        server.now += 0.01
        counts = floods.streams.at(server.now)
        counts["192.0.2.9"] = counts.get("192.0.2.9", 0) + 30
        counts = floods.datagrams.at(server.now)
        counts["192.0.2.1"] = counts.get("192.0.2.1", 0) + 1
        floods.waited(0.05, floods.datagrams, server.now)
    assert server.told == ["192.0.2.9"]


@pytest.mark.parametrize(("share", "told"), [(0.3, []), (0.6, ["192.0.2.9"])])
def test_a_stream_that_has_more_than_is_taken_most_of_the_time_is_kept_out(
    share: float, told: list[str]
) -> None:
    server = Server(FloodLimits(requests=100), capacity=1_000)
    server.floods.streams.at(server.now)["192.0.2.9"] = 200
    server.floods.insists("192.0.2.9", share)
    assert server.told == told

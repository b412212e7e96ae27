"""The reactive traffic of a scenario: for each conversation both sides, its wire and its start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from remusnet.emulator.traffic.endpoints import (
    Answerer,
    Asker,
    Beacon,
    Echoer,
    Endpoint,
    Mute,
    Resolver,
    Tls,
    dns_server,
    echo_server,
)
from remusnet.emulator.traffic.sip import Callee, Caller, plan
from remusnet.emulator.traffic.tcp import TcpEnd
from remusnet.emulator.traffic.wire import IcmpWire, TcpWire, TunnelWire, UdpWire, Wire
from remusnet.scenario.scenario import Host, Scenario
from remusnet.scenario.traffic import Dns, Icmp, Side, Sip, Tcp, Transport, Tunnel
from remusnet.tcp.stack import Stack

SIP_PORT, SIPS_PORT = 5060, 5061
_FIRST_PORT = 40_000
_PORTS = 20_000
CONNECTION = "connection"
"""How the report names the connection beneath SIP."""


@dataclass(slots=True)
class Conversation:
    """``client`` begins at ``start_ns``. ``kind``: as `remusnet.results.exchanges.Transfer` names
    it. ``begins``: what of the report begins then; None where the client says so itself.
    """

    kind: str
    group: int
    number: int
    client: Side
    start_ns: int
    guest: Endpoint
    peer: Endpoint
    wire: Wire
    transport: str = ""
    begins: str | None = None


def conversations(scenario: Scenario) -> Iterator[Conversation]:
    """All of them, group by group; those that would begin after the end are left out."""
    for found in _all(scenario):
        if found.start_ns < scenario.duration_ns:
            yield found


def _all(scenario: Scenario) -> Iterator[Conversation]:
    host = scenario.host
    ports = _Ports()
    for group, sip in enumerate(scenario.sip, start=1):
        yield from (_sip(scenario, sip, group, number, ports) for number in range(sip.count))
    for group, tcp in enumerate(scenario.tcp, start=1):
        yield from (_tcp(scenario, tcp, group, number, ports) for number in range(tcp.count))
    for group, dns in enumerate(scenario.dns, start=1):
        yield from (_dns(host, dns, group, number, ports) for number in range(dns.count))
    for group, icmp in enumerate(scenario.icmp, start=1):
        yield from (_icmp(host, icmp, group, number) for number in range(icmp.count))
    for group, tunnel in enumerate(scenario.tunnels, start=1):
        yield _tunnel(host, tunnel, group)


class _Ports:
    """A client's port for each conversation."""

    def __init__(self) -> None:
        self._given = 0

    def next(self) -> int:
        """Free ports come again after `_PORTS` conversations."""
        self._given += 1
        return _FIRST_PORT + self._given % _PORTS


def _sides(client: Side, asks: Endpoint, answers: Endpoint) -> tuple[Endpoint, Endpoint]:
    """(guest, peer)."""
    return (asks, answers) if client is Side.GUEST else (answers, asks)


def _stacks(scenario: Scenario, client: Side) -> tuple[Stack, Stack]:
    """(the client's, the server's)."""
    guest, peer = scenario.guest_tcp, scenario.peer_tcp
    return (guest, peer) if client is Side.GUEST else (peer, guest)


def _sip(scenario: Scenario, sip: Sip, group: int, number: int, ports: _Ports) -> Conversation:
    host = scenario.host
    caller, callee = Caller(sip, number, plan(sip)), Callee(sip, number)
    at_guest = sip.client is Side.GUEST
    asks: Endpoint = caller
    answers: Endpoint = callee
    wire: Wire
    if sip.transport is Transport.UDP:
        wire = UdpWire(host, ports.next(), SIP_PORT, at_guest)
    else:
        secure = sip.transport is Transport.TLS
        if secure:
            asks, answers = Tls(caller, client=True), Tls(callee, client=False)
        wire = TcpWire(host, ports.next(), SIPS_PORT if secure else SIP_PORT, at_guest)
        own, other = _stacks(scenario, sip.client)
        asks = TcpEnd(asks, True, own, CONNECTION)
        answers = TcpEnd(answers, False, other, CONNECTION)
    guest, peer = _sides(sip.client, asks, answers)
    start_ns = sip.start_ns + number * sip.spacing_ns
    begins = None if sip.transport is Transport.UDP else CONNECTION
    return Conversation(
        "sip", group, number + 1, sip.client, start_ns, guest, peer, wire, sip.transport, begins
    )


def _tcp(scenario: Scenario, tcp: Tcp, group: int, number: int, ports: _Ports) -> Conversation:
    host = scenario.host
    own, other = (
        replace(each, rto_min_ns=tcp.rto_min_ns) for each in _stacks(scenario, tcp.client)
    )
    asks = TcpEnd(Asker(tcp, tcp.kind), True, own, tcp.kind)
    answers = TcpEnd(Answerer(tcp), False, other, tcp.kind)
    guest, peer = _sides(tcp.client, asks, answers)
    wire = TcpWire(host, ports.next(), tcp.port, tcp.client is Side.GUEST)
    start_ns = tcp.start_ns + number * tcp.spacing_ns
    return Conversation(
        tcp.kind, group, number + 1, tcp.client, start_ns, guest, peer, wire, "tcp", tcp.kind
    )


def _dns(host: Host, dns: Dns, group: int, number: int, ports: _Ports) -> Conversation:
    guest, peer = _sides(dns.client, Resolver(dns, number), dns_server())
    wire = UdpWire(host, ports.next(), 53, dns.client is Side.GUEST)
    start_ns = dns.start_ns + number * dns.spacing_ns
    return Conversation("dns", group, number + 1, dns.client, start_ns, guest, peer, wire, "udp")


def _icmp(host: Host, icmp: Icmp, group: int, number: int) -> Conversation:
    guest, peer = _sides(icmp.client, Echoer(icmp, number), echo_server())
    wire = IcmpWire(host, group, icmp.client is Side.GUEST)
    start_ns = icmp.start_ns + number * icmp.spacing_ns
    return Conversation("icmp", group, number + 1, icmp.client, start_ns, guest, peer, wire, "icmp")


def _tunnel(host: Host, tunnel: Tunnel, group: int) -> Conversation:
    return Conversation(
        "tunnel", group, 1, Side.GUEST, tunnel.start_ns, Beacon(tunnel), Mute(),
        TunnelWire(host, tunnel), tunnel.kind,
    )  # fmt: skip

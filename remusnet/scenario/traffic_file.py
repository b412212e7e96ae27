"""The traffic of a scenario file: calls, SIP, TCP, DNS, ICMP, tunnels and captures."""

from __future__ import annotations

from dataclasses import replace

from remusnet.scenario.quantity import NS_PER_S
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import (
    CODECS,
    Calls,
    Clock,
    Direction,
    Dns,
    Icmp,
    Recording,
    Role,
    Side,
    Sip,
    Tcp,
    TcpKind,
    Transport,
    Tunnel,
)
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import shown
from remusnet.units import format_duration

MS = 1_000_000
LONGEST_NS = 366 * 24 * 3600 * NS_PER_S
MOST_CALLS = 65_536
MOST_CONNECTIONS = 10_000
TUNNELS = ("gre", "ipip", "vxlan", "esp")
INNER = ("rtp", "tcp")


def read_traffic(top: Fields, scenario: Scenario) -> Scenario:
    """``scenario`` with the traffic that the file's top table describes."""
    return replace(
        scenario,
        calls=tuple(_calls(each, scenario) for each in top.inners("calls")),
        sip=tuple(_sip(each, scenario) for each in top.inners("sip")),
        tcp=tuple(_tcp(each, scenario) for each in top.inners("tcp")),
        dns=tuple(_dns(each, scenario) for each in top.inners("dns")),
        icmp=tuple(_icmp(each, scenario) for each in top.inners("icmp")),
        tunnels=tuple(_tunnel(each, scenario) for each in top.inners("tunnels")),
        recordings=tuple(_recording(each, scenario) for each in top.inners("captures")),
    )


def _start(fields: Fields, scenario: Scenario) -> int:
    start_ns = fields.duration("start", 0, most=LONGEST_NS)
    if start_ns >= scenario.duration_ns:
        fields.mistake("start", "after the end", f"before {format_duration(scenario.duration_ns)}")
    return start_ns


def _calls(fields: Fields, scenario: Scenario) -> Calls:
    codec = CODECS[fields.one_of("codec", "g711a", CODECS)]
    ptime_ns = fields.duration("ptime", 20 * MS, least=codec.frame_ns, most=120 * MS)
    if ptime_ns % codec.frame_ns:
        problem = f"{codec.name} has frames of {format_duration(codec.frame_ns)}"
        fields.mistake("ptime", problem, f"a multiple of {format_duration(codec.frame_ns)}")
    role = fields.word("guest", Role.SERVER, Role)
    if role is Role.RELAY and fields.has("clock"):
        fields.mistake("clock", "a relay passes on the phones' timestamps", 'guest = "server"')
    vad = fields.flag("vad", False)
    for key in ("talk", "silence"):
        if fields.has(key) and not vad:
            fields.mistake(key, "without silence suppression", "vad = true beside it")
    drawn = fields.table.get("phase", "random") == "random"
    found = Calls(
        count=fields.whole("count", 1, least=1, most=MOST_CALLS),
        codec=codec,
        ptime_ns=ptime_ns,
        role=role,
        direction=fields.word("direction", Direction.BOTH, Direction),
        clock=fields.word("clock", Clock.FROZEN, Clock),
        start_ns=_start(fields, scenario),
        duration_ns=(
            fields.duration("duration", None, least=1, most=LONGEST_NS)
            if fields.has("duration")
            else None
        ),
        phase_ns=None if drawn else fields.duration("phase", 0, most=NS_PER_S),
        drift_ppm=fields.whole("drift-ppm", 0, least=-10_000, most=10_000),
        vad=vad,
        # ITU-T P.59: talk spurts of 1.004 s and pauses of 1.587 s on average.
        talk_ns=fields.duration("talk", 1004 * MS, least=MS),
        silence_ns=fields.duration("silence", 1587 * MS, least=MS),
        srtp=fields.flag("srtp", False),
        ip=6 if fields.one_of("ip", "ipv4", ("ipv4", "ipv6")) == "ipv6" else 4,
        tagged=fields.flag("vlan", False),
    )
    if drawn:
        fields.one_of("phase", "random", ("random",))
    fields.finish()
    return found


def _sip(fields: Fields, scenario: Scenario) -> Sip:
    found = Sip(
        count=fields.whole("count", 1, least=1, most=MOST_CONNECTIONS),
        transport=fields.word("transport", Transport.UDP, Transport),
        client=fields.word("client", Side.PEER, Side),
        start_ns=_start(fields, scenario),
        spacing_ns=fields.duration("spacing", NS_PER_S),
        register=fields.flag("register", False),
        call=fields.flag("call", True),
        answer_ns=fields.duration("answer", 2 * NS_PER_S),
        talk_ns=fields.duration("talk", 10 * NS_PER_S),
        reinvite_ns=fields.duration("re-invite", 0) if fields.has("re-invite") else None,
        t1_ns=fields.duration("t1", 500 * MS, least=MS),
        t2_ns=fields.duration("t2", 4 * NS_PER_S, least=MS),
    )
    if not (found.register or found.call):
        fields.mistake("call", "neither a call nor a registration", "call or register = true")
    if found.reinvite_ns is not None and not found.call:
        fields.mistake("re-invite", "without a call", "call = true")
    fields.finish()
    return found


def _tcp(fields: Fields, scenario: Scenario) -> Tcp:
    kind = fields.word("kind", TcpKind.EXCHANGE, TcpKind)
    bulk = kind is TcpKind.BULK
    if bulk:
        for key in ("exchanges", "think"):
            if fields.has(key):
                fields.mistake(key, "bulk is one exchange", 'kind = "request-response"')
    most = 1 << 30
    found = Tcp(
        count=fields.whole("count", 1, least=1, most=MOST_CONNECTIONS),
        kind=kind,
        client=fields.word("client", Side.PEER, Side),
        start_ns=_start(fields, scenario),
        spacing_ns=fields.duration("spacing", NS_PER_S),
        request=fields.size("request", 200, least=1, most=most),
        response=fields.size("response", 1_000_000 if bulk else 2000, least=1, most=most),
        exchanges=fields.whole("exchanges", 1, least=1, most=100_000),
        think_ns=fields.duration("think", 0),
        # Linux's TCP_RTO_MIN; RFC 6298 (2.4) says 1 s.
        rto_min_ns=fields.duration("rto-min", 200 * MS, least=MS),
        port=fields.whole("port", 80, least=1, most=65535),
    )
    fields.finish()
    return found


def _dns(fields: Fields, scenario: Scenario) -> Dns:
    found = Dns(
        count=fields.whole("count", 1, least=1, most=MOST_CONNECTIONS),
        client=fields.word("client", Side.GUEST, Side),
        start_ns=_start(fields, scenario),
        spacing_ns=fields.duration("spacing", NS_PER_S),
        # resolv.conf(5): timeout 5 s, 2 attempts.
        retry_ns=fields.duration("retry", 5 * NS_PER_S, least=MS),
        tries=fields.whole("tries", 2, least=1, most=10),
    )
    fields.finish()
    return found


def _icmp(fields: Fields, scenario: Scenario) -> Icmp:
    found = Icmp(
        count=fields.whole("count", 10, least=1, most=MOST_CONNECTIONS),
        client=fields.word("client", Side.PEER, Side),
        start_ns=_start(fields, scenario),
        spacing_ns=fields.duration("spacing", NS_PER_S),
        size=fields.size("size", 56, least=0, most=1400),
    )
    fields.finish()
    return found


def _tunnel(fields: Fields, scenario: Scenario) -> Tunnel:
    found = Tunnel(
        kind=fields.one_of("kind", None, TUNNELS),
        inner=fields.one_of("inner", "tcp", INNER),
        start_ns=_start(fields, scenario),
        spacing_ns=fields.duration("spacing", 20 * MS, least=MS),
        size=fields.size("size", 200, least=12, most=1300),
        count=fields.whole("count", 1, least=1, most=1 << 20) if fields.has("count") else None,
    )
    fields.finish()
    return found


def _recording(fields: Fields, scenario: Scenario) -> Recording:
    file = fields.text("file", None, "the path of a capture")
    if fields.has("file") and not file:
        fields.mistake("file", f"invalid path: {shown(file)}", "the path of a capture")
    guest = fields.text("guest", None, "a MAC or IP address") if fields.has("guest") else None
    found = Recording(file, guest, _start(fields, scenario))
    fields.finish()
    return found

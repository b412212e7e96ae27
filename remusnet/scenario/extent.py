"""How much a scenario asks for: streams of a call, frames and packets, at most.

What a file may ask for is bounded by these before anything runs.
"""

from __future__ import annotations

from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Calls, Direction, Role

_TCP_FRAME = 1514
"""Of a full segment: 14 bytes of Ethernet and 1500 of IP."""
_SEGMENT = 1460
_RTP_HEADERS = 14 + 20 + 8 + 12
SRTP_TAG = 10
"""Bytes of authentication at a packet's end (RFC 3711, AES_CM_128_HMAC_SHA1_80)."""


def frame_bytes(calls: Calls) -> int:
    """Bytes of each RTP frame of these calls."""
    headers = _RTP_HEADERS + (20 if calls.ip == 6 else 0) + (4 if calls.tagged else 0)
    tag = SRTP_TAG if calls.srtp else 0
    return headers + calls.codec.payload_bytes(calls.ptime_ns) + tag


def legs(calls: Calls) -> list[tuple[int, bool]]:
    """(leg, whether the guest sends it). A relay sends both: what it receives is its input."""
    relay = calls.role is Role.RELAY
    both = [(0, True), (1, relay)]
    match calls.direction:
        case Direction.BOTH:
            return both
        case Direction.SEND:
            return both[:1]
        case Direction.RECEIVE:
            return both[1:]


def most_packets(scenario: Scenario) -> int:
    """The most packets that one stream of the scenario can have."""
    found = 0
    for calls in scenario.calls:
        length_ns = scenario.duration_ns - calls.start_ns
        if calls.duration_ns is not None:
            length_ns = min(length_ns, calls.duration_ns)
        found = max(found, length_ns // (calls.ptime_ns * 99 // 100))
    return found


def all_calls(scenario: Scenario) -> int:
    """The calls of all groups."""
    return sum(calls.count for calls in scenario.calls)


def all_exchanges(scenario: Scenario) -> int:
    """The dialogs, connections, queries and pings of all groups."""
    groups = (scenario.sip, scenario.tcp, scenario.dns, scenario.icmp)
    return sum(each.count for group in groups for each in group)


def all_packets(scenario: Scenario) -> int:
    """The most packets that calls, connections and tunnels of the scenario can have in all."""
    found = 0
    for calls in scenario.calls:
        length_ns = scenario.duration_ns - calls.start_ns
        if calls.duration_ns is not None:
            length_ns = min(length_ns, calls.duration_ns)
        found += calls.count * len(legs(calls)) * (length_ns // (calls.ptime_ns * 99 // 100))
    for tcp in scenario.tcp:
        segments = 2 + (tcp.request + tcp.response) // _SEGMENT
        found += tcp.count * tcp.exchanges * segments
    for tunnel in scenario.tunnels:
        sent = (scenario.duration_ns - tunnel.start_ns) // tunnel.spacing_ns
        found += sent if tunnel.count is None else min(tunnel.count, sent)
    return found


def largest_frame(scenario: Scenario) -> int | None:
    """Bytes of the largest frame that the guest sends; None where there is no traffic at all.

    A capture's frames are not known here.
    """
    sizes = [frame_bytes(calls) for calls in scenario.calls]
    sizes += [_TCP_FRAME] * len(scenario.tcp)
    # A SIP message with SDP, a DNS answer: what the templates make is no larger.
    sizes += [1000] * len(scenario.sip) + [120] * len(scenario.dns)
    sizes += [42 + icmp.size for icmp in scenario.icmp]
    sizes += [120 + tunnel.size for tunnel in scenario.tunnels]
    sizes += [0] * len(scenario.recordings)
    return max(sizes, default=None)

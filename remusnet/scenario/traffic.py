"""What guest and peers say in a scenario: calls with codecs, SIP, TCP, DNS, ICMP, tunnels,
captures.

Times are in ns, rates in bits a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remusnet.metrics.payload_types import RateSource
from remusnet.scenario.quantity import NS_PER_S


@dataclass(frozen=True, slots=True)
class Codec:
    """``clock_rate``: of RTP timestamps, in Hz. ``bit_rate``: of the payload, in bits a second.

    ``frame_ns``: packetization times are whole multiples of it. ``source``: where a reader of
    the packets knows the clock rate from: the static table (RFC 3551), or SDP.
    """

    name: str
    encoding: str
    payload_type: int
    clock_rate: int
    bit_rate: int
    frame_ns: int
    source: RateSource

    def payload_bytes(self, ptime_ns: int) -> int:
        """Bytes of payload in a packet of ``ptime_ns``."""
        return self.bit_rate * ptime_ns // (8 * NS_PER_S)

    def timestamp_step(self, ptime_ns: int) -> int:
        """How far RTP timestamps advance from one packet to the next."""
        return self.clock_rate * ptime_ns // NS_PER_S


_MS = 1_000_000
_OPUS_TYPE = 111
"""Opus has no static type (RFC 7587); 111 is what browsers offer."""

CODECS = {
    codec.name: codec
    for codec in (
        Codec("g711a", "PCMA", 8, 8000, 64_000, _MS, RateSource.STATIC),
        Codec("g711u", "PCMU", 0, 8000, 64_000, _MS, RateSource.STATIC),
        # RFC 3551, 4.5.2: it samples at 16000 Hz, and its clock runs at 8000 by an old mistake.
        Codec("g722", "G722", 9, 8000, 64_000, _MS, RateSource.STATIC),
        Codec("g729", "G729", 18, 8000, 8_000, 10 * _MS, RateSource.STATIC),
        # 32 kbit/s is a wideband voice call's rate; packets of 20 ms are RFC 7587's default.
        Codec("opus", "opus", _OPUS_TYPE, 48_000, 32_000, 5 * _MS // 2, RateSource.SDP),
    )
}


class Role(StrEnum):
    """What the guest does for a call."""

    SERVER = "server"
    """It sends media of its own, by its own clock."""
    RELAY = "relay"
    """It passes on what a phone sends: sequence numbers and timestamps are the phone's."""


class Direction(StrEnum):
    """Which streams of a call there are, seen from the guest (of a relay: from the first phone)."""

    BOTH = "both"
    SEND = "send"
    RECEIVE = "receive"


class Clock(StrEnum):
    """What a server's media clock does while the guest is down after a failure."""

    FROZEN = "frozen"
    """It stands, as the guest's memory does: timestamps go on where they were."""
    WALL = "wall"
    """It jumps to the time of day: timestamps leave out what was never sent."""


class Transport(StrEnum):
    """What carries SIP."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class TcpKind(StrEnum):
    """What a TCP connection does."""

    EXCHANGE = "request-response"
    BULK = "bulk"


class Side(StrEnum):
    """The side that begins."""

    PEER = "peer"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Calls:
    """``count`` calls that are alike. ``duration_ns``: None for until the end.

    ``phase_ns``: how much later than ``start_ns`` the first packet comes; None draws it from one
    packetization time. ``drift_ppm``: how much slower the sender's clock runs than the
    checkpointer's. ``vad``: silence suppression, by talk spurts of ``talk_ns`` and silences of
    ``silence_ns``, both exponential. ``tagged``: behind a VLAN tag. ``ip``: 4 or 6.
    """

    count: int
    codec: Codec
    ptime_ns: int
    role: Role
    direction: Direction
    clock: Clock
    start_ns: int
    duration_ns: int | None
    phase_ns: int | None
    drift_ppm: int
    vad: bool
    talk_ns: int
    silence_ns: int
    srtp: bool
    ip: int
    tagged: bool


@dataclass(frozen=True, slots=True)
class Sip:
    """``count`` dialogs that are alike, the next one ``spacing_ns`` after the one before.

    Each may register, set up a call, ``answer_ns`` after it rings, refresh it ``reinvite_ns`` after
    the set-up (None: not), and end it ``talk_ns`` after the set-up. ``t1_ns``, ``t2_ns``: RFC
    3261's timers. ``client``: the calling side.
    """

    count: int
    transport: Transport
    client: Side
    start_ns: int
    spacing_ns: int
    register: bool
    call: bool
    answer_ns: int
    talk_ns: int
    reinvite_ns: int | None
    t1_ns: int
    t2_ns: int


@dataclass(frozen=True, slots=True)
class Tcp:
    """``count`` connections that are alike, the next one ``spacing_ns`` after the one before.

    ``exchanges`` times a request of ``request`` bytes is answered by ``response`` bytes,
    ``think_ns`` apart. Bulk is one exchange. ``client``: the side that connects and asks.
    ``rto_min_ns``: the least retransmission timeout.
    """

    count: int
    kind: TcpKind
    client: Side
    start_ns: int
    spacing_ns: int
    request: int
    response: int
    exchanges: int
    think_ns: int
    rto_min_ns: int
    port: int


@dataclass(frozen=True, slots=True)
class Dns:
    """``count`` lookups, ``spacing_ns`` apart; sent again after ``retry_ns``, ``tries`` in all."""

    count: int
    client: Side
    start_ns: int
    spacing_ns: int
    retry_ns: int
    tries: int


@dataclass(frozen=True, slots=True)
class Icmp:
    """``count`` echo requests, ``spacing_ns`` apart, of ``size`` bytes of data."""

    count: int
    client: Side
    start_ns: int
    spacing_ns: int
    size: int


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A packet every ``spacing_ns`` from the guest: ``kind`` carries ``inner``, ``size`` bytes."""

    kind: str
    inner: str
    start_ns: int
    spacing_ns: int
    size: int
    count: int | None


@dataclass(frozen=True, slots=True)
class Recording:
    """A capture to mix in, beginning at ``start_ns``; ``guest``: as for a replay, or None."""

    file: str
    guest: str | None
    start_ns: int

"""Codecs as a scenario names them: payload type, RTP clock and how many bytes a packet carries."""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.metrics.payload_types import RateSource

NS_PER_S = 1_000_000_000


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

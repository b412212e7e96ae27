"""RTP payload types: what they encode, and at which clock rate timestamps count."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RateSource(StrEnum):
    """Where a clock rate is known from."""

    STATIC = "static"
    """RFC 3551's table."""
    SDP = "sdp"
    """An rtpmap attribute in the capture (RFC 8866, section 6.6)."""
    ESTIMATED = "estimated"
    """How fast the stream's timestamps advance: the common rate that comes closest."""
    ASSUMED = "assumed"
    """Nowhere: the stream's other types, or telephony's 8000 Hz. Its jitter is a guess too."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A payload format and its RTP clock rate in Hz."""

    name: str
    clock_rate: int


@dataclass(frozen=True, slots=True)
class PayloadType:
    """A payload type as one stream uses it; ``encoding`` is None where nothing names it."""

    number: int
    encoding: str | None
    clock_rate: int
    source: RateSource

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "number": self.number,
            "encoding": self.encoding,
            "clock_rate": self.clock_rate,
            "source": str(self.source),
        }


ASSUMED_CLOCK_RATE = 8000
COMMON_CLOCK_RATES = (8000, 16000, 32000, 44100, 48000, 90000)
_OFF_BY_AT_MOST = 1.2


def common_clock_rate(ticks_per_second: float) -> int | None:
    """The common clock rate closest to a measured one; None where none is within 20 %.

    >>> common_clock_rate(47_500.0), common_clock_rate(3.0)
    (48000, None)
    """
    for rate in sorted(COMMON_CLOCK_RATES, key=lambda rate: abs(rate - ticks_per_second)):
        if rate / _OFF_BY_AT_MOST < ticks_per_second < rate * _OFF_BY_AT_MOST:
            return rate
    return None


STATIC = {
    0: Encoding("PCMU", 8000),
    3: Encoding("GSM", 8000),
    4: Encoding("G723", 8000),
    5: Encoding("DVI4", 8000),
    6: Encoding("DVI4", 16000),
    7: Encoding("LPC", 8000),
    8: Encoding("PCMA", 8000),
    # It samples at 16000 Hz; its RTP clock runs at 8000 by an old mistake (RFC 3551, 4.5.2).
    9: Encoding("G722", 8000),
    10: Encoding("L16", 44100),
    11: Encoding("L16", 44100),
    12: Encoding("QCELP", 8000),
    13: Encoding("CN", 8000),
    14: Encoding("MPA", 90000),
    15: Encoding("G728", 8000),
    16: Encoding("DVI4", 11025),
    17: Encoding("DVI4", 22050),
    18: Encoding("G729", 8000),
    25: Encoding("CelB", 90000),
    26: Encoding("JPEG", 90000),
    28: Encoding("nv", 90000),
    31: Encoding("H261", 90000),
    32: Encoding("MPV", 90000),
    33: Encoding("MP2T", 90000),
    34: Encoding("H263", 90000),
}
"""The static assignments of RFC 3551, tables 4 and 5. Nothing may redefine them."""

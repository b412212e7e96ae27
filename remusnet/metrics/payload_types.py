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
    """Of telephone events that nothing describes: the clock of the audio beside them."""
    UNKNOWN = "unknown"
    """Nowhere: there is no rate, and so no jitter in ms."""


class Medium(StrEnum):
    """What a payload is, as an ``m=`` line has it (RFC 8866, section 5.14)."""

    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    APPLICATION = "application"
    MESSAGE = "message"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A payload format and its RTP clock rate in Hz."""

    name: str
    clock_rate: int
    medium: Medium | None = Medium.AUDIO

    @property
    def is_event(self) -> bool:
        """Whether it carries key presses or tones, not sound (RFC 4733)."""
        return self.name.lower() in _EVENTS


@dataclass(frozen=True, slots=True)
class PayloadType:
    """A payload type as one stream uses it.

    ``encoding``, ``clock_rate``, ``medium``: None where nothing tells. ``is_event``: RFC 4733.
    """

    number: int
    encoding: str | None
    clock_rate: int | None
    source: RateSource
    medium: Medium | None = Medium.AUDIO
    is_event: bool = False

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "number": self.number,
            "encoding": self.encoding,
            "clock_rate": self.clock_rate,
            "source": str(self.source),
            "medium": self.medium and str(self.medium),
        }


_EVENTS = ("telephone-event", "tone")

VIDEO_CLOCK_RATE = 90_000
"""Of nearly all video, and of next to no audio without a static type (RFC 3551, section 5)."""
COMMON_CLOCK_RATES = (
    8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, VIDEO_CLOCK_RATE,
)  # fmt: skip
OFF_BY_AT_MOST = 0.04
"""Less than half of the 8.8 % between 11,025 and 12,000, or 44,100 and 48,000."""


def common_clock_rate(ticks_per_second: float) -> int | None:
    """The common clock rate closest to a measured one; None where none is within 4 %.

    >>> common_clock_rate(47_500.0), common_clock_rate(3.0)
    (48000, None)
    """
    rate = min(COMMON_CLOCK_RATES, key=lambda rate: abs(rate - ticks_per_second))
    return rate if abs(ticks_per_second - rate) <= rate * OFF_BY_AT_MOST else None


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
    25: Encoding("CelB", 90000, Medium.VIDEO),
    26: Encoding("JPEG", 90000, Medium.VIDEO),
    28: Encoding("nv", 90000, Medium.VIDEO),
    31: Encoding("H261", 90000, Medium.VIDEO),
    32: Encoding("MPV", 90000, Medium.VIDEO),
    33: Encoding("MP2T", 90000, Medium.VIDEO),
    34: Encoding("H263", 90000, Medium.VIDEO),
}
"""The static assignments of RFC 3551, tables 4 and 5. Nothing may redefine them."""

"""The E-model: what a listener would say of a call, from its delay, its codec and its losses.

ITU-T G.107 (06/2015) rates a connection by ``R = Ro - Is - Id - Ie,eff + A``: 0 is hopeless, and
93.2 is a connection whose parameters all have their default values. Its Annex B makes a mean
opinion score of R: MOS-CQE, conversational quality, estimated. Narrow-band telephony ends at 4.5.

Here everything but delay, codec and loss has its default (G.107, clause 7.7): no noise, loudness as
planned, echo cancelled perfectly (so of Id only the delay itself is left, Idd), and no advantage
(A = 0) for callers who are glad to be connected at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT_R = 93.2
"""R of the default connection: Ro - Is - Idle without delay, loss or codec (G.107, clause 7.7)."""

HIGHEST_MOS = 4.5
"""Annex B: R of 100 and more."""

_DELAY_UNHEARD_MS = 100.0
"""mT of G.107: delays up to it do no harm, to users of default sensitivity (sT = 1)."""


@dataclass(frozen=True, slots=True)
class RatedCodec:
    """How a codec sounds by itself (``ie``), and how well it bears lost packets (``bpl``).

    ``ie``: the equipment impairment factor, 0 to 95. ``bpl``: the packet-loss robustness factor.
    ``source``: where both are from.
    """

    name: str
    ie: float
    bpl: float
    source: str


_TABLE = "ITU-T G.113 (11/2007), Appendix I, table I.4"

RATED_CODECS = {
    "PCMA": RatedCodec("G.711 with loss concealment", 0.0, 25.1, _TABLE),
    "PCMU": RatedCodec("G.711 with loss concealment", 0.0, 25.1, _TABLE),
    "G729": RatedCodec("G.729A", 11.0, 19.0, _TABLE),
    "G723": RatedCodec("G.723.1 at 6.3 kbit/s", 15.0, 16.1, _TABLE),
    "GSM-EFR": RatedCodec("GSM-EFR", 5.0, 10.0, _TABLE),
}
"""By RTP encoding name (RFC 3551, RFC 4856)."""

G711_WITHOUT_CONCEALMENT = RatedCodec("G.711 without loss concealment", 0.0, 4.3, _TABLE)
"""Of phones that play silence for a lost packet. Those that repeat what came before are
`RATED_CODECS`'s G.711 (G.711, Appendix I): that is what phones do today."""


def codec_of(encoding: str | None) -> RatedCodec:
    """The codec of an RTP encoding name.

    What G.113 has no narrow-band factors for (G.722, Opus, an unknown one) is rated as G.711 with
    loss concealment, and its ``source`` says that this is an assumption.
    """
    known = RATED_CODECS.get((encoding or "").upper())
    if known is not None:
        return known
    source = f"assumed: G.113 has no narrow-band factors for {encoding or 'an unknown encoding'}"
    return RatedCodec("rated as G.711 with loss concealment", 0.0, 25.1, source)


def delay_impairment(delay_ms: float) -> float:
    """Idd for an absolute delay from mouth to ear (Ta), in ms (G.107, clause 7.4).

    0 up to 100 ms; above, with X = log2(Ta / 100 ms):
    ``25 [ (1 + X^6)^(1/6) - 3 (1 + (X/3)^6)^(1/6) + 2 ]``.

    Raises ValueError for a negative delay.

    >>> delay_impairment(100), round(delay_impairment(400), 1)
    (0.0, 24.1)
    """
    if not delay_ms >= 0:
        raise ValueError(f"a delay of {delay_ms} ms")
    if delay_ms <= _DELAY_UNHEARD_MS:
        return 0.0
    x = math.log2(delay_ms / _DELAY_UNHEARD_MS)
    grows = (1 + x**6) ** (1 / 6)
    saturates = 3 * (1 + (x / 3) ** 6) ** (1 / 6)
    return max(0.0, float(25 * (grows - saturates + 2)))


def loss_impairment(codec: RatedCodec, loss_percent: float, burst_ratio: float = 1.0) -> float:
    """Ie,eff of a codec that loses packets (G.107, clause 7.5).

    ``Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl)``. ``loss_percent``: Ppl, 0 to 100: a share, not a
    count, of what never came and what came too late to be played. ``burst_ratio``: BurstR, the mean
    length of a run of losses over that of random losses; 1 where they are random, more where they
    come together. G.107 vouches for it up to 2; beyond that it is an extrapolation, and never
    kinder than the formula at 2.

    Raises ValueError for a share outside of 0 to 100 or a ratio that isn't positive.
    """
    if not 0 <= loss_percent <= 100:
        raise ValueError(f"a loss of {loss_percent} %")
    if not burst_ratio > 0:
        raise ValueError(f"a burst ratio of {burst_ratio}")
    share = loss_percent / (loss_percent / burst_ratio + codec.bpl)
    return codec.ie + (95 - codec.ie) * share


def rating(
    codec: RatedCodec, delay_ms: float, loss_percent: float = 0.0, burst_ratio: float = 1.0
) -> float:
    """R of a call: 93.2 less what delay, codec and loss take. It can be below 0.

    Arguments and errors: `delay_impairment`, `loss_impairment`.
    """
    impairment = delay_impairment(delay_ms) + loss_impairment(codec, loss_percent, burst_ratio)
    return DEFAULT_R - impairment


def mos(r: float) -> float:
    """MOS-CQE of a rating, 1 to 4.5 (G.107, Annex B).

    ``1 + 0.035 R + R (R - 60) (100 - R) 7e-6`` between R = 0 and R = 100. Near R = 0 this cubic
    dips below 1, to 0.99; it is cut off at 1, so that a worse call never scores better.

    >>> round(mos(93.2), 2)
    4.41
    """
    if r <= 0:
        return 1.0
    if r >= 100:
        return HIGHEST_MOS
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)

"""Jitter that a checkpoint schedule must cause, in closed form: what measurements are held to.

All of them are for RTP that is sent every ``ptime_ms`` without jitter of its own, and for long
streams: the estimator starts at zero, so the mean of a 7 s call reads 5 % low; use 40 s.
``period_ms`` runs from commit to commit: the checkpoint interval, plus the pause and the commit
delay where the schedule starts its timer after the commit.

Derivation. Held packets leave together at the commit. A period of I ms releases k = I/p packets:
k - 1 of them come p ms earlier after their predecessor than their timestamps say (|D| = p), and the
first of the next burst comes I - p late (|D| = I - p). The mean of J is the mean of |D|, since the
filter has unit gain. In the steady state J decays with q = 15/16 a packet; summing the geometric
series over one period gives peak and trough. Source of setting and estimator: J. Hlaváček,
Robustness of VoIP Systems, CTU Prague 2014, section 4.2; RFC 3550, section 6.4.1.
"""

from __future__ import annotations

from remusnet.metrics.arrivals import GAIN

_KEEP = 1 - GAIN


def burst_size(period_ms: float, ptime_ms: float = 20.0) -> float:
    """Packets that a commit releases, on average."""
    _check(period_ms, ptime_ms)
    return period_ms / ptime_ms


def held_mean(period_ms: float, ptime_ms: float = 20.0) -> float:
    """Mean jitter in ms where everything is held: ``2p(1 - p/I)``, with p = 20: 40(1 - 20/I).

    Where the period isn't a multiple of ptime the bursts alternate between two sizes, and the mean
    is the same. Commit latency and pause do not change it: they delay whole bursts.

    >>> held_mean(400)
    38.0
    """
    _check(period_ms, ptime_ms)
    return 2 * ptime_ms * (1 - ptime_ms / period_ms)


def held_peak(period_ms: float, ptime_ms: float = 20.0) -> float:
    """Jitter in ms after a burst's first packet, where everything is held and k = I/p is whole:

    ``[p q (1 - q^(k-1)) + (I - p)/16] / (1 - q^k)``.

    Raises ValueError where the period isn't a multiple of ptime: then there is no steady state.

    >>> round(held_peak(400), 1)
    51.0
    """
    k = _whole_burst(period_ms, ptime_ms)
    early = ptime_ms * _KEEP * (1 - _KEEP ** (k - 1))
    late = (period_ms - ptime_ms) * GAIN
    return (early + late) / (1 - _KEEP**k)


def held_trough(period_ms: float, ptime_ms: float = 20.0) -> float:
    """Jitter in ms after a burst's last packet: what the k - 1 early ones leave of the peak.

    >>> round(held_trough(400), 1)
    29.1
    """
    k = _whole_burst(period_ms, ptime_ms)
    left = _KEEP ** (k - 1)
    return held_peak(period_ms, ptime_ms) * left + ptime_ms * (1 - left)


def bypass_mean(period_ms: float, pause_ms: float, ptime_ms: float = 20.0) -> float:
    """Mean jitter in ms where RTP bypasses, and the guest pauses once a period; baseline excluded.

    For a pause of P up to p: ``P**2 / I``; above: ``(2P - p) p / I``. Less ``(P - (I - p))**2 / I``
    where less than p is left between two pauses (P > I - p; with p = 20 and I = 40 from 20 ms).

    A packet is due at a phase t into its period, and late by g(t) = max(0, P - t). The next one is
    due at t + p, so the mean of |D| is that of ``|g(t + p) - g(t)|``. Lateness grows only across
    the period's end, by (P - s) - max(0, P - (I - p) - s) for a next one at s < p; what it grows by
    there it loses elsewhere, so the mean is twice that integral over s, by I. The second term is
    the predecessor's own lateness: it was late too if it was due in the pause. At P = I nothing
    leaves but at the resume, and this is `held_mean`.

    The phase has to drift, or the period be no multiple of ptime. For locked clocks (300 = 15 x 20)
    there is `locked_bypass_mean`. Raises ValueError for a pause that is no shorter than the period:
    no guest runs then, and no schedule allows it.

    >>> bypass_mean(40, 20), bypass_mean(40, 30)
    (10.0, 17.5)
    """
    _check_pause(period_ms, pause_ms, ptime_ms)
    # Of all phases in [0, p): the mean lateness of the first packet, and that of the last.
    first = _mean_excess(pause_ms, ptime_ms)
    last = _mean_excess(pause_ms - (period_ms - ptime_ms), ptime_ms)
    return 2 * ptime_ms * (first - last) / period_ms


def locked_bypass_mean(
    period_ms: float, pause_ms: float, phase_ms: float, ptime_ms: float = 20.0
) -> float:
    """As `bypass_mean`, of packets due ``phase_ms`` after each suspend and every ptime from there:

    ``2 [max(0, P - phase) - max(0, P - phase - (I - p))] p / I``, with 0 <= phase < p.

    The first one of a period is the latest, by P - phase; the last one, I - p behind it, is late
    where it is in the pause as well (only if P > I - p). From the last to the next first lateness
    grows by the difference, and from there to the last it falls by as much. With I = 40 and phase 0
    that is P for a pause up to 20 ms, and 20 ms, as if all were held, for any longer one: both
    packets of a period leave at the resume. The mean over all phases is `bypass_mean`.

    Raises ValueError where the period is no multiple of ptime: then nothing is locked.

    >>> locked_bypass_mean(40, 30, 0), locked_bypass_mean(40, 30, 15)
    (20.0, 15.0)
    """
    _check_pause(period_ms, pause_ms, ptime_ms)
    _whole_burst(period_ms, ptime_ms)
    if not 0 <= phase_ms < ptime_ms:
        raise ValueError(f"a phase of {phase_ms} ms isn't within {ptime_ms} ms")
    first = max(0.0, pause_ms - phase_ms)
    last = max(0.0, first - (period_ms - ptime_ms))
    return 2 * (first - last) * ptime_ms / period_ms


def _mean_excess(late_ms: float, ptime_ms: float) -> float:
    """The mean of max(0, late - phase) over all phases below ptime."""
    if late_ms <= ptime_ms:
        return max(0.0, late_ms) ** 2 / (2 * ptime_ms)
    return late_ms - ptime_ms / 2


def _check(period_ms: float, ptime_ms: float) -> None:
    if not 0 < ptime_ms <= period_ms:
        raise ValueError(f"a period of {period_ms} ms holds no packets {ptime_ms} ms apart")


def _check_pause(period_ms: float, pause_ms: float, ptime_ms: float) -> None:
    _check(period_ms, ptime_ms)
    if not 0 <= pause_ms < period_ms:
        raise ValueError(f"a pause of {pause_ms} ms doesn't fit into {period_ms} ms")


def _whole_burst(period_ms: float, ptime_ms: float) -> int:
    k = burst_size(period_ms, ptime_ms)
    if k != round(k):
        raise ValueError(f"{period_ms} ms is no multiple of {ptime_ms} ms")
    return round(k)

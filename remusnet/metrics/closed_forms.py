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

from remusnet.metrics.jitter import GAIN

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

    For a pause of P up to p: ``P**2 / I``; above: ``(2P - p) p / I``. A packet that was due in the
    pause, at a phase uniform in it, leaves at the resume. With P <= p at most one is hit (chance
    P/p, late by P/2 on average), and it moves two intervals, its own and the next one:
    2 (P/p)(P/2) a period of I/p packets. With P > p the first of several comes late by P - p/2 on
    average, and those behind it come early by as much in sum.

    The phase has to drift. Locked clocks (300 = 15 x 20) give no hit at all, or the same hit in
    each period. The pause must be shorter than the period less one ptime, or the pauses' effects
    run into each other.
    """
    _check(period_ms, ptime_ms)
    if not 0 <= pause_ms <= period_ms - ptime_ms:
        raise ValueError(f"a pause of {pause_ms} ms doesn't fit into {period_ms} ms")
    if pause_ms <= ptime_ms:
        return pause_ms**2 / period_ms
    return (2 * pause_ms - ptime_ms) * ptime_ms / period_ms


def _check(period_ms: float, ptime_ms: float) -> None:
    if not 0 < ptime_ms <= period_ms:
        raise ValueError(f"a period of {period_ms} ms holds no packets {ptime_ms} ms apart")


def _whole_burst(period_ms: float, ptime_ms: float) -> int:
    k = burst_size(period_ms, ptime_ms)
    if k != round(k):
        raise ValueError(f"{period_ms} ms is no multiple of {ptime_ms} ms")
    return round(k)

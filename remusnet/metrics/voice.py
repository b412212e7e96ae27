"""What a listener makes of an RTP stream: playing it, counting what is missing, rating it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from remusnet.frames import Bools, Int64s
from remusnet.metrics.arrivals import MAX_DROPOUT, MAX_MISORDER, clock_jumps, signed32
from remusnet.metrics.emodel import RatedCodec, mos, rating
from remusnet.metrics.jitter_buffer import JitterBuffer, play_out
from remusnet.metrics.percentiles import NS_PER_MS, rounded

NS_PER_S = 1_000_000_000
WINDOW_NS = 10 * NS_PER_S
"""The stretch of a call that is rated by itself: a second of silence in an hour is no bad call, but
it is ten bad seconds. Stretches overlap by half, so that no border cuts a short outage in two."""
LONGEST_GAP_NS = 60 * NS_PER_S
"""More silence than this is a call on hold, or a damaged time; no more than this is missing."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A stream as heard through one jitter buffer (``buffer``: its name).

    ``mos``, ``r``: of the whole stream (`emodel`). ``mos_min``: of its worst `WINDOW_NS`.
    ``delay_ms``: mouth to ear, on average. ``missing_percent``: of what should have been heard,
    what was not: lost, late, or never sent in an outage. ``late_percent``: what came too late.
    ``burst_ratio``: how much longer the gaps are than those of random losses. ``longest_gap_ms``.
    ``codec``: what it was rated as, and whether that is an assumption.
    """

    buffer: str
    mos: float
    mos_min: float
    r: float
    delay_ms: float
    missing_percent: float
    late_percent: float
    burst_ratio: float
    longest_gap_ms: float
    codec: RatedCodec

    def to_json(self) -> dict[str, object]:
        """As ``simulate --json`` has it."""
        return {
            "buffer": self.buffer,
            "mos": rounded(self.mos),
            "mos_min": rounded(self.mos_min),
            "r": rounded(self.r),
            "delay_ms": rounded(self.delay_ms),
            "missing_percent": rounded(self.missing_percent),
            "late_percent": rounded(self.late_percent),
            "burst_ratio": rounded(self.burst_ratio),
            "longest_gap_ms": rounded(self.longest_gap_ms),
            "codec": self.codec.name,
            "codec_source": self.codec.source,
        }


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedPackets:
    """n packets of one stream as they arrived, in that order; all int64[n].

    ``sequence``: 16 bits. ``timestamp``: 32 bits. ``sent_ns``, ``arrival_ns``: on one clock.
    ``event``: bool[n], packets of telephone events; None where there are none.
    """

    sequence: Int64s
    timestamp: Int64s
    sent_ns: Int64s
    arrival_ns: Int64s
    event: Bools | None = None


def listen(
    received: ReceivedPackets,
    buffers: Sequence[JitterBuffer],
    codec: RatedCodec,
    *,
    clock_rate: int,
    ptime_ns: int,
    expected_after: int = 0,
) -> tuple[Voice, ...]:
    """How a stream sounds through each of ``buffers``; empty where no packet came.

    ``ptime_ns``: how long a packet sounds. ``expected_after``: packets sent after the last that
    came. What the sender left out in a silence (timestamps that step on while sequence numbers
    don't) isn't missing; what a dead sender didn't send is: the silence is heard when playing
    starts anew. A packet that waits for its time is delayed, so depth costs as much as distance.
    Telephone events are played as tones, for as long as they say, and none of them is late or
    missing sound (RFC 4733, section 2.2.1). Where the clock begins anew (`clock_jumps`), sound goes
    on as sequence numbers do.

    Raises ValueError for a clock rate or packet time that isn't positive.
    """
    spoken = _spoken(received, clock_rate, ptime_ns)
    if spoken is None:
        return ()
    return tuple(_listen(spoken, each, codec, ptime_ns, expected_after) for each in buffers)


@dataclass(frozen=True, slots=True, eq=False)
class _Spoken:
    """The first copies of n packets of media, in order of arrival; all int64[n].

    ``number``: sequence numbers without wraps, from 0. ``media_ns``: when each sounds, from 0.
    """

    number: Int64s
    media_ns: Int64s
    sent_ns: Int64s
    arrival_ns: Int64s


def _spoken(received: ReceivedPackets, clock_rate: int, ptime_ns: int) -> _Spoken | None:
    """What there is to hear, whatever plays it; None where no packet of media came."""
    if clock_rate <= 0 or ptime_ns <= 0:
        raise ValueError(f"{clock_rate} Hz, {ptime_ns} ns a packet")
    if len(received.sequence) == 0:
        return None
    number = _counted(received.sequence)
    first = _first_copies(number)
    number = number[first]
    if received.event is not None:
        event = received.event[first]
        pressed = np.sort(number[event])
        first, number = first[~event], number[~event]
        number = number - np.searchsorted(pressed, number)
        if len(first) == 0:
            return None
    media_ns = _media_ns(received, first, number, clock_rate, ptime_ns)
    return _Spoken(number, media_ns, received.sent_ns[first], received.arrival_ns[first])


def _listen(
    spoken: _Spoken, buffer: JitterBuffer, codec: RatedCodec, ptime_ns: int, expected_after: int
) -> Voice:
    """How it sounds through ``buffer``."""
    number, media_ns = spoken.number, spoken.media_ns
    playout = play_out(buffer, media_ns, spoken.arrival_ns, ptime_ns)

    heard = np.flatnonzero(~playout.late)
    heard = heard[np.argsort(number[heard], kind="stable")]
    play_ns = playout.play_ns[heard]
    rhythm = np.cumsum(playout.fresh, dtype=np.int64)[heard]
    gap = _missing_before(number[heard], media_ns[heard], play_ns, rhythm, ptime_ns)
    tail = expected_after + int(number.max() - number[heard[-1]])
    gaps = np.minimum(np.concatenate([gap, [tail]]), LONGEST_GAP_NS // ptime_ns)
    gap_start_ns = np.concatenate([play_ns[:1], play_ns]) + ptime_ns

    delay_ns = float((play_ns - spoken.sent_ns[heard]).mean()) + ptime_ns
    delay_ms = max(0.0, delay_ns / NS_PER_MS)
    missing, ratio = _losses(len(heard), gaps)
    r = rating(codec, delay_ms, missing, ratio)
    worst = r
    if missing:  # else no stretch is worse than the whole
        worst = min(
            rating(codec, delay_ms, *_losses(count, within))
            for count, within in _windows(play_ns, gaps, gap_start_ns, ptime_ns)
        )
    late = int(playout.late.sum())
    return Voice(
        buffer=buffer.name,
        mos=mos(r),
        mos_min=mos(min(r, worst)),
        r=r,
        delay_ms=delay_ms,
        missing_percent=missing,
        late_percent=100 * late / (len(heard) + int(gaps.sum())),
        burst_ratio=ratio,
        longest_gap_ms=int(gaps.max()) * ptime_ns / NS_PER_MS,
        codec=codec,
    )


def _counted(sequence: Int64s) -> Int64s:
    """Sequence numbers without wraps, from 0. A sender that begins anew (RFC 3550, A.1) goes on."""
    steps = (np.diff(sequence) + 2**15) % 2**16 - 2**15
    steps[(steps >= MAX_DROPOUT) | (steps <= -MAX_MISORDER)] = 1
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(steps)])


def _media_ns(
    received: ReceivedPackets, first: Int64s, number: Int64s, clock_rate: int, ptime_ns: int
) -> Int64s:
    """When each of the packets ``first`` sounds, by its timestamp: int64[n], from 0."""
    timestamp, arrival_ns = received.timestamp[first], received.arrival_ns[first]
    rates = np.full(len(first), clock_rate, np.int64)
    fresh, _ = clock_jumps(arrival_ns, timestamp, received.sequence[first], rates)
    ticks = signed32(np.diff(timestamp, prepend=timestamp[0]))
    if fresh.any():
        step_ns = np.diff(number, prepend=number[0]) * ptime_ns
        ticks = np.where(fresh, np.rint(step_ns * (clock_rate / NS_PER_S)).astype(np.int64), ticks)
    media_ns: Int64s = np.rint(np.cumsum(ticks) * (NS_PER_S / clock_rate)).astype(np.int64)
    return media_ns


def _first_copies(number: Int64s) -> Int64s:
    """The rows of packets that didn't come before, in order of arrival."""
    if (np.diff(number) > 0).all():
        return np.arange(len(number))
    _, first = np.unique(number, return_index=True)
    return np.sort(first)


def _missing_before(
    number: Int64s, media_ns: Int64s, play_ns: Int64s, rhythm: Int64s, ptime_ns: int
) -> Int64s:
    """Packets not heard between each heard packet and the one before it: int64[n], 0 first.

    Sequence numbers tell of those that were sent. Where playing started anew (``rhythm`` changes)
    and came later than timestamps say, the sender sent nothing in between: that counts too.
    """
    lost_ns = np.maximum(np.diff(number) - 1, 0) * ptime_ns
    passed_ns = np.diff(play_ns)
    stalled_ns = np.maximum(passed_ns - np.diff(media_ns), 0)
    # Timestamps may begin anew too: never more silence than time has passed.
    silent_ns = np.minimum(lost_ns + stalled_ns, np.maximum(passed_ns - ptime_ns, 0))
    missing_ns = np.where(np.diff(rhythm) > 0, silent_ns, lost_ns)
    missing = np.rint(missing_ns / ptime_ns).astype(np.int64)
    return np.concatenate([np.zeros(1, np.int64), missing])


def _losses(heard: int, gaps: Int64s) -> tuple[float, float]:
    """Missing packets in percent, and their burst ratio, at least 1.

    The burst ratio (G.107, clause 7.5) is the mean length of a gap over the 1 / (1 - p) packets
    that gaps have where each packet is lost by itself with probability p.
    """
    missing = int(gaps.sum())
    if missing == 0:
        return 0.0, 1.0
    share = missing / (heard + missing)
    mean_length = missing / int(np.count_nonzero(gaps))
    return 100 * share, max(1.0, mean_length * (1 - share))


def _windows(
    play_ns: Int64s, gaps: Int64s, gap_start_ns: Int64s, ptime_ns: int
) -> Iterator[tuple[int, Int64s]]:
    """Heard packets and gaps of each `WINDOW_NS`; a gap is cut where a window ends.

    Less than half a window at the end counts with the one before.
    """
    # Every missing packet by itself: the gap that it is of, and when it should have sounded.
    owner = np.repeat(np.arange(len(gaps)), gaps)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(gaps) - gaps, gaps)
    missing_ns = gap_start_ns[owner] + place * ptime_ns
    begin_ns = int(play_ns.min())
    length_ns = int(max(play_ns.max(), missing_ns.max(initial=begin_ns))) + ptime_ns - begin_ns
    count = max(1, round(length_ns / WINDOW_NS))
    yield from _pieces(
        np.minimum((play_ns - begin_ns) // WINDOW_NS, count - 1),
        np.minimum((missing_ns - begin_ns) // WINDOW_NS, count - 1),
        owner,
        range(count),
    )
    begin_ns += WINDOW_NS // 2
    yield from _pieces(
        (play_ns - begin_ns) // WINDOW_NS,
        (missing_ns - begin_ns) // WINDOW_NS,
        owner,
        range((length_ns - WINDOW_NS // 2) // WINDOW_NS),
    )


def _pieces(
    heard: Int64s, missing: Int64s, owner: Int64s, windows: range
) -> Iterator[tuple[int, Int64s]]:
    """How many packets are heard in each of ``windows`` that has any, and its gaps' lengths.

    ``heard``, ``missing``: the window of each packet. ``owner``: the gap of each missing one.
    """
    # A piece of a gap ends where the gap does, or the window.
    cut = (np.diff(owner, prepend=-1) != 0) | (np.diff(missing, prepend=-2) != 0)
    piece = np.flatnonzero(cut)
    lengths = np.diff(piece, append=len(owner))
    pieces_of = _grouped(missing[piece])
    heard_in = {number: len(rows) for number, rows in _grouped(heard).items()}
    none = np.zeros(0, np.int64)
    for number in sorted(heard_in.keys() | pieces_of.keys()):
        if number in windows:
            yield heard_in.get(number, 0), lengths[pieces_of.get(number, none)]


def _grouped(keys: Int64s) -> dict[int, Int64s]:
    """Where each key stands: {key: int64[k], indices}."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    start = np.flatnonzero(np.diff(ordered, prepend=-2) != 0)
    groups = np.split(order, start[1:])
    return {int(keys[rows[0]]): rows for rows in groups if len(rows)}

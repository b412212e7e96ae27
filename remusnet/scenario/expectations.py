"""What the thesis's figures are expected to show: closed forms, sentences, and what was seen.

Source of the sentences: J. Hlaváček, Robustness of VoIP Systems, CTU Prague 2014, chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from remusnet.metrics.arrivals import GAIN, Float64s
from remusnet.metrics.closed_forms import burst_size, bypass_mean, held_mean, held_peak
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.results.comparison import Outcome
from remusnet.results.scene import Expectation, FailureMarks
from remusnet.results.stream import PacketSeries, Stream
from remusnet.scenario.quantity import NS_PER_S
from remusnet.scenario.scenario import Scenario, constant
from remusnet.scenario.traffic import Clock, Role

Expectations = Iterator[Expectation]
_SHARE = 0.02
"""A closed form and a simulation may differ by 2 %."""
_CHANCE = 0.05
"""Of a mean over some thousand packets of chance: its own spread is about 1 %."""


def expectations(
    scenario: Scenario, outcome: Outcome, marks: FailureMarks | None
) -> tuple[Expectation, ...]:
    """What this run is expected to show; nothing where the scenario stands for no figure.

    A form is for one policy: nothing is expected of another one's run of the same scenario.
    """
    figure = _FIGURES.get(scenario.figure or "")
    streams = [stream for stream in outcome.streams if stream.from_guest]
    if figure is None or not streams or streams[0].rtp.packets < 2:
        return ()
    if scenario.policies and outcome.policy not in scenario.policies:
        return ()
    return tuple(figure(scenario, streams[0], marks))


def noise_mean(deviation_ms: float) -> float:
    """Mean jitter in ms of an even stream whose delays are normal with that deviation.

    The difference of two delays is normal with sqrt(2) of the deviation; the mean of its absolute
    value is sqrt(2/pi) of that: 2 / sqrt(pi) in all. The estimator has unit gain.

    >>> round(noise_mean(1.0), 3)
    1.128
    """
    return 2 / math.sqrt(math.pi) * deviation_ms


def outage_peak(before_ms: float, outage_ms: float, rollback_ms: float = 0.0) -> float:
    """Jitter in ms after the first packet of a server that comes back with its old clock.

    Its packet comes ``outage_ms`` later than the timestamp promises, and ``rollback_ms`` more where
    the timestamps go back by so much: J = 15/16 J0 + (outage + rollback)/16. With nothing before it
    1 s makes 62.5 ms, and 300 ms of rollback 81.25. With the 4 ms that pauses of 50 ms in 300 leave
    it is 66.3 and 85.0.

    >>> outage_peak(4.0, 1000), outage_peak(4.0, 1000, 300)
    (66.25, 85.0)
    """
    return (1 - GAIN) * before_ms + GAIN * (outage_ms + rollback_ms)


def _within(what: str, text: str, expected: float, seen: float, share: float) -> Expectation:
    return Expectation(
        what, text, expected, seen, expected * (1 - share), expected * (1 + share),
        f"within {share:.0%}",
    )  # fmt: skip


def _between(what: str, text: str, seen: float, lowest: float, highest: float) -> Expectation:
    return Expectation(what, text, None, seen, lowest, highest, f"{lowest:g} to {highest:g}")


def _deviation_ms(scenario: Scenario) -> float:
    host, network = scenario.host, scenario.network
    return math.hypot(host.jitter_ns, network.jitter_ns) / NS_PER_MS


def _steps_ms(scenario: Scenario, ptime_ms: float) -> tuple[float, float] | None:
    """Period and pause, as the forms want them; None where there is no form.

    That is without checkpoints, where their steps vary, and where a period is below one packet.
    """
    remus = scenario.checkpointing
    if remus is None:
        return None
    pause, transfer, delay = map(constant, (remus.pause, remus.transfer, remus.commit_delay))
    if pause is None or transfer is None or delay is None:
        return None
    busy = pause + transfer + delay
    period = remus.kind.period_ns(remus.interval_ns, busy)
    return (period / NS_PER_MS, pause / NS_PER_MS) if period >= ptime_ms * NS_PER_MS else None


def _fig8(scenario: Scenario, stream: Stream, _marks: FailureMarks | None) -> Expectations:
    mean = stream.rtp.jitter_ms.mean
    text = "without virtualization the jitter is about 0.1 ms, with minimal variation (Fig. 8)"
    yield _between("jitter, mean (ms)", text, mean, 0.05, 0.15)
    text = "2 sigma / sqrt(pi), for normal delays of deviation sigma"
    yield _within("jitter, mean (ms)", text, noise_mean(_deviation_ms(scenario)), mean, _CHANCE)


def _fig9(scenario: Scenario, stream: Stream, _marks: FailureMarks | None) -> Expectations:
    text = "virtualized, without replication, the jitter stays below 0.5 ms (Fig. 9)"
    yield _between("jitter, max (ms)", text, stream.rtp.jitter_ms.max, 0.0, 0.5)
    text = "2 sigma / sqrt(pi), sigma of the guest's and the network's deviation together"
    expected = noise_mean(_deviation_ms(scenario))
    yield _within("jitter, mean (ms)", text, expected, stream.rtp.jitter_ms.mean, _CHANCE)


def _fig10(scenario: Scenario, stream: Stream, _marks: FailureMarks | None) -> Expectations:
    ptime = stream.rtp.ptime_ms or 20.0
    steps = _steps_ms(scenario, ptime)
    if steps is None:
        return
    period, _ = steps
    text = f"2p(1 - p/I), p = {ptime:g} ms, I = {period:g} ms"
    mean, peak = stream.rtp.jitter_ms.mean, stream.rtp.jitter_ms.max
    yield _within("jitter, mean (ms)", text, held_mean(period, ptime), mean, _SHARE)
    burst, seen = burst_size(period, ptime), stream.rtp.bursts.median
    said = "about 20 RTP packets a burst, for each call and direction (Fig. 10)"
    if burst.is_integer():
        text = "[p q (1 - q^(k-1)) + (I - p)/16] / (1 - q^k), q = 15/16, k = I/p"
        yield _within("jitter, max (ms)", text, held_peak(period, ptime), peak, _SHARE)
        yield _within("packets a burst, median", said, burst, seen, _CHANCE)
    else:
        yield _between("packets a burst, median", said, seen, math.floor(burst), math.ceil(burst))
    if stream.series is not None:
        text = "a peak about every 400 ms (Fig. 10): the time from one burst's start to the next's"
        seen = _between_interruptions_ms(stream.series, ptime)
        yield _within("between peaks, median (ms)", text, period, seen, _CHANCE)


def _fig11(scenario: Scenario, stream: Stream, _marks: FailureMarks | None) -> Expectations:
    ptime = stream.rtp.ptime_ms or 20.0
    steps = _steps_ms(scenario, ptime)
    if steps is None:
        return
    period, pause = steps
    form = bypass_mean(period, pause, ptime)
    baseline = noise_mean(_deviation_ms(scenario))
    text = (
        f"{_bypass_text(period, pause, ptime)}, P = {pause:g} ms (an assumption), "
        f"p = {ptime:g} ms, I = {period:g} ms; and at most the baseline of {baseline:.2f} ms"
    )
    yield Expectation(
        "jitter, mean (ms)", text, form, stream.rtp.jitter_ms.mean,
        form * (1 - _SHARE), (form + baseline) * (1 + _SHARE), "within 2%, and the baseline",
    )  # fmt: skip
    if stream.series is not None:
        text = "an interruption every 300 ms, the jitter falling after each (Fig. 11)"
        seen = _between_interruptions_ms(stream.series, ptime)
        yield _within("between interruptions, median (ms)", text, period, seen, _CHANCE)


def _bypass_text(period_ms: float, pause_ms: float, ptime_ms: float) -> str:
    """The case of `bypass_mean` that is meant."""
    form = "P^2/I" if pause_ms <= ptime_ms else "(2P - p)p/I"
    return f"{form} - (P - (I - p))^2/I" if pause_ms > period_ms - ptime_ms else form


def _between_interruptions_ms(series: PacketSeries, ptime_ms: float) -> float:
    """The median time from one late packet to the next: one more than half a ptime after its time.

    0 where there are less than two.
    """
    arrived_ns = series.arrived_ns[series.arrival]
    late = np.diff(arrived_ns) > 1.5 * ptime_ms * NS_PER_MS
    starts = arrived_ns[1:][late]
    return float(np.median(np.diff(starts)) / NS_PER_MS) if len(starts) > 1 else 0.0


def _fig12(scenario: Scenario, stream: Stream, marks: FailureMarks | None) -> Expectations:
    series = stream.series
    if series is None or marks is None:
        return
    arrived_ns = series.arrived_ns[series.arrival]
    back = int(np.searchsorted(arrived_ns, marks.path_ns))
    if not 0 < back < len(arrived_ns):
        return
    calls = scenario.calls[0]
    silence = float(arrived_ns[back] - arrived_ns[back - 1]) / NS_PER_MS
    outage = (marks.path_ns - marks.failed_ns) / NS_PER_MS
    # The last packet before and the first one after may each be one packetization time off, and
    # what falls into a pause that the primary didn't survive is never sent.
    pause = (
        (constant(scenario.checkpointing.pause) or 0) / NS_PER_MS if scenario.checkpointing else 0
    )
    slack = 2 * calls.ptime_ns / NS_PER_MS + pause
    text = "no packets for about 1 s: detection, gratuitous ARP, switch (Fig. 12)"
    yield _between("silence (ms)", text, silence, outage, outage + slack)
    yield from _fig12_peak(scenario, series.jitter_ms, back, marks)
    after = series.jitter_ms[arrived_ns > arrived_ns[back] + NS_PER_S]
    if len(after):
        text = "then falling jitter, then stable: no replication any more (Fig. 12)"
        highest = max(2 * noise_mean(_deviation_ms(scenario)), 0.01) + 0.1
        seen = float(after[len(after) // 2 :].max())
        yield _between("jitter in the end, max (ms)", text, seen, 0.0, highest)


def _fig12_peak(
    scenario: Scenario, jitter_ms: Float64s, back: int, marks: FailureMarks
) -> Expectations:
    calls = scenario.calls[0]
    before, seen = float(jitter_ms[back - 1]), float(jitter_ms[back])
    noise = 4 * GAIN * _deviation_ms(scenario)
    if calls.role is Role.RELAY or calls.clock is Clock.WALL:
        text = "timestamps went on during the outage, so pure loss makes no spike: below J0"
        yield _between("jitter, first packet after (ms)", text, seen, 0.0, before + noise)
        return
    outage = (marks.resume_ns - marks.failed_ns) / NS_PER_MS
    rollback = (marks.failed_ns - marks.state_ns) / NS_PER_MS
    text = (
        f"15/16 J0 + (outage + rollback)/16, J0 = {before:.2f} ms, outage {outage:g} ms, "
        f"rollback {rollback:g} ms"
    )
    expected = outage_peak(before, outage, rollback)
    yield _within("jitter, first packet after (ms)", text, expected, seen, _SHARE)


_FIGURES: dict[str, Callable[[Scenario, Stream, FailureMarks | None], Expectations]] = {
    "fig8": _fig8,
    "fig9": _fig9,
    "fig10": _fig10,
    "fig11": _fig11,
    "fig12": _fig12,
}

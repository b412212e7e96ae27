"""The metrics that assertions may name: docs/reference/metrics.md says the same for users."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from remusnet.metrics.percentiles import NS_PER_MS, percentile
from remusnet.metrics.voice import Voice
from remusnet.report.measures import Measurements, Metric, Reading, Unit
from remusnet.results.comparison import Outcome
from remusnet.results.exchanges import Ended, SipTransaction, Transfer
from remusnet.results.stream import Stream


def _percentile(share: float) -> Callable[[list[float]], float]:
    def fold(values: list[float]) -> float:
        # Interpolating between two infinities would give NaN.
        finite = np.minimum(np.array(values), 1e300)
        found = percentile(finite, share)
        return math.inf if found > 1e200 else found

    return fold


_FOLDS: dict[str, Callable[[list[float]], float]] = {
    "median": _percentile(0.5),
    "p95": _percentile(0.95),
    "p99": _percentile(0.99),
    "max": max,
}

_RUN = ("policy",)
_STREAM = ("policy", "from", "flow", "ssrc", "group", "call", "codec")
_SIP = ("policy", "method", "transport", "client", "group", "call")
_TRANSFER = ("policy", "kind", "flow", "group")


def _of_runs(value: Callable[[Outcome], float | None]) -> Callable[[Measurements], list[Reading]]:
    def read(measurements: Measurements) -> list[Reading]:
        found = [(value(each), each.policy) for each in measurements.comparison.outcomes]
        return [Reading(seen, (("policy", policy),)) for seen, policy in found if seen is not None]

    return read


def _of_streams(value: Callable[[Stream], float | None]) -> Callable[[Measurements], list[Reading]]:
    def read(measurements: Measurements) -> list[Reading]:
        found = [(value(stream), labels) for stream, labels in measurements.streams]
        # A jitter without a clock rate is no number: there is nothing to hold to a bound.
        return [Reading(v, labels) for v, labels in found if v is not None and not math.isnan(v)]

    return read


def _of_voices(value: Callable[[Voice], float]) -> Callable[[Measurements], Iterator[Reading]]:
    def read(measurements: Measurements) -> Iterator[Reading]:
        for stream, labels in measurements.streams:
            for voice in measurements.voices(stream):
                yield Reading(value(voice), (*labels, ("buffer", voice.buffer)))

    return read


def _of_sip(
    value: Callable[[SipTransaction], float | None],
) -> Callable[[Measurements], Iterator[Reading]]:
    def read(measurements: Measurements) -> Iterator[Reading]:
        for outcome in measurements.comparison.outcomes:
            for each in outcome.requests:
                seen = value(each)
                if seen is not None:
                    labels = [
                        ("policy", outcome.policy),
                        ("method", each.name),
                        ("transport", each.transport),
                        ("client", each.client),
                        ("call", str(each.call)),
                    ]
                    if each.group is not None:
                        labels.insert(-1, ("group", str(each.group)))
                    yield Reading(seen, tuple(labels))

    return read


def _of_transfers(
    kinds: tuple[str, ...], values: Callable[[Transfer], Sequence[float]]
) -> Callable[[Measurements], Iterator[Reading]]:
    def read(measurements: Measurements) -> Iterator[Reading]:
        for outcome in measurements.comparison.outcomes:
            for each in outcome.scene.transfers if outcome.scene else ():
                labels = (
                    ("policy", outcome.policy),
                    ("kind", each.kind),
                    ("flow", each.flow),
                    ("group", str(each.group)),
                )
                for seen in values(each) if each.kind in kinds else ():
                    yield Reading(seen, labels)

    return read


def _longest_gap(stream: Stream) -> float | None:
    gaps = stream.rtp.interarrival_ms
    return None if gaps is None else gaps.max


def _reuse(stream: Stream) -> float | None:
    return None if stream.origin is None else stream.origin.index_reuse


def _duration(each: SipTransaction | Transfer) -> float | None:
    """What was given up never ends; what the scenario's end cut off isn't known."""
    if each.ended is Ended.TIMEOUT:
        return math.inf
    return each.duration_ms


def _setup(each: SipTransaction) -> float | None:
    return _duration(each) if each.name == "INVITE" else None


def _ringing(each: SipTransaction) -> float | None:
    return each.ringing_ms


def _once(
    value: Callable[[Transfer], float | None],
) -> Callable[[Transfer], Sequence[float]]:
    """One reading of a transfer, or none."""

    def values(each: Transfer) -> Sequence[float]:
        seen = value(each)
        return () if seen is None else (seen,)

    return values


def _responses(each: Transfer) -> Sequence[float]:
    """One for each answer; the one that the connection was given up on never comes."""
    never = (math.inf,) if each.ended is Ended.TIMEOUT else ()
    return (*each.responses_ms, *never)


def _overhead(outcome: Outcome) -> float | None:
    """Pauses in percent of periods, of all checkpoints whose period is over."""
    if outcome.scene is None:
        return None
    suspend_ns, resume_ns = outcome.suspend_ns, outcome.scene.resume_ns
    if len(suspend_ns) < 2:
        return None if len(suspend_ns) else 0.0
    stood_ns = int((resume_ns - suspend_ns)[:-1].sum())
    return 100 * stood_ns / int(suspend_ns[-1] - suspend_ns[0])


def _outage(outcome: Outcome) -> float | None:
    if outcome.scene is None or outcome.scene.failure is None:
        return None
    failure = outcome.scene.failure
    return (failure.path_ns - failure.failed_ns) / NS_PER_MS


def _counted(name: str) -> Callable[[Outcome], float | None]:
    return lambda run: None if run.scene is None else float(getattr(run.scene.counts, name))


def _missed(outcome: Outcome) -> float | None:
    if outcome.scene is None or not outcome.scene.expectations:
        return None
    return float(sum(not each.holds for each in outcome.scene.expectations))


def _table() -> Iterator[Metric]:
    for path, unit, meaning, of_stream in _STREAM_METRICS:
        yield Metric(path, unit, meaning, _STREAM, _of_streams(of_stream))
    for path, unit, meaning, of_voice in _VOICE_METRICS:
        yield Metric(path, unit, meaning, (*_STREAM, "buffer"), _of_voices(of_voice))
    for path, unit, meaning, of_run in _RUN_METRICS:
        yield Metric(path, unit, meaning, _RUN, _of_runs(of_run))
    for path, meaning, of_sip in _SIP_METRICS:
        for name, fold in _FOLDS.items():
            text = f"{meaning}: {name} over a run"
            yield Metric(f"{path}.{name}", Unit.MS, text, _SIP, _of_sip(of_sip), fold)
    for path, meaning, kinds, of_transfer in _TRANSFER_METRICS:
        for name, fold in _FOLDS.items():
            text = f"{meaning}: {name} over a run"
            read = _of_transfers(kinds, of_transfer)
            yield Metric(f"{path}.{name}", Unit.MS, text, _TRANSFER, read, fold)
    sent_again, gave_up = "what was sent again", "what was given up"
    for path, of_one in (("retransmissions", _retransmissions), ("timeouts", _given_up)):
        what = sent_again if path == "retransmissions" else gave_up
        yield Metric(
            f"sip.{path}", Unit.NUMBER, f"SIP: {what}, over a run", _SIP, _of_sip(of_one), sum
        )
        yield Metric(
            f"tcp.{path}",
            Unit.NUMBER,
            f"TCP connections: {what}, over a run",
            _TRANSFER,
            _of_transfers((*_EXCHANGES, "sip"), _once(of_one)),
            sum,
        )


def _retransmissions(each: SipTransaction | Transfer) -> float:
    return each.retransmissions


def _given_up(each: SipTransaction | Transfer) -> float | None:
    # What a capture doesn't show the end of has not given up for that.
    return None if each.group is None else each.ended is Ended.TIMEOUT


_STREAM_METRICS: tuple[tuple[str, Unit, str, Callable[[Stream], float | None]], ...] = (
    ("rtp.jitter.mean", Unit.MS, "RFC 3550 jitter: mean", lambda s: s.rtp.jitter_ms.mean),
    ("rtp.jitter.max", Unit.MS, "RFC 3550 jitter: largest", lambda s: s.rtp.jitter_ms.max),
    (
        "rtp.loss",
        Unit.PERCENT,
        "lost packets, of those expected",
        lambda s: s.rtp.sequence.lost_percent,
    ),
    ("rtp.lost", Unit.NUMBER, "lost packets", lambda s: s.rtp.lost),
    ("rtp.packets", Unit.NUMBER, "packets that came, copies included", lambda s: s.rtp.packets),
    ("rtp.duplicates", Unit.NUMBER, "copies beyond the first", lambda s: s.rtp.duplicates),
    (
        "rtp.reordered",
        Unit.NUMBER,
        "packets that came after a later one",
        lambda s: s.rtp.reordered,
    ),
    ("rtp.burst.median", Unit.NUMBER, "packets a burst: median", lambda s: s.rtp.bursts.median),
    ("rtp.burst.max", Unit.NUMBER, "packets a burst: largest", lambda s: s.rtp.bursts.max),
    ("rtp.gap.max", Unit.MS, "from one packet to the next: longest", _longest_gap),
    ("rtp.reuse", Unit.NUMBER, "packets sent under a number used before", _reuse),
)

_VOICE_METRICS: tuple[tuple[str, Unit, str, Callable[[Voice], float]], ...] = (
    ("mos", Unit.NUMBER, "mean opinion score of a stream, 1 to 4.5", lambda v: v.mos),
    ("mos.min", Unit.NUMBER, "mean opinion score of its worst ten seconds", lambda v: v.mos_min),
    ("voice.r", Unit.NUMBER, "the E-model's rating R, 93.2 at best", lambda v: v.r),
    ("voice.delay", Unit.MS, "from mouth to ear: mean", lambda v: v.delay_ms),
    (
        "voice.missing",
        Unit.PERCENT,
        "speech not heard: lost, late, or an outage",
        lambda v: v.missing_percent,
    ),
    (
        "voice.late",
        Unit.PERCENT,
        "packets that came too late to be played",
        lambda v: v.late_percent,
    ),
    ("voice.gap", Unit.MS, "longest stretch of speech not heard", lambda v: v.longest_gap_ms),
)

_RUN_METRICS: tuple[tuple[str, Unit, str, Callable[[Outcome], float | None]], ...] = (
    (
        "commit.violations",
        Unit.NUMBER,
        "held frames that left before their commit",
        lambda run: run.output_commit.violations,
    ),
    (
        "commit.held",
        Unit.NUMBER,
        "frames held until their commit",
        lambda run: run.output_commit.held,
    ),
    (
        "commit.bypassed",
        Unit.NUMBER,
        "frames let pass before their commit, or sent unprotected",
        lambda run: run.output_commit.bypassed,
    ),
    (
        "commit.unprotected",
        Unit.NUMBER,
        "frames sent while nothing was held: after a failover",
        lambda run: run.output_commit.unprotected,
    ),
    (
        "commit.dropped",
        Unit.NUMBER,
        "held frames that a full plug dropped",
        lambda run: run.output_commit.dropped,
    ),
    (
        "tcp.hold.median",
        Unit.MS,
        "how much later held TCP frames left: median",
        lambda run: run.tcp.median,
    ),
    (
        "tcp.hold.p99",
        Unit.MS,
        "how much later held TCP frames left: 99th percentile",
        lambda run: run.tcp.p99,
    ),
    (
        "tcp.hold.max",
        Unit.MS,
        "how much later held TCP frames left: longest",
        lambda run: run.tcp.max,
    ),
    (
        "sip.hold.median",
        Unit.MS,
        "how much later held SIP over UDP left: median",
        lambda run: run.sip_udp.median,
    ),
    (
        "sip.hold.p99",
        Unit.MS,
        "how much later held SIP over UDP left: 99th percentile",
        lambda run: run.sip_udp.p99,
    ),
    (
        "sip.hold.max",
        Unit.MS,
        "how much later held SIP over UDP left: longest",
        lambda run: run.sip_udp.max,
    ),
    (
        "overhead",
        Unit.PERCENT,
        "throughput that checkpoints cost: the share of its time that the guest stands",
        _overhead,
    ),
    ("failover.outage", Unit.MS, "from the failure until frames flow again", _outage),
    ("failover.lost", Unit.NUMBER, "frames that the failure cost", _counted("lost_failure")),
    ("failover.duplicates", Unit.NUMBER, "RTP packets that came twice", _counted("duplicates")),
    (
        "failover.reuse",
        Unit.NUMBER,
        "RTP packets sent under a number used before",
        _counted("index_reuse"),
    ),
    (
        "ring.stalls",
        Unit.NUMBER,
        "frames that waited for the transmit ring",
        _counted("ring_stalls"),
    ),
    ("network.lost", Unit.NUMBER, "frames that the network lost", _counted("lost_network")),
    (
        "expected.missed",
        Unit.NUMBER,
        "closed forms and sentences that a scenario doesn't keep",
        _missed,
    ),
)

_SIP_METRICS = (
    ("sip.setup", "from INVITE to its final response", _setup),
    ("sip.ringing", "from INVITE to 180 Ringing", _ringing),
    ("sip.response", "from a SIP request to its final response", _duration),
)

_EXCHANGES = ("request-response", "bulk")
_TRANSFER_METRICS = (
    ("tcp.completion", "a TCP connection's work", _EXCHANGES, _once(_duration)),
    ("tcp.response", "from a request over TCP to its whole answer", _EXCHANGES, _responses),
    ("dns.response", "a DNS lookup", ("dns",), _once(_duration)),
    ("icmp.response", "an ICMP echo", ("icmp",), _once(_duration)),
)

METRICS = {metric.path: metric for metric in _table()}
"""All metrics by path."""

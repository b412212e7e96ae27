"""A result as CSV: streams, packets and epochs, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from math import isnan

import numpy as np

from remusnet.metrics.percentiles import rounded
from remusnet.report.measures import Measurements

Row = Sequence[object]

_STREAM_HEADER = (
    "policy", "flow", "ssrc", "from", "packets", "lost", "lost_percent", "duplicates", "reordered",
    "jitter_mean_ms", "jitter_max_ms", "burst_median", "burst_max",
)  # fmt: skip
_VOICE_HEADER = (
    "buffer", "mos", "mos_min", "r", "delay_ms", "missing_percent", "late_percent",
    "longest_gap_ms",
)  # fmt: skip
_PACKET_HEADER = (
    "policy", "flow", "ssrc", "sequence", "timestamp", "sent_ns", "left_ns", "arrived_ns",
    "jitter_ms",
)  # fmt: skip


def csv_files(measurements: Measurements) -> dict[str, str]:
    """Names of files and what is in them; times in ns are those of the JSON.

    ``streams.csv`` has a row for each stream, policy and jitter buffer; ``packets.csv`` for each
    packet, in the order of sending, where packets were kept (-1: it never left, or never came);
    ``epochs.csv`` for each epoch that held something.
    """
    return {
        "streams.csv": _csv((*_STREAM_HEADER, *_VOICE_HEADER), _streams(measurements)),
        "packets.csv": _csv(_PACKET_HEADER, _packets(measurements)),
        "epochs.csv": _csv(("policy", "suspend_ns", "commit_ns"), _epochs(measurements)),
    }


def _streams(measurements: Measurements) -> Iterator[Row]:
    for stream, labels in measurements.streams:
        rtp, label = stream.rtp, dict(labels)
        common = (
            label["policy"],
            rtp.flow,
            rtp.ssrc_text,
            label["from"],
            rtp.packets,
            rtp.lost,
            rounded(rtp.sequence.lost_percent),
            rtp.duplicates,
            rtp.reordered,
            *rtp.jitter_ms.to_json().values(),
            rtp.bursts.median,
            rtp.bursts.max,
        )
        voices = [voice.to_json() for voice in measurements.voices(stream)]
        for voice in voices or [dict.fromkeys(_VOICE_HEADER)]:
            yield (*common, *(voice[name] for name in _VOICE_HEADER))


def _packets(measurements: Measurements) -> Iterator[Row]:
    for stream, labels in measurements.streams:
        series = stream.series
        if series is None:
            continue
        jitter: list[float | None] = [None] * len(series.sent_ns)
        estimates = np.round(series.jitter_ms, 6).tolist()
        for packet, estimate in zip(series.arrival.tolist(), estimates, strict=True):
            jitter[packet] = None if isnan(estimate) else estimate
        same = (dict(labels)["policy"], stream.rtp.flow, stream.rtp.ssrc_text)
        columns = (
            series.sequence.tolist(),
            series.timestamp.tolist(),
            series.sent_ns.tolist(),
            series.left_ns.tolist(),
            series.arrived_ns.tolist(),
            jitter,
        )
        for values in zip(*columns, strict=True):
            yield (*same, *values)


def _epochs(measurements: Measurements) -> Iterator[Row]:
    for outcome in measurements.comparison.outcomes:
        suspends, commits = outcome.holding_epochs
        for suspend_ns, commit_ns in zip(suspends.tolist(), commits.tolist(), strict=True):
            yield outcome.policy, suspend_ns, commit_ns


def _csv(header: Row, rows: Iterable[Row]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()

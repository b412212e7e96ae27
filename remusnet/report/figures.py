"""The figures of a report: when frames left, jitter over time, and how long packets took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from remusnet.frames import Int64s
from remusnet.metrics.arrivals import Float64s
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.report.drawing import (
    BAND,
    BYPASSED,
    HELD,
    INK,
    LOST,
    OUTAGE,
    broken,
    colours,
    figure,
)
from remusnet.results.comparison import Comparison, Outcome, Passages
from remusnet.results.stream import NEVER, Stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NS_PER_S = 1_000_000_000
_PERIODS = 3
_MOST_LINES = 400
_MOST_POINTS = 4000


def timeline(comparison: Comparison) -> Figure | None:
    """Every frame of the guest as a line from when it was sent (above) to when it left (below).

    It shows three periods of the schedule, or the failure; a row for each run. None where no run
    has its frames.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = [(each, passages_of(each)) for each in comparison.outcomes]
    runs = [(outcome, passages) for outcome, passages in shown if passages is not None]
    if not runs:
        return None
    start_ns, stop_ns = _window(comparison, runs[0][0], runs[0][1])
    made, rows = figure(len(runs), 1.25 if len(runs) > 1 else 2.0, sharex=True)
    for axes, (outcome, passages) in zip(rows, runs, strict=True):
        _checkpoints(axes, comparison, outcome, start_ns, stop_ns)
        _lines(axes, passages, start_ns, stop_ns)
        _failure(axes, outcome, start_ns, 1e6)
        axes.set_title(outcome.policy)
        axes.set_yticks([0, 1], ["leaves", "sent"])
        axes.set_ylim(-0.12, 1.12)
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
    rows[-1].set_xlim(0, (stop_ns - start_ns) / NS_PER_MS)
    begun_s = (start_ns - _begin_ns(comparison)) / _NS_PER_S
    rows[-1].set_xlabel(f"time (ms), from {begun_s:.3f} s after the start")
    handles = [
        Line2D([], [], color=HELD, label="held until the commit"),
        Line2D([], [], color=BYPASSED, label="let pass"),
        Patch(color=BAND, label="the guest stands still"),
        Line2D([], [], color=INK, linestyle=(0, (2, 2)), linewidth=1, label="commit"),
    ]
    if any(passages.dropped.any() for _, passages in runs):
        handles.append(Line2D([], [], color=LOST, marker="x", linestyle="", label="lost"))
    if any(outcome.scene and outcome.scene.failure for outcome, _ in runs):
        handles.append(Patch(color=OUTAGE, label="the primary has failed"))
    made.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9)
    return made


def jitter(comparison: Comparison) -> Figure | None:
    """RFC 3550 jitter of the guest's worst stream, a row for each run on one scale.

    None where no run has its packets.
    """
    found = [(outcome, _worst(outcome)) for outcome in comparison.outcomes]
    runs = [
        (outcome, stream, series)
        for outcome, stream in found
        if stream and (series := stream.series)
    ]
    if not runs:
        return None
    colour = colours([each.policy for each in comparison.outcomes])
    begin_ns = _begin_ns(comparison)
    made, rows = figure(len(runs), 1.25 if len(runs) > 1 else 3.0, sharex=True, sharey=True)
    for axes, (outcome, stream, series) in zip(rows, runs, strict=True):
        time_s = (series.arrived_ns[series.arrival] - begin_ns) / _NS_PER_S
        curve = _envelope(time_s, series.jitter_ms)
        failure = outcome.scene and outcome.scene.failure
        if failure:
            curve = broken(*curve, (failure.path_ns - begin_ns) / _NS_PER_S)
        axes.plot(*curve, color=colour[outcome.policy], linewidth=1)
        _failure(axes, outcome, begin_ns, 1e9)
        axes.set_ylabel("jitter (ms)")
        seen = stream.rtp.jitter_ms
        axes.set_title(f"{outcome.policy}: mean {seen.mean:.2f} ms, max {seen.max:.2f} ms")
    rows[-1].set_xlim(left=0)
    rows[-1].set_ylim(bottom=0)
    rows[-1].set_xlabel("time (s)")
    return made


def delays(comparison: Comparison) -> Figure | None:
    """What share of the guest's RTP packets took no longer than x; None where there are none."""
    found = [(outcome, _delays_ms(outcome)) for outcome in comparison.outcomes]
    runs = [(outcome, took_ms) for outcome, took_ms in found if len(took_ms)]
    if not runs:
        return None
    colour = colours([each.policy for each in comparison.outcomes])
    made, (axes,) = figure(1, 3.0)
    share = np.linspace(0, 1, 401)
    # Policies whose packets took equally long share a line: one would hide the other.
    alike: dict[bytes, tuple[Float64s, list[str]]] = {}
    for outcome, took_ms in runs:
        values = np.quantile(took_ms, share)
        _, policies = alike.setdefault(np.round(values, 1).tobytes(), (values, []))
        policies.append(outcome.policy)
    for values, policies in alike.values():
        axes.plot(
            values,
            share * 100,
            color=colour[policies[0]],
            linewidth=1.8,
            label=", ".join(policies),
        )
    longest = max(1.0, *(float(took_ms.max()) for _, took_ms in runs))
    axes.set_xlabel("delay until arrival, pauses included (ms)")
    axes.set_ylabel("share of packets (%)")
    axes.set_xlim(-0.02 * longest, 1.02 * longest)
    axes.set_ylim(0, 102)
    made.legend(loc="outside upper center", ncols=4, fontsize=9)
    return made


def passages_of(outcome: Outcome) -> Passages | None:
    """The guest's frames of a run; where only its RTP packets were kept, those."""
    if outcome.passages is not None:
        return outcome.passages
    series = [each.series for each in outcome.streams if each.from_guest and each.series]
    if not series:
        return None
    sent_ns = np.concatenate([each.sent_ns for each in series])
    left_ns = np.concatenate([each.left_ns for each in series])
    order = np.argsort(sent_ns, kind="stable")
    sent_ns, left_ns = sent_ns[order], left_ns[order]
    never = left_ns == NEVER
    return Passages(
        sent_ns,
        np.where(never, sent_ns, left_ns),
        np.isin(left_ns, outcome.commit_ns) & (left_ns > sent_ns),
        never,
    )


def _begin_ns(comparison: Comparison) -> int:
    """The start of a scenario, or the first packet of a recording."""
    if comparison.setting.scenario is not None:
        return 0
    found = [passages.sent_ns for each in comparison.outcomes if (passages := passages_of(each))]
    return min((int(times[0]) for times in found if len(times)), default=0)


def _window(comparison: Comparison, outcome: Outcome, passages: Passages) -> tuple[int, int]:
    """Which part of a run the timeline shows."""
    failure = outcome.scene and outcome.scene.failure
    if failure:
        around = (failure.path_ns - failure.failed_ns) // 3
        return failure.failed_ns - around, failure.path_ns + around
    period = comparison.setting.period_ns or 400 * NS_PER_MS
    first, last = _media(comparison) or _ends(passages.sent_ns)
    # Not the first period: protection, or the call, has just begun.
    within = (outcome.suspend_ns >= first) & (outcome.suspend_ns <= last)
    suspends = outcome.suspend_ns[within]
    start = int(suspends[1]) - period // 8 if len(suspends) > 1 + _PERIODS else first
    return start, start + _PERIODS * period


def _media(comparison: Comparison) -> tuple[int, int] | None:
    """When the guest's worst stream began and ended: what a reader wants to see is the media."""
    found = [stream for each in comparison.outcomes if (stream := _worst(each))]
    worst = max(found, key=lambda each: each.rtp.jitter_ms.mean, default=None)
    return _ends(worst.series.due_ns) if worst and worst.series else None


def _ends(time_ns: Int64s) -> tuple[int, int]:
    return (int(time_ns[0]), int(time_ns[-1])) if len(time_ns) else (0, 0)


def _checkpoints(
    axes: Axes, comparison: Comparison, outcome: Outcome, start_ns: int, stop_ns: int
) -> None:
    suspend_ns, commit_ns = outcome.suspend_ns, outcome.commit_ns
    if outcome.scene is not None:
        resume_ns = outcome.scene.resume_ns
    else:
        resume_ns = suspend_ns + comparison.setting.pause_ns
    seen = (commit_ns >= start_ns) & (suspend_ns <= stop_ns)
    for begins, ends, commits in zip(
        suspend_ns[seen].tolist(), resume_ns[seen].tolist(), commit_ns[seen].tolist(), strict=True
    ):
        left, right = ((each - start_ns) / NS_PER_MS for each in (begins, ends))
        axes.axvspan(left, right, color=BAND, zorder=0, linewidth=0)
        axes.axvline(
            (commits - start_ns) / NS_PER_MS,
            color=INK,
            linewidth=1,
            linestyle=(0, (2, 2)),
            zorder=1,
        )


def _lines(axes: Axes, passages: Passages, start_ns: int, stop_ns: int) -> None:
    from matplotlib.collections import LineCollection

    seen = (passages.left_ns >= start_ns) & (passages.sent_ns <= stop_ns)
    for colour, kind in (
        (BYPASSED, seen & ~passages.held & ~passages.dropped),
        (HELD, seen & passages.held & ~passages.dropped),
    ):
        rows = _thinned(np.flatnonzero(kind))
        sent = (passages.sent_ns[rows] - start_ns) / NS_PER_MS
        left = (passages.left_ns[rows] - start_ns) / NS_PER_MS
        ends = np.stack(
            [np.stack([sent, np.ones(len(rows))], 1), np.stack([left, np.zeros(len(rows))], 1)], 1
        )
        axes.add_collection(LineCollection(list(ends), colors=colour, linewidths=1.1))
    rows = _thinned(np.flatnonzero(seen & passages.dropped))
    axes.plot(
        (passages.sent_ns[rows] - start_ns) / NS_PER_MS,
        np.full(len(rows), 0.85),
        color=LOST,
        marker="x",
        linestyle="",
        markersize=5,
    )


def _failure(axes: Axes, outcome: Outcome, start_ns: int, unit_ns: float) -> None:
    failure = outcome.scene and outcome.scene.failure
    if failure:
        left, right = ((each - start_ns) / unit_ns for each in (failure.failed_ns, failure.path_ns))
        axes.axvspan(left, right, facecolor=OUTAGE, zorder=0, linewidth=0)
        axes.axvline(left, color=LOST, linewidth=1.2, zorder=1)


def _thinned(rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """At most `_MOST_LINES` of them, evenly: more would be one block of colour."""
    return rows[:: max(1, -(-len(rows) // _MOST_LINES))]


def _worst(outcome: Outcome) -> Stream | None:
    streams = [
        each
        for each in outcome.streams
        if each.from_guest and each.series is not None and each.rtp.jitter_ms.known
    ]
    return max(streams, key=lambda each: each.rtp.jitter_ms.mean, default=None)


def _envelope(
    time_s: npt.NDArray[np.float64], value: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A long series as the least and the largest value of each stretch: no peak gets lost."""
    count = len(time_s)
    if count <= _MOST_POINTS:
        return time_s, value
    size = -(-count // (_MOST_POINTS // 2))
    edges = np.arange(0, count, size)
    least, largest = np.minimum.reduceat(value, edges), np.maximum.reduceat(value, edges)
    return np.repeat(time_s[edges], 2), np.stack([least, largest], 1).reshape(-1)


def _delays_ms(outcome: Outcome) -> npt.NDArray[np.float64]:
    found: list[Int64s] = []
    for stream in outcome.streams:
        if stream.from_guest and stream.series is not None:
            series = stream.series
            came = series.arrived_ns != NEVER
            found.append(series.arrived_ns[came] - series.due_ns[came])
    return np.concatenate(found or [np.zeros(0, np.int64)]) / NS_PER_MS


def report_figures(comparison: Comparison) -> Iterator[tuple[Caption, Figure]]:
    """The figures that the result has data for."""
    for caption, draw in _FIGURES:
        made = draw(comparison)
        if made is not None:
            yield caption, made


@dataclass(frozen=True, slots=True)
class Caption:
    """The text around a figure. ``name``: of its files; ``text``: how to read it."""

    name: str
    title: str
    text: str


_FIGURES = (
    (
        Caption(
            "timeline",
            "When frames left",
            "Each line is a frame of the guest, from when it was sent (above) to when it left "
            "(below). Held frames meet at the commit of their epoch and leave as one burst. Those "
            "let pass go straight down; a guest that stands still sends at its resume.",
        ),
        timeline,
    ),
    (
        Caption(
            "jitter",
            "Jitter over time",
            "RFC 3550 interarrival jitter of the guest's worst stream under each policy.",
        ),
        jitter,
    ),
    (
        Caption(
            "delay",
            "How long RTP packets took",
            "For each delay, the share of the guest's RTP packets that took no longer, from when "
            "they were due: a packet that the guest could not send in a pause is late by the rest "
            "of it. What lies right of a line's start a jitter buffer has to wait for.",
        ),
        delays,
    ),
)

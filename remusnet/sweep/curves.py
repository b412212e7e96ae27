"""The figures of a sweep: each metric over the interval, and what is paid for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.report.drawing import GREEN, INK, LOST, colours, figure
from remusnet.report.metric_table import METRICS
from remusnet.sweep.running import Asked, finite
from remusnet.sweep.table import Mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COST, WAIT = "overhead", "tcp.hold.p99"
"""What a checkpoint costs, and what it keeps waiting: the two ends of the trade."""
MOST_LINES: Final = 12
_SCALES = {"mos": "1 to 5", "mos.min": "1 to 5", "voice.r": "0 to 100"}
"""Of metrics that have no unit."""

Line = tuple[str, list[Mean]]
"""What a line is called, and its means in the order of intervals."""


def curves(
    means: Sequence[Mean],
    asked: Sequence[Asked],
    *,
    chosen_ns: int | None = None,
    good_ns: tuple[int, int] | None = None,
    limits: Sequence[tuple[str, float]] = (),
) -> Figure | None:
    """A row for each metric over a logarithmic interval, a line for each policy and setting.

    The band is the 95 % interval of the mean. ``chosen_ns``: the interval to mark; ``good_ns``:
    from where to where others are as good; ``limits``: of metrics (by text), in their units. None
    where no metric has two points.
    """
    rows = [(each, lines(means, each.text)) for each in asked]
    rows = [(each, found) for each, found in rows if any(len(points) > 1 for _, points in found)]
    if not rows:
        return None
    names = list(dict.fromkeys(name for _, found in rows for name, _ in found))[:MOST_LINES]
    colour = colours(names)
    made, drawn = figure(len(rows), 1.7, sharex=True)
    for axes, (each, found) in zip(drawn, rows, strict=True):
        for name, points in found:
            if name in colour:
                _line(axes, points, colour[name], name)
        for text, limit in limits:
            if text == each.text:
                axes.axhline(limit, color=LOST, linewidth=1, linestyle=(0, (4, 3)))
        if good_ns is not None:
            low, high = (each_ns / NS_PER_MS for each_ns in good_ns)
            axes.axvspan(low, high, color=GREEN, alpha=0.15, linewidth=0)
        if chosen_ns is not None:
            axes.axvline(chosen_ns / NS_PER_MS, color=INK, linewidth=1, linestyle=(0, (2, 2)))
        axes.set_title(head(each))
    if chosen_ns is not None:
        drawn[0].annotate(
            f"{chosen_ns / NS_PER_MS:.4g} ms",
            (chosen_ns / NS_PER_MS, 1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            xytext=(4, -12),
            fontsize=9,
            fontweight="bold",
        )
    last = drawn[-1]
    last.set_xscale("log")
    ticks = _ticks(means)
    last.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    last.minorticks_off()
    last.set_xlabel("checkpoint interval (ms)")
    handles, labels = drawn[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)), fontsize=9)
    return made


def head(asked: Asked) -> str:
    """What a metric is called where its numbers stand: with its unit, or its scale."""
    unit = METRICS[asked.metric].unit or _SCALES.get(asked.metric)
    return f"{asked.text} ({unit})" if unit else asked.text


def pareto(means: Sequence[Mean], chosen_ns: int | None = None) -> Figure | None:
    """Throughput lost against the delay of TCP, a point for each interval; None without both.

    The front is joined: no other interval of that policy is better in both.
    """
    costs = dict(lines(means, COST))
    waits = dict(lines(means, WAIT))
    names = [name for name in costs if name in waits][:MOST_LINES]
    found = {name: _pairs(costs[name], waits[name]) for name in names}
    found = {name: pairs for name, pairs in found.items() if len(pairs) > 1}
    if not found:
        return None
    colour = colours(list(found))
    made, (axes,) = figure(1, 3.4)
    for name, pairs in found.items():
        best = front(pairs)
        axes.plot([each[1] for each in best], [each[2] for each in best], color=colour[name])
        at, wait_ms = [each[1] for each in pairs], [each[2] for each in pairs]
        axes.scatter(at, wait_ms, s=14, color=colour[name], label=name)
        for interval_ns, cost, wait in best:
            axes.annotate(
                f"{interval_ns / NS_PER_MS:.4g}",
                (cost, wait),
                textcoords="offset points",
                xytext=(4, 4),
                fontsize=8,
                fontweight="bold" if interval_ns == chosen_ns else "normal",
            )
    axes.set_xlabel("throughput lost (%)")
    axes.set_ylabel("delay of held TCP, p99 (ms)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    made.legend(loc="outside upper center", ncols=min(4, len(found)), fontsize=9)
    return made


def front(pairs: Sequence[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """Those of (interval, cost, wait) that no other is better than in both, by cost."""
    found: list[tuple[int, float, float]] = []
    for each in sorted(pairs, key=lambda pair: (pair[1], pair[2])):
        if not found or each[2] < found[-1][2]:
            found.append(each)
    return found


def lines(means: Sequence[Mean], metric: str) -> list[Line]:
    """The means of ``metric`` that are there, a line for each policy and setting."""
    found: dict[str, list[Mean]] = {}
    for each in means:
        if each.metric == metric and finite(each.mean):
            found.setdefault(name_of(each), []).append(each)
    return [(name, sorted(own, key=lambda each: each.interval_ns)) for name, own in found.items()]


def name_of(each: Mean) -> str:
    """The policy, and what was set: ``tcp-only, network.loss 1``."""
    return ", ".join([each.policy, *(f"{key} {value}" for key, value in each.settings)])


def _pairs(cost: Sequence[Mean], wait: Sequence[Mean]) -> list[tuple[int, float, float]]:
    waits = {each.interval_ns: each.mean for each in wait}
    return [
        (each.interval_ns, float(each.mean or 0), float(waits[each.interval_ns] or 0))
        for each in cost
        if each.interval_ns in waits
    ]


def _line(axes: Axes, points: Sequence[Mean], colour: str, name: str) -> None:
    at = [each.interval_ns / NS_PER_MS for each in points]
    options: dict[str, Any] = {"color": colour, "label": name, "marker": "o", "markersize": 3}
    axes.plot(at, [each.mean or 0 for each in points], **options)
    if all(each.low is not None and each.high is not None for each in points):
        low, high = [each.low or 0 for each in points], [each.high or 0 for each in points]
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _ticks(means: Sequence[Mean]) -> list[float]:
    """Round numbers, 1, 2 and 5 of each ten, within what is shown; the ends where there is none."""
    low, high = (end(each.interval_ns for each in means) / NS_PER_MS for end in (min, max))
    found = [
        step * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for step in (1, 2, 5)
        if low * 0.999 <= step * 10.0**power <= high * 1.001
    ]
    return found if len(found) > 1 else [low, high]

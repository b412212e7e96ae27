"""The figures of a sweep: each metric over the interval, and what is paid for what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.report.drawing import GREEN, INK, LOST, colours, figure
from remusnet.report.metric_table import METRICS
from remusnet.sweep.running import Asked
from remusnet.sweep.table import Mean
from remusnet.sweep.trade import front, lines_of, trades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES: Final = 12
_SCALES = {"mos": "1 to 5", "mos.min": "1 to 5", "voice.r": "0 to 100"}
"""Of metrics that have no unit."""


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
    rows = [(each, lines_of(means, each.text)) for each in asked]
    rows = [(each, found) for each, found in rows if any(len(points) > 1 for _, points in found)]
    if not rows:
        return None
    names = list(dict.fromkeys(name for _, found in rows for name, _ in found))[:MOST_LINES]
    colour = colours(names)
    made, drawn = figure(len(rows), 1.7, sharex=True)
    for axes, (each, found) in zip(drawn, rows, strict=True):
        shown = [(name, points) for name, points in found if name in colour]
        later = _later_alike([(each.interval_ns, each.mean) for each in own] for _, own in shown)
        for (name, points), covered in zip(shown, later, strict=True):
            _line(axes, points, colour[name], name, covered)
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
            # Above the lines, but for where the curve's name stands.
            xytext=(4, 4) if _across(means, chosen_ns) > 0.3 else (4, -12),
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
    found = dict(list(trades(means).items())[:MOST_LINES])
    if not found:
        return None
    colour = colours(list(found))
    made, (axes,) = figure(1, 3.4)
    later = _later_alike(found.values())
    for (name, points), covered in zip(found.items(), later, strict=True):
        best = front(points)
        axes.plot(
            [each.cost for each in best],
            [each.wait for each in best],
            color=colour[name],
            linewidth=_width(covered),
        )
        axes.scatter(
            [each.cost for each in points],
            [each.wait for each in points],
            s=14 * (1 + 2 * covered),
            color=colour[name],
            label=name,
        )
        for each in [] if covered else best:
            axes.annotate(
                f"{each.interval_ns / NS_PER_MS:.4g}",
                (each.cost, each.wait),
                textcoords="offset points",
                xytext=(4, 4),
                fontsize=8,
                fontweight="bold" if each.interval_ns == chosen_ns else "normal",
            )
    axes.set_xlabel("throughput lost (%)")
    axes.set_ylabel("delay of held TCP, p99 (ms)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    made.legend(loc="outside upper center", ncols=min(4, len(found)), fontsize=9)
    return made


def _later_alike(drawn: Iterable[object]) -> list[int]:
    """How many of the later ones are the same, and would hide it."""
    all_of_them = list(drawn)
    return [all_of_them[at + 1 :].count(each) for at, each in enumerate(all_of_them)]


def _width(covered: int) -> float:
    """The width of a line: a covered line stands out on both sides."""
    return 1.5 + 2.0 * covered


def _line(axes: Axes, points: Sequence[Mean], colour: str, name: str, covered: int) -> None:
    at = [each.interval_ns / NS_PER_MS for each in points]
    options: dict[str, Any] = {"color": colour, "label": name, "marker": "o", "markersize": 3}
    options["linewidth"] = _width(covered)
    axes.plot(at, [each.mean or 0 for each in points], **options)
    if all(each.low is not None and each.high is not None for each in points):
        low, high = [each.low or 0 for each in points], [each.high or 0 for each in points]
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _across(means: Sequence[Mean], interval_ns: int) -> float:
    """Where the interval is on the axis, from 0 to 1."""
    low, high = (end(each.interval_ns for each in means) for end in (min, max))
    return math.log(interval_ns / low) / math.log(high / low) if high > low else 0.0


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

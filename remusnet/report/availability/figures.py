"""The figures of an availability report: downtime, what it is for, the tornado."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from remusnet.availability.measures import Estimate
from remusnet.availability.module import YEAR
from remusnet.availability.sensitivity import Sensitivity
from remusnet.report.availability.assertions import downtime
from remusnet.report.availability.text import shown_minutes
from remusnet.report.drawing import AXIS, BLUE, GREEN, INK, ORANGE, PURPLE, SKY, YELLOW, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CAUSES = 6
MOST_PARAMETERS = 12
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
_MINUTE = 60.0
_LEAST_MIN = 1e-6
_REST = "all others"


def downtimes(rows: Sequence[tuple[str, Estimate]]) -> Figure:
    """Minutes a year on a logarithmic scale, a point for each row with its 95 % interval."""
    made, (axes,) = figure(1, 0.5 + 0.3 * len(rows))
    for place, (_, estimate) in enumerate(rows):
        found = downtime(estimate)
        assert found is not None
        value, low, high = (None if each is None else each / _MINUTE for each in found)
        assert value is not None
        shown = max(value, _LEAST_MIN)
        if low is not None and high is not None and high > low:
            ends = [max(low, _LEAST_MIN), max(high, _LEAST_MIN)]
            axes.plot(ends, [place, place], color=BLUE, linewidth=2.5, solid_capstyle="butt")
        axes.plot([shown], [place], "o", color=BLUE, markersize=6)
        axes.annotate(
            shown_minutes(found[0]), (shown, place), xytext=(0, 6), textcoords="offset points",
            ha="center", fontsize=9,
        )  # fmt: skip
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    # matplotlib's own labels are formulas, and text stays text here.
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    low_end, high_end = axes.get_xlim()
    axes.set_xlim(low_end / 1.5, high_end * 4)
    _named(axes, [name for name, _ in rows])
    axes.set_xlabel("minutes a year, on a logarithmic scale")
    return made


def causes(rows: Sequence[tuple[str, Mapping[str, float]]]) -> Figure:
    """What share of the downtime each cause has: a bar for each row, in parts that add up to 1.

    ``rows``: a name, and the seconds a year by cause. The largest causes are told apart.
    """
    names = largest(rows)
    made, (axes,) = figure(1, 0.9 + 0.34 * len(rows))
    told = [*names, *([_REST] if any(name not in names for _, f in rows for name in f) else [])]
    painted = dict(zip(told, (*_COLOURS[: len(names)], AXIS), strict=False))
    for place, (_, found) in enumerate(rows):
        total, begin = sum(found.values()) or 1.0, 0.0
        rest = sum(value for name, value in found.items() if name not in names)
        for name, colour in painted.items():
            share = 100 * (rest if name == _REST else found.get(name, 0.0)) / total
            axes.barh(place, share, left=begin, color=colour, height=0.62)
            begin += share
    axes.set_xlim(0, 100)
    _named(axes, [name for name, _ in rows])
    axes.set_xlabel("share of the downtime (%)")
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=name) for name, colour in painted.items()]
    made.legend(handles=handles, loc="outside upper center", ncols=4, fontsize=9)
    return made


def largest(rows: Sequence[tuple[str, Mapping[str, float]]]) -> list[str]:
    """The causes with the largest shares of any row's downtime."""
    shares: dict[str, float] = {}
    for _, found in rows:
        total = sum(found.values()) or 1.0
        for name, value in found.items():
            shares[name] = max(shares.get(name, 0.0), value / total)
    ordered = sorted((name for name in shares if shares[name] > 0), key=lambda n: -shares[n])
    return ordered[:MOST_CAUSES]


def tornado(name: str, found: Sensitivity) -> Figure:
    """Minutes a year with each parameter halved and doubled, widest first."""
    widest = sorted(found.varied, key=lambda one: -one.swing())[:MOST_PARAMETERS]
    made, (axes,) = figure(1, 0.9 + 0.26 * len(widest))
    base = (found.base.rest or 0.0) * YEAR / _MINUTE
    for place, varied in enumerate(widest):
        for colour, estimate in ((BLUE, varied.halved), (ORANGE, varied.doubled)):
            if estimate is not None:
                value = (estimate.rest or 0.0) * YEAR / _MINUTE
                axes.barh(place, value - base, left=base, color=colour, height=0.62)
    axes.axvline(base, color=INK, linewidth=1)
    _named(axes, [f"{one.given.name} ({one.given.shown})" for one in widest])
    axes.set_title(f"{name}: {shown_minutes(base * _MINUTE)} min/year")
    axes.set_xlabel("minutes a year")
    from matplotlib.patches import Patch

    handles = [Patch(color=BLUE, label="halved"), Patch(color=ORANGE, label="doubled")]
    made.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=9)
    return made


def _named(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")

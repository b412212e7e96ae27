"""The thesis's figures 8 to 12, simulated, and set beside what the thesis says of them.

Source: J. Hlaváček, Robustness of VoIP Systems, doctoral thesis, CTU Prague, 2014, chapter 4. Its
figures are images, so there are no numbers to compare but those in its text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from remusnet.report.drawing import (
    BLUE,
    INK,
    LOST,
    OUTAGE,
    broken,
    figure,
    inline,
    style,
    to_png,
    to_svg,
)
from remusnet.report.folder import FIGURES, replaced
from remusnet.report.templating import markup, render
from remusnet.results.comparison import Comparison, Outcome
from remusnet.results.scene import Expectation
from remusnet.results.stream import PacketSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure of the thesis. ``scenario``: which shipped one stands for it.

    ``says``: what the thesis says of it, in our words. ``window_s``: the part of the run that is
    drawn: all of it would be one block of colour. ``least_ms``: the vertical axis reaches at least
    so far; figures that are to be compared have the same.
    """

    scenario: str
    title: str
    says: str
    window_s: tuple[float, float]
    least_ms: float


SHOWN = (
    Shown(
        "fig8",
        "Fig. 8: no virtualization",
        "The thesis: about 0.1 ms of jitter, with minimal variation.",
        (0, 10),
        0.5,
    ),
    Shown(
        "fig9",
        "Fig. 9: virtualized, no replication",
        "The thesis: the jitter stays below 0.5 ms.",
        (0, 10),
        0.5,
    ),
    Shown(
        "fig10",
        "Fig. 10: everything is held, a checkpoint every 400 ms",
        "The thesis: a peak about every 400 ms; about 20 RTP packets leave in a burst, for each "
        "call and direction.",
        (10, 15),
        55,
    ),
    Shown(
        "fig11",
        "Fig. 11: only TCP is held, a checkpoint every 300 ms",
        "The thesis: an interruption every 300 ms, and the jitter falls after each; a phone's "
        "jitter buffer hides it. Two things differ from Fig. 10: the policy, and the period.",
        (10, 15),
        55,
    ),
    Shown(
        "fig12",
        "Fig. 12: the primary fails",
        "The thesis: no packets for about 1 s (detection, gratuitous ARP, switch), then falling "
        "jitter, then stable: there is no replication any more.",
        (17, 25),
        10,
    ),
    Shown(
        "fig12-frozen",
        "Fig. 12, had the guest been a server whose clock stood still",
        "The thesis doesn't say what its guest was. Timestamps that stood still for the outage "
        "would have made a spike that its figure doesn't have.",
        (17, 25),
        100,
    ),
    Shown(
        "fig12-rolled-back",
        "Fig. 12, had the guest been a server that was rolled back",
        "Not in the thesis either: a server that goes on from the last commit sends again what it "
        "had sent since, and the spike is higher.",
        (17, 25),
        100,
    ),
)
"""All that `thesis_page` shows, in its order."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as the page has it: the run, and its drawing as an element and as files."""

    shown: Shown
    policy: str
    assumptions: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    element: Markup
    svg: str
    png: bytes

    @property
    def rows(self) -> list[tuple[None, Expectation]]:
        """What it is held to, as the table has it: all of one policy, which isn't named again."""
        return [(None, each) for each in self.expectations]


def draw(shown: Shown, comparison: Comparison) -> Drawn:
    """Draw the first run of a scenario, the one that the thesis's figure shows.

    Raises MissingDependency without matplotlib, ValueError where the run kept no packets.
    """
    outcome = comparison.outcomes[0]
    scenario = comparison.setting.scenario
    with style():
        made = _figure(shown, outcome)
        svg, png = to_svg(made), to_png(made)
    return Drawn(
        shown,
        outcome.policy,
        scenario.assumptions if scenario else (),
        outcome.scene.expectations if outcome.scene else (),
        markup(inline(svg, shown.scenario, shown.title)),
        svg,
        png,
    )


def thesis_page(drawn: Iterable[Drawn]) -> str:
    """The figures on a page, each with the thesis's words, what it is held to, and assumptions."""
    drawn = tuple(drawn)
    contents = [(each.shown.scenario, each.shown.title) for each in drawn]
    return render("thesis.html.j2", drawn=drawn, contents=contents)


def write_figures(directory: Path, drawn: tuple[Drawn, ...]) -> list[Path]:
    """Write each figure as SVG and PNG, and the page, into ``directory``; the paths there.

    The folder takes the place of older figures when all of it is written. Raises what
    `remusnet.report.folder.prepare` raises.
    """
    written = []
    with replaced(directory, FIGURES) as folder:
        for each in drawn:
            svg = folder / f"{each.shown.scenario}.svg"
            svg.write_text(each.svg, encoding="utf-8", newline="\n")
            png = folder / f"{each.shown.scenario}.png"
            png.write_bytes(each.png)
            written += [svg, png]
        page = folder / "index.html"
        page.write_text(thesis_page(drawn), encoding="utf-8", newline="\n")
        written.append(page)
    return [directory / each.name for each in written]


def _figure(shown: Shown, outcome: Outcome) -> Figure:
    series = next(
        (each.series for each in outcome.streams if each.from_guest and each.series), None
    )
    if series is None:
        raise ValueError(f"{shown.scenario} kept no packets of the guest")
    made, (axes,) = figure(1, 2.6)
    start, stop = shown.window_s
    time_s = series.arrived_ns[series.arrival] / _NS_PER_S
    seen = (time_s >= start) & (time_s <= stop)
    curve = time_s[seen], series.jitter_ms[seen]
    failure = outcome.scene and outcome.scene.failure
    if failure:
        curve = broken(*curve, failure.path_ns / _NS_PER_S)
    axes.plot(*curve, color=BLUE, marker=".", markersize=3)
    _expected(axes, outcome.scene.expectations if outcome.scene else ())
    _outage(axes, outcome, series)
    axes.set_xlim(start, stop)
    largest = float(series.jitter_ms[seen].max(initial=0.0))
    axes.set_ylim(0, max(shown.least_ms, 1.1 * largest))
    axes.set_xlabel("time (s)")
    axes.set_ylabel("jitter (ms)")
    return made


def _expected(axes: Axes, expectations: tuple[Expectation, ...]) -> None:
    """A line where a closed form says that the mean and the maximum of the jitter are."""
    for each in expectations:
        if each.expected is None or each.what not in ("jitter, mean (ms)", "jitter, max (ms)"):
            continue
        word = each.what.removeprefix("jitter, ").removesuffix(" (ms)")
        axes.axhline(each.expected, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        # Beside the axes: on the curve it would hide what it is compared with.
        axes.annotate(
            f"closed form:\n{word} {each.expected:.3g} ms",
            (1, each.expected),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=8.5,
        )


def _outage(axes: Axes, outcome: Outcome, series: PacketSeries) -> None:
    failure = outcome.scene and outcome.scene.failure
    if not failure:
        return
    left, right = (each / _NS_PER_S for each in (failure.failed_ns, failure.path_ns))
    axes.axvspan(left, right, facecolor=OUTAGE, zorder=0, linewidth=0)
    axes.axvline(left, color=LOST, linewidth=1.2)
    arrived = np.sort(series.arrived_ns[series.arrival])
    before = arrived[arrived <= failure.failed_ns + _NS_PER_S // 20]
    after = arrived[arrived > failure.path_ns]
    if len(before) and len(after):
        silent_s = (after[0] - before[-1]) / _NS_PER_S
        axes.annotate(
            f"no packet\nfor {silent_s:.2f} s",
            ((left + right) / 2, 0.8),
            xycoords=("data", "axes fraction"),
            horizontalalignment="center",
            fontsize=8.5,
        )

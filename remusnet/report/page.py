"""The report as one HTML file: it loads nothing, and reads at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from remusnet.metrics.scene import HeldTo
from remusnet.metrics.voice import Voice
from remusnet.report.assertions import Checked
from remusnet.report.drawing import inline, style, to_svg
from remusnet.report.figures import Caption, report_figures
from remusnet.report.measures import Measurements
from remusnet.report.simulation import OPEN_LOOP, setting_lines, side_by_side, title
from remusnet.report.templating import markup, render

MOST_ROWS = 40
"""Streams in the table of the page; the CSV has them all."""

VOICE_NOTE = (
    "MOS is ITU-T G.107's estimate for narrow-band telephony (4.41 at best), worst 10 s that of "
    "the worst ten seconds, delay from mouth to ear. Of two jitter buffers it is the worse one's."
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with what stands around it."""

    caption: Caption
    svg: Markup


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream under one policy; ``cells``: text of the columns."""

    name: str
    policy: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template shows."""

    title: str
    description: str
    setting: tuple[tuple[str, str], ...]
    checked: tuple[Checked, ...]
    policies: tuple[str, ...]
    rows: list[tuple[str, list[tuple[str, list[str]]]]]
    violations: tuple[int, ...]
    figures: tuple[Drawn, ...]
    held_to: tuple[tuple[str, HeldTo], ...]
    streams: tuple[StreamRow, ...]
    streams_left_out: int
    voice_note: str
    caveats: tuple[str, ...]

    @property
    def failed(self) -> int:
        """How many assertions failed."""
        return sum(not each.passed for each in self.checked)


def report_page(measurements: Measurements, checked: Sequence[Checked] = ()) -> str:
    """The report as HTML; the same bytes for the same result.

    Raises MissingDependency without matplotlib.
    """
    comparison = measurements.comparison
    setting = comparison.setting
    scenario = setting.scenario
    rows = tuple(_stream_rows(measurements))
    page = Page(
        title=title(setting),
        description=scenario.description if scenario else "",
        setting=tuple(setting_lines(setting)),
        checked=tuple(checked),
        policies=tuple(outcome.policy for outcome in comparison.outcomes),
        rows=side_by_side(comparison.outcomes),
        violations=tuple(outcome.output_commit.violations for outcome in comparison.outcomes),
        figures=_figures(measurements),
        held_to=tuple(
            (outcome.policy, each)
            for outcome in comparison.outcomes
            if outcome.scene
            for each in outcome.scene.held_to
        ),
        streams=rows[:MOST_ROWS],
        streams_left_out=max(0, len(rows) - MOST_ROWS),
        voice_note=VOICE_NOTE,
        caveats=_caveats(measurements),
    )
    return render("simulation.html.j2", page=page)


def _figures(measurements: Measurements) -> tuple[Drawn, ...]:
    with style():
        return tuple(
            Drawn(caption, markup(inline(to_svg(figure), caption.name, caption.title)))
            for caption, figure in report_figures(measurements.comparison)
        )


def _stream_rows(measurements: Measurements) -> list[StreamRow]:
    rows = []
    for stream, labels in measurements.streams:
        rtp = stream.rtp
        voices = measurements.voices(stream)
        policy = dict(labels)["policy"]
        cells = (
            str(rtp.packets),
            str(rtp.lost),
            f"{rtp.jitter_ms.mean:.2f} ms" if rtp.jitter_ms.known else "-",
            f"{rtp.jitter_ms.max:.2f} ms" if rtp.jitter_ms.known else "-",
            *_voice_cells(voices),
        )
        rows.append((rtp.flow, rtp.ssrc, StreamRow(f"{rtp.flow} {rtp.ssrc_text}", policy, cells)))
    # What the policies make of one stream stands together, in the order of first appearance.
    order = {key: place for place, key in reversed(list(enumerate(row[:2] for row in rows)))}
    return [row for *key, row in sorted(rows, key=lambda row: order[row[:2]])]


def _voice_cells(voices: tuple[Voice, ...]) -> tuple[str, str, str]:
    if not voices:
        return ("-", "-", "-")
    worse = min(voices, key=lambda voice: voice.r)
    return (f"{worse.mos:.2f}", f"{worse.mos_min:.2f}", f"{worse.delay_ms:.0f} ms")


def _caveats(measurements: Measurements) -> tuple[str, ...]:
    scenario = measurements.comparison.setting.scenario
    found = list(scenario.assumptions) if scenario else [OPEN_LOOP]
    found += measurements.comparison.setting.notes
    for stream, _ in measurements.streams:
        found += [f"{stream.rtp.flow}: {note}" for note in stream.rtp.notes]
        for voice in measurements.voices(stream):
            if voice.codec.source.startswith("assumed"):
                found.append(f"MOS: {voice.codec.source}; {voice.codec.name}.")
    return tuple(dict.fromkeys(found))

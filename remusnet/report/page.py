"""The report as one HTML file: it loads nothing, and reads at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from remusnet.metrics.flows import SeenHazard
from remusnet.metrics.voice import Voice
from remusnet.report.assertions import Checked
from remusnet.report.drawing import inline, style, to_svg
from remusnet.report.figures import Caption, report_figures
from remusnet.report.measures import Measurements
from remusnet.report.simulation import caveat, plain, setting_lines, stream_cells, title
from remusnet.report.stream_groups import Group, groups
from remusnet.report.summary import Summary, hazards, sides, summary
from remusnet.report.templating import markup, render
from remusnet.results.scene import Expectation
from remusnet.results.stream import Stream

MOST_ROWS = 40
"""Streams in the table of the page; the CSV has them all."""

_WORST = "worst 10\N{NO-BREAK SPACE}s"
STREAM_HEADS = (
    "packets", "lost", "jitter, mean (ms)", "max (ms)", "burst", "MOS", _WORST, "not heard (%)",
    "delay (ms)",
)  # fmt: skip
VOICE_NOTE = (
    "MOS is ITU-T G.107's estimate for narrow-band telephony (4.41 at best), worst 10 s that of "
    "the worst ten seconds, not heard what was lost or late, delay from mouth to ear. Of two "
    "jitter buffers it is the worse one's. Burst: packets a burst, median / max."
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with what stands around it."""

    caption: Caption
    svg: Markup


@dataclass(frozen=True, slots=True)
class FileBeside:
    """A file in the folder of the page: its name, and what it has."""

    name: str
    has: str

    @property
    def link(self) -> str:
        """Relative, so that the folder can be moved."""
        return f"./{quote(self.name)}"


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template shows. ``command``: what made it, None where no command did."""

    title: str
    description: str
    setting: tuple[tuple[str, str], ...]
    checked: tuple[Checked, ...]
    summary: Summary
    hazards: list[tuple[list[str], SeenHazard]]
    figures: tuple[Drawn, ...]
    expectations: tuple[tuple[str, Expectation], ...]
    stream_heads: tuple[str, ...]
    streams: list[Group]
    streams_left_out: int
    voice_note: str
    caveats: tuple[str, ...]
    command: str | None
    files: tuple[FileBeside, ...]

    @property
    def failed(self) -> int:
        """How many assertions failed."""
        return sum(not each.passed for each in self.checked)

    @property
    def contents(self) -> list[tuple[str, str]]:
        """The sections that there are: identifiers and titles, in the order of the page."""
        sections: list[tuple[object, str, str]] = [
            (self.checked, "assertions", "Assertions"),
            (True, "policies", "What each policy does"),
            (self.hazards, "hazards", "What may go wrong after a failover"),
            *((True, each.caption.name, each.caption.title) for each in self.figures),
            (self.expectations, "held-to", "What it is held to"),
            (self.streams, "streams", "RTP streams"),
            (self.caveats, "caveats", "What to know before trusting it"),
            (self.command or self.files, "made", "How it was made"),
        ]
        return [(name, title) for there, name, title in sections if there]


def report_page(
    measurements: Measurements,
    checked: Sequence[Checked] = (),
    *,
    command: str | None = None,
    files: Sequence[FileBeside] = (),
) -> str:
    """The report as HTML; the same bytes for the same result.

    ``command``: what a shell would be told to make it again; ``files``: what lies beside the page.

    Raises MissingDependency without matplotlib.
    """
    comparison = measurements.comparison
    setting = comparison.setting
    scenario = setting.scenario
    streams = groups(sides(measurements), lambda stream: _stream_cells(measurements, stream))
    page = Page(
        title=title(setting),
        description=scenario.description if scenario else "",
        setting=tuple(setting_lines(setting)),
        checked=tuple(checked),
        summary=summary(measurements),
        hazards=hazards(comparison.outcomes),
        figures=_figures(measurements),
        expectations=tuple(
            (outcome.policy, each)
            for outcome in comparison.outcomes
            if outcome.scene
            for each in outcome.scene.expectations
        ),
        stream_heads=STREAM_HEADS,
        streams=streams[:MOST_ROWS],
        streams_left_out=max(0, len(streams) - MOST_ROWS),
        voice_note=VOICE_NOTE,
        caveats=_caveats(measurements),
        command=None if command is None else plain(command),
        files=tuple(files),
    )
    return render("simulation.html.j2", page=page)


def _figures(measurements: Measurements) -> tuple[Drawn, ...]:
    with style():
        return tuple(
            Drawn(caption, markup(inline(to_svg(figure), caption.name, caption.title)))
            for caption, figure in report_figures(measurements.comparison)
        )


def _stream_cells(measurements: Measurements, stream: Stream) -> tuple[str, ...]:
    return (*stream_cells(stream), *_voice_cells(measurements.voices(stream)))


def _voice_cells(voices: tuple[Voice, ...]) -> tuple[str, str, str, str]:
    if not voices:
        return ("-", "-", "-", "-")
    worse = min(voices, key=lambda voice: voice.r)
    return (
        f"{worse.mos:.2f}",
        f"{worse.mos_min:.2f}",
        f"{worse.missing_percent:.2f}",
        f"{worse.delay_ms:.0f}",
    )


def _caveats(measurements: Measurements) -> tuple[str, ...]:
    setting = measurements.comparison.setting
    found = list(setting.scenario.assumptions) if setting.scenario else [caveat(setting)]
    found += setting.notes
    for stream, _ in measurements.streams:
        found += [f"{stream.rtp.flow}: {note}" for note in stream.rtp.notes]
        for voice in measurements.voices(stream):
            if voice.codec.source.startswith("assumed"):
                found.append(f"MOS: {voice.codec.source}; {voice.codec.name}.")
    return tuple(dict.fromkeys(found))

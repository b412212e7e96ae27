"""What a replay found, for a person (tables) and for a script (JSON)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from rich.console import Console
from rich.text import Text

from remusnet.report.assertions import Checked
from remusnet.report.layout import (
    Column,
    Section,
    print_compared,
    print_named,
    print_records,
    print_sentence,
)
from remusnet.report.measures import Measurements
from remusnet.report.stream_groups import groups
from remusnet.report.summary import (
    NOTHING,
    Cell,
    Side,
    Summary,
    Tone,
    burst,
    fixed,
    hazards,
    sides,
    summary,
)
from remusnet.results.comparison import Comparison, Outcome, Setting
from remusnet.results.stream import Stream
from remusnet.units import format_duration, format_size

OPEN_LOOP = (
    "Open loop: these are the recorded frames at other times. Nobody reacts to the delay, so real "
    "TCP would send slower, and SIP over UDP would send again. Pause and commit delay are "
    "assumptions until you have measured yours."
)
LIVE = (
    "A live run: the program was stopped at each checkpoint, but nothing was copied, and its "
    "kernel's TCP ran on meanwhile. What clients did, they did under this delay."
)
MOST_STREAMS = 20
"""Streams that get a table. A capture can have thousands; JSON has them all."""

_STYLES = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.BAD: "bold red"}


def simulation_json(
    comparison: Comparison,
    speed: dict[str, float] | None = None,
    checked: Sequence[Checked] = (),
) -> str:
    """The document of ``simulate --json``, indented; see docs/reference/json.md.

    ``speed``: how long the simulation took. It differs from run to run, so files don't have it.
    ``checked``: the assertions, if there were any.
    """
    document = comparison.to_json()
    if checked:
        document["assertions"] = [each.to_json() for each in checked]
    if speed is not None:
        document["speed"] = speed
    return json.dumps(document, indent=2, allow_nan=False)


def print_simulation(console: Console, comparison: Comparison) -> None:
    """Prints the setting, the policies side by side, and each RTP stream."""
    print_named(console, setting_lines(comparison.setting))
    console.print()
    measurements = Measurements(comparison)
    _print_summary(console, summary(measurements))
    _print_hazards(console, comparison.outcomes)
    _print_streams(console, sides(measurements))
    _print_expectations(console, comparison.outcomes)
    console.print()
    if comparison.setting.scenario is None:
        print_sentence(console, caveat(comparison.setting))
    for sentence in comparison.setting.scenario.assumptions if comparison.setting.scenario else ():
        print_sentence(console, f"Assumed: {plain(sentence)}")
    for sentence in comparison.setting.notes:
        print_sentence(console, f"Note: {plain(sentence)}")


def caveat(setting: Setting) -> str:
    """What to know of a recording or a live run before trusting its numbers."""
    return LIVE if setting.live else OPEN_LOOP


def setting_lines(setting: Setting) -> Iterator[tuple[str, str]]:
    """The setting of a simulation: a word and what it is, line by line."""
    guest = f"{setting.guest} ({setting.guest_reason}), {setting.guest_frames} frames"
    times = (setting.interval_ns, setting.pause_ns, setting.commit_delay_ns)
    interval, pause, delay = map(format_duration, times)
    period = "no checkpoints"
    if setting.period_ns:
        period = (
            f"a checkpoint every {format_duration(setting.period_ns)} (schedule "
            f"{setting.schedule}: interval {interval}, pause {pause}, commit delay {delay})"
        )
    what = "scenario" if setting.scenario else "program" if setting.live else "capture"
    yield from (
        (what, plain(setting.capture)),
        ("guest", guest),
        ("Remus", period),
        ("plug", f"{format_size(setting.limit)} at most"),
    )


def _print_expectations(console: Console, outcomes: tuple[Outcome, ...]) -> None:
    """The closed forms and sentences that a figure's runs are held to."""
    for outcome in outcomes:
        for each in outcome.scene.expectations if outcome.scene else ():
            expected = "" if each.expected is None else f" {each.expected:.2f},"
            console.print()
            console.print(
                Text.assemble(
                    (f"{outcome.policy}, {each.what}: ", "bold"),
                    f"{each.seen:.2f}; expected{expected} {each.tolerance}: ",
                    ("holds", "green") if each.holds else ("DOES NOT HOLD", "bold red"),
                )
            )
            console.print(Text(f"  {each.text}"))


def title(setting: Setting) -> str:
    """What a report is called: the scenario's name, the recording's or the program's without its
    folder."""
    named = setting.capture.split(" ")[0] if setting.live else setting.capture
    return plain(PurePath(named).name or setting.capture)


def plain(text: str) -> str:
    """A path without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _print_summary(console: Console, found: Summary) -> None:
    sections = [
        Section(each.title, [(row.name, [_text(cell) for cell in row.cells]) for row in each.rows])
        for each in found.sections
    ]
    print_compared(console, found.heads, sections)


def _text(cell: Cell) -> Text:
    return Text(cell.text, _STYLES[cell.tone])


def _print_hazards(console: Console, outcomes: tuple[Outcome, ...]) -> None:
    """As ``classify`` has them, of the guest's own frames; one under several policies once."""
    for policies, hazard in hazards(outcomes):
        text = f"Hazard under {', '.join(policies)}: {hazard.text}: {hazard.frames} frames"
        console.print()
        print_sentence(console, f"{text}, first in {hazard.flow}", "red", indent=4)


def _print_streams(console: Console, columns: Sequence[Side]) -> None:
    """A small table for each stream: what every policy made of it."""
    found = groups(columns, stream_cells)
    for group in found[:MOST_STREAMS]:
        console.print()
        print_sentence(console, f"RTP {group.title}", "bold", indent=4)
        heads = [Column("  policy", roomy=16)]
        heads += [Column(name, right=True, roomy=8) for name in _STREAM_HEADS]
        print_records(
            console, heads, [(f"  {', '.join(runs)}", *cells) for runs, cells in group.rows]
        )
        for note in group.notes:
            print_sentence(console, f"note: {plain(note)}", indent=4)
    if len(found) > MOST_STREAMS:
        console.print(Text(f"\nand {len(found) - MOST_STREAMS} streams more: --json has all"))


_STREAM_HEADS = ("packets", "lost", "mean ms", "max ms", "burst")


def stream_cells(stream: Stream) -> tuple[str, ...]:
    """A row of an RTP stream: packets, lost, the mean and largest jitter, bursts."""
    rtp = stream.rtp
    return (
        str(rtp.packets),
        str(rtp.lost),
        fixed(rtp.jitter_ms.mean) or NOTHING,
        fixed(rtp.jitter_ms.max) or NOTHING,
        burst(rtp.bursts.median, rtp.bursts.max),
    )

"""What a replay found, for a person (tables) and for a script (JSON)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isnan
from pathlib import PurePath

from rich.console import Console
from rich.text import Text

from remusnet.metrics.outcome import Comparison, Outcome, Setting, Stream
from remusnet.report.assertions import Checked
from remusnet.report.layout import (
    Column,
    Section,
    print_compared,
    print_named,
    print_records,
    print_sentence,
)
from remusnet.units import format_duration, format_size

OPEN_LOOP = (
    "Open loop: these are the recorded frames at other times. Nobody reacts to the delay, so real "
    "TCP would send slower, and SIP over UDP would send again. Pause and commit delay are "
    "assumptions until you have measured yours."
)
MOST_STREAMS = 20
"""Streams that get a table. A capture can have thousands; JSON has them all."""

_NONE = "-"

Cell = Callable[[Outcome], str]


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
    """What was simulated, the policies side by side, and each RTP stream."""
    print_named(console, setting_lines(comparison.setting))
    console.print()
    _print_side_by_side(console, comparison.outcomes)
    _print_streams(console, comparison.outcomes)
    _print_held_to(console, comparison.outcomes)
    console.print()
    if comparison.setting.scenario is None:
        print_sentence(console, OPEN_LOOP)
    for sentence in comparison.setting.scenario.assumptions if comparison.setting.scenario else ():
        print_sentence(console, f"Assumed: {plain(sentence)}")
    for sentence in comparison.setting.notes:
        print_sentence(console, f"Note: {plain(sentence)}")


def setting_lines(setting: Setting) -> Iterator[tuple[str, str]]:
    """What was simulated: a word and what it is, line by line."""
    guest = f"{setting.guest} ({setting.guest_reason}), {setting.guest_frames} frames"
    times = (setting.interval_ns, setting.pause_ns, setting.commit_delay_ns)
    interval, pause, delay = map(format_duration, times)
    period = "no checkpoints"
    if setting.period_ns:
        period = (
            f"a checkpoint every {format_duration(setting.period_ns)} (schedule "
            f"{setting.schedule}: interval {interval}, pause {pause}, commit delay {delay})"
        )
    yield from (
        ("scenario" if setting.scenario else "capture", plain(setting.capture)),
        ("guest", guest),
        ("Remus", period),
        ("plug", f"{format_size(setting.limit)} at most"),
    )


def _print_held_to(console: Console, outcomes: tuple[Outcome, ...]) -> None:
    """The closed forms and sentences that a figure's runs are held to."""
    for outcome in outcomes:
        for each in outcome.scene.held_to if outcome.scene else ():
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
    """The scenario's name, or the recording's without its folder: what a report is called."""
    return plain(PurePath(setting.capture).name or setting.capture)


def plain(text: str) -> str:
    """A path without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def side_by_side(outcomes: tuple[Outcome, ...]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """What the policies did: titles, under each rows, and in each a cell for every outcome.

    Violations of output commit aren't among them: those stand out by their colour.
    """
    return [
        (title, [(name, [cell(outcome) for outcome in outcomes]) for name, cell in rows])
        for title, rows in _ROWS
    ]


def _print_side_by_side(console: Console, outcomes: tuple[Outcome, ...]) -> None:
    sections = [
        Section(title, [(name, [Text(cell) for cell in cells]) for name, cells in rows])
        for title, rows in side_by_side(outcomes)
    ]
    violations = ("violations of output commit", [*map(_violations, outcomes)])
    sections[-1] = replace(sections[-1], rows=[*sections[-1].rows, violations])
    print_compared(console, [outcome.policy for outcome in outcomes], sections)


def _violations(outcome: Outcome) -> Text:
    count = outcome.output_commit.violations
    return Text(str(count), "bold red" if count else "green")


def _print_streams(console: Console, outcomes: tuple[Outcome, ...]) -> None:
    """A small table for each stream: what every policy made of it."""
    found: dict[tuple[str, int], list[tuple[str, Stream]]] = {}
    for outcome in outcomes:
        for stream in outcome.streams:
            rows = found.setdefault((stream.rtp.flow, stream.rtp.ssrc), [])
            rows.append((outcome.policy, stream))
    for rows in list(found.values())[:MOST_STREAMS]:
        stream = rows[0][1]
        direction = "from the guest" if stream.from_guest else "not from the guest"
        console.print()
        heading = f"RTP {stream.rtp.flow} {stream.rtp.ssrc_text}, {direction}"
        print_sentence(console, heading, "bold", indent=4)
        _print_stream(console, rows)
        for note in dict.fromkeys(note for _, each in rows for note in each.rtp.notes):
            print_sentence(console, f"note: {plain(note)}", indent=4)
    if len(found) > MOST_STREAMS:
        console.print(Text(f"\nand {len(found) - MOST_STREAMS} streams more: --json has all"))


def _print_stream(console: Console, rows: list[tuple[str, Stream]]) -> None:
    numbers = ("packets", "lost", "mean ms", "peak ms", "burst")
    columns = [Column("  policy", roomy=16)]
    columns += [Column(name, right=True, roomy=8) for name in numbers]
    cells = [
        (
            f"  {policy}",
            str(stream.rtp.packets),
            str(stream.rtp.lost),
            _ms(stream.rtp.jitter_ms.mean),
            _ms(stream.rtp.jitter_ms.max),
            _burst(stream.rtp.bursts.median, stream.rtp.bursts.max),
        )
        for policy, stream in rows
    ]
    print_records(console, columns, cells)


def _burst(median: float, largest: int) -> str:
    return f"{median:g} / {largest}"


def _ms(value: float | None) -> str:
    return _NONE if value is None or isnan(value) else f"{value:.2f}"


def _worst(measure: Callable[[Stream], float]) -> Cell:
    """The largest value over the guest's own streams: those are what Remus delays."""

    def cell(outcome: Outcome) -> str:
        own = [stream for stream in outcome.streams if stream.from_guest]
        values = [value for value in map(measure, own) if not isnan(value)]
        return _ms(max(values)) if values else _NONE

    return cell


def _bursts(outcome: Outcome) -> str:
    bursts = [stream.rtp.bursts for stream in outcome.streams if stream.from_guest]
    if not bursts:
        return _NONE
    return _burst(max(each.median for each in bursts), max(each.max for each in bursts))


_ROWS: tuple[tuple[str, tuple[tuple[str, Cell], ...]], ...] = (
    (
        "RTP from the guest (worst stream)",
        (
            ("jitter, mean (ms)", _worst(lambda stream: stream.rtp.jitter_ms.mean)),
            ("jitter, peak (ms)", _worst(lambda stream: stream.rtp.jitter_ms.max)),
            ("packets a burst, median / max", _bursts),
        ),
    ),
    (
        "Delay of TCP that is held (SIP)",
        (
            ("median (ms)", lambda outcome: _ms(outcome.tcp.median)),
            ("p99 (ms)", lambda outcome: _ms(outcome.tcp.p99)),
            ("max (ms)", lambda outcome: _ms(outcome.tcp.max)),
        ),
    ),
    (
        "Frames from the guest",
        (
            ("held until their commit", lambda outcome: str(outcome.output_commit.held)),
            ("  dropped: the plug was full", lambda outcome: str(outcome.output_commit.dropped)),
            ("let pass before their commit", lambda outcome: str(outcome.output_commit.bypassed)),
        ),
    ),
)

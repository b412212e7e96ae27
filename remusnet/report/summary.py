"""The policies side by side, as terminal and page show them, and what may go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from remusnet.metrics.flows import SeenHazard
from remusnet.metrics.voice import Voice
from remusnet.report.measures import Measurements, folded, readings
from remusnet.report.metric_table import METRICS
from remusnet.results.comparison import Outcome
from remusnet.results.stream import Stream

AS_RECORDED = "as recorded"
NOTHING = "-"


class Tone(StrEnum):
    """What a cell makes of its number; the value is what it is called in a style."""

    PLAIN = ""
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Cell:
    """Text, and its tone."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Row:
    """A name, and a cell for each column."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Rows with a title above them."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """``heads``: the columns' names; ``sections`` have no row without a value in it."""

    heads: tuple[str, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A column: a run, or (``outcome`` None) the recording as it was, without Remus."""

    head: str
    streams: tuple[Stream, ...]
    outcome: Outcome | None


Cells = Callable[[Measurements, Sequence[Side]], list[str | None]]
"""The text of a row's cells; None where there is nothing to say."""


def sides(measurements: Measurements) -> tuple[Side, ...]:
    """The recording, if it is one, and the policies in their order."""
    comparison = measurements.comparison
    found = [Side(each.policy, each.streams, each) for each in comparison.outcomes]
    if comparison.recorded is not None:
        found.insert(0, Side(AS_RECORDED, comparison.recorded, None))
    return tuple(found)


def summary(measurements: Measurements) -> Summary:
    """What the policies did. Rows and sections without any value are left out."""
    columns = sides(measurements)
    return Summary(
        tuple(side.head for side in columns),
        tuple(
            Section(title, rows)
            for title, made in _SECTIONS
            if (rows := tuple(_rows(made, measurements, columns)))
        ),
    )


def hazards(outcomes: Sequence[Outcome]) -> list[tuple[list[str], SeenHazard]]:
    """What may go wrong after a failover, and under which policies: each told once."""
    found: dict[SeenHazard, list[str]] = {}
    for outcome in outcomes:
        for hazard in outcome.hazards:
            found.setdefault(hazard, []).append(outcome.policy)
    return [(policies, hazard) for hazard, policies in found.items()]


def _rows(
    made: Sequence[tuple[str, Cells]], measurements: Measurements, columns: Sequence[Side]
) -> Iterator[Row]:
    for name, cells in made:
        texts = cells(measurements, columns)
        if any(text is not None for text in texts):
            toned = name == VIOLATIONS
            yield Row(name, tuple(_cell(text, toned=toned) for text in texts))


def _cell(text: str | None, *, toned: bool) -> Cell:
    if text is None:
        return Cell(NOTHING)
    if not toned:
        return Cell(text)
    return Cell(text, Tone.GOOD if text == "0" else Tone.BAD)


def fixed(value: float | None) -> str | None:
    """Two digits behind the point; ``never`` for what took for ever, None for what isn't known."""
    if value is None or math.isnan(value):
        return None
    return "never" if math.isinf(value) else f"{value:.2f}"


def burst(median: float, largest: int) -> str:
    """Packets a burst."""
    return f"{median:g} / {largest}"


def _of_streams(measure: Callable[[Stream], float]) -> Cells:
    """The largest value over the guest's own streams: those are what Remus delays."""

    def cells(_: Measurements, columns: Sequence[Side]) -> list[str | None]:
        found = [[measure(each) for each in side.streams if each.from_guest] for side in columns]
        known = [[value for value in values if not math.isnan(value)] for values in found]
        return [fixed(max(values)) if values else None for values in known]

    return cells


def _of_voices(measure: Callable[[Voice], float], worst: Callable[[list[float]], float]) -> Cells:
    """The same of how they sound, through each jitter buffer."""

    def cells(measurements: Measurements, columns: Sequence[Side]) -> list[str | None]:
        found = [
            [
                measure(voice)
                for stream in side.streams
                if stream.from_guest
                for voice in measurements.voices(stream)
            ]
            for side in columns
        ]
        return [fixed(worst(values)) if values else None for values in found]

    return cells


def _bursts(_: Measurements, columns: Sequence[Side]) -> list[str | None]:
    found = [[each.rtp.bursts for each in side.streams if each.from_guest] for side in columns]
    return [
        burst(max(each.median for each in bursts), max(each.max for each in bursts))
        if bursts
        else None
        for bursts in found
    ]


def _of_metric(path: str, form: Callable[[float], str | None] = fixed) -> Cells:
    """One number of each run, as assertions have it."""

    def cells(measurements: Measurements, columns: Sequence[Side]) -> list[str | None]:
        metric = METRICS[path]
        found = {
            each.label("policy"): form(each.value)
            for each in folded(metric, readings(metric, measurements))
        }
        return [None if side.outcome is None else found.get(side.head) for side in columns]

    return cells


def _of_requests(path: str, form: Callable[[float], str | None] = fixed) -> Cells:
    """The same of SIP requests, which a recording has, too."""

    def cells(measurements: Measurements, columns: Sequence[Side]) -> list[str | None]:
        compared = measurements.comparison
        if compared.recorded is None or not compared.outcomes:
            return _of_metric(path, form)(measurements, columns)
        recorded = replace(
            compared.outcomes[0], policy=AS_RECORDED, scene=None, sip=compared.recorded_sip
        )
        every = Measurements(replace(compared, outcomes=(recorded, *compared.outcomes)))
        found = {
            each.label("policy"): form(each.value)
            for each in folded(METRICS[path], readings(METRICS[path], every))
        }
        return [found.get(side.head) for side in columns]

    return cells


def _count(value: float) -> str:
    return f"{value:g}" if math.isinf(value) else str(int(value))


def _of_runs(value: Callable[[Outcome], int]) -> Cells:
    def cells(_: Measurements, columns: Sequence[Side]) -> list[str | None]:
        return [None if side.outcome is None else str(value(side.outcome)) for side in columns]

    return cells


def _unprotected(_: Measurements, columns: Sequence[Side]) -> list[str | None]:
    """A row of its own, where there are such frames: no policy chose to let them pass."""
    runs = [None if side.outcome is None else side.outcome.output_commit for side in columns]
    if not any(run.unprotected for run in runs if run is not None):
        return [None] * len(runs)
    return [None if run is None else str(run.unprotected) for run in runs]


VIOLATIONS = "violations of output commit"

_SECTIONS: tuple[tuple[str, tuple[tuple[str, Cells], ...]], ...] = (
    (
        "RTP from the guest (worst stream)",
        (
            ("MOS", _of_voices(lambda voice: voice.mos, min)),
            ("MOS, worst 10 s", _of_voices(lambda voice: voice.mos_min, min)),
            ("speech not heard (%)", _of_voices(lambda voice: voice.missing_percent, max)),
            ("longest outage (ms)", _of_voices(lambda voice: voice.longest_gap_ms, max)),
            ("packets lost (%)", _of_streams(lambda stream: stream.rtp.sequence.lost_percent)),
            ("jitter, mean (ms)", _of_streams(lambda stream: stream.rtp.jitter_ms.mean)),
            ("jitter, max (ms)", _of_streams(lambda stream: stream.rtp.jitter_ms.max)),
            ("packets a burst, median / max", _bursts),
        ),
    ),
    (
        "SIP",
        (
            ("call set-up, median (ms)", _of_requests("sip.setup.median")),
            ("call set-up, max (ms)", _of_requests("sip.setup.max")),
            ("until it rings, median (ms)", _of_requests("sip.ringing.median")),
            ("until it rings, p95 (ms)", _of_requests("sip.ringing.p95")),
            ("sent again", _of_requests("sip.retransmissions", _count)),
            ("given up", _of_requests("sip.timeouts", _count)),
        ),
    ),
    (
        "TCP",
        (
            ("answer, median (ms)", _of_metric("tcp.response.median")),
            ("answer, p95 (ms)", _of_metric("tcp.response.p95")),
            ("connection, median (ms)", _of_metric("tcp.completion.median")),
            ("connection, p95 (ms)", _of_metric("tcp.completion.p95")),
            ("segments sent again", _of_metric("tcp.retransmissions", _count)),
        ),
    ),
    (
        "Delay of held TCP",
        (
            ("median (ms)", _of_metric("tcp.hold.median")),
            ("p99 (ms)", _of_metric("tcp.hold.p99")),
            ("max (ms)", _of_metric("tcp.hold.max")),
        ),
    ),
    (
        "Delay of held SIP over UDP",
        (
            ("median (ms)", _of_metric("sip.hold.median")),
            ("p99 (ms)", _of_metric("sip.hold.p99")),
            ("max (ms)", _of_metric("sip.hold.max")),
        ),
    ),
    (
        "Frames from the guest",
        (
            ("held until their commit", _of_runs(lambda run: run.output_commit.held)),
            ("  dropped: the plug was full", _of_runs(lambda run: run.output_commit.dropped)),
            (
                "let pass before their commit",
                _of_runs(lambda run: run.output_commit.bypassed - run.output_commit.unprotected),
            ),
            ("sent unprotected", _unprotected),
            (VIOLATIONS, _of_runs(lambda run: run.output_commit.violations)),
        ),
    ),
)

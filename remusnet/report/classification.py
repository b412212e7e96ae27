"""What policies do to a capture, as tables, as lines and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from remusnet.frames import Int64s
from remusnet.metrics.flows import Judgement, Survey
from remusnet.policy.verdict import Verdict
from remusnet.report.layout import Column, print_records, print_sentence
from remusnet.units import format_size

_COLOURS = {Verdict.HOLD: "yellow", Verdict.BYPASS: "green"}


def survey_json(surveys: Sequence[Survey]) -> dict[str, Any]:
    """The form of ``remusnet classify --json`` (docs/reference/classify.md)."""
    return {
        "policies": [
            {
                "policy": each.policy.name,
                "held": each.held,
                "bypassed": each.bypassed,
                "flows": [asdict(flow) for flow in each.flows],
                "hazards": [asdict(hazard) for hazard in each.hazards],
            }
            for each in surveys
        ]
    }


def print_survey(console: Console, survey: Survey) -> None:
    """Prints the sums, a table of flows (the largest first), and the hazards."""
    name = survey.policy.name
    console.print(Text(f"{name}: {survey.held} frames held, {survey.bypassed} bypass", "bold"))
    flows = sorted(survey.flows, key=lambda each: -each.frames)
    print_records(
        console,
        _FLOW_COLUMNS,
        [
            (
                flow.flow,
                str(flow.frames),
                format_size(flow.bytes),
                Text(flow.verdict, _COLOURS[flow.verdict]),
                flow.rule,
            )
            for flow in flows
        ],
    )
    for each in survey.hazards:
        text = f"hazard: {each.text}: {each.frames} frames, first in {each.flow}"
        print_sentence(console, text, "red")


_FLOW_COLUMNS = (
    Column("FLOW"),
    Column("FRAMES", right=True),
    Column("BYTES", right=True),
    Column("VERDICT"),
    Column("RULE"),
)


def packet_lines(
    judgements: Sequence[Judgement], numbers: Int64s, *, as_json: bool
) -> Iterator[str]:
    """A line for each frame and policy: ``{"n", "policy", "verdict", "rule", "reason"}`` or text.

    ``n`` is the frame's of ``numbers`` (int64[frames]): counted from 1, as Wireshark does.
    """
    tails = [
        [_tail(each, group, as_json) for group in range(len(each.headers))] for each in judgements
    ]
    groups = judgements[0].group.tolist() if judgements else []
    for number, group in zip(numbers.tolist(), groups, strict=True):
        for tail in tails:
            yield f'{{"n": {number}, {tail[group]}' if as_json else f"{number}\t{tail[group]}"


def _tail(judgement: Judgement, group: int, as_json: bool) -> str:
    """What all frames of a group have alike in their lines, made once."""
    decision = judgement.decisions[group]
    fields = {"policy": judgement.policy.name, **asdict(decision)}
    if as_json:
        return json.dumps(fields)[1:]
    return "\t".join(map(str, fields.values()))

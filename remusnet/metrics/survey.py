"""What a policy does to a capture: flows with their verdicts, and the hazards in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns, columns, group_rows
from remusnet.classify.hazards import Hazard, hazards_of_frame
from remusnet.classify.judging import Judgement, judge_frames
from remusnet.frames import Frames
from remusnet.metrics.flows import flow_keys, flow_of
from remusnet.policy.policy import Policy
from remusnet.policy.verdict import Verdict


@dataclass(frozen=True, slots=True)
class FlowVerdict:
    """Frames of one flow (one direction) that the same rule decided on; ``bytes`` on the wire."""

    flow: str
    frames: int
    bytes: int
    verdict: Verdict
    rule: str


@dataclass(frozen=True, slots=True)
class SeenHazard:
    """A hazard, in how many frames it was seen, and the flow in which it was seen first."""

    name: str
    text: str
    frames: int
    flow: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What ``policy`` does to all frames of a capture, whoever sent them."""

    policy: Policy
    held: int
    bypassed: int
    flows: tuple[FlowVerdict, ...]
    hazards: tuple[SeenHazard, ...]


def survey(frames: Frames, policies: Sequence[Policy]) -> tuple[list[Survey], list[Judgement]]:
    """A survey for each of ``policies``, and the judgements they come from, in the same order."""
    headers = columns(frames)
    flow, first = flow_keys(headers)
    names = [flow_of(headers, index) for index in first]
    judgements = judge_frames(policies, frames, headers)
    return [_survey(frames, headers, flow, names, each) for each in judgements], judgements


def _survey(
    frames: Frames,
    headers: Columns,
    flow: np.ndarray[tuple[int], np.dtype[np.int64]],
    names: list[str],
    judgement: Judgement,
) -> Survey:
    # Decisions differ in their reasons too; a flow has a row for each rule that decided on it.
    rules: dict[tuple[Verdict, str], int] = {}
    rule_of_group = np.array(
        [rules.setdefault((d.verdict, d.rule), len(rules)) for d in judgement.decisions], np.int64
    )
    rule = rule_of_group[judgement.group] if len(headers) else judgement.group
    first, row = group_rows([flow, rule])
    counts = np.bincount(row, minlength=len(first))
    sizes = np.bincount(row, weights=frames.length, minlength=len(first))
    kinds = list(rules)
    flows = tuple(
        FlowVerdict(names[int(flow[i])], int(count), int(size), *kinds[int(rule[i])])
        for i, count, size in zip(first, counts, sizes, strict=True)
    )
    held = int(judgement.hold.sum())
    every = np.arange(len(headers))
    return Survey(
        judgement.policy, held, len(headers) - held, flows, hazards_seen(judgement, headers, every)
    )


def hazards_seen(
    judgement: Judgement, columns: Columns, rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[SeenHazard, ...]:
    """The hazards in the frames at ``rows`` (int64[n], ascending), which were judged."""
    group = judgement.group[rows]
    counts = np.bincount(group, minlength=len(judgement.headers))
    seen: dict[str, tuple[Hazard, list[int]]] = {}
    pairs = zip(judgement.headers, judgement.decisions, strict=True)
    for number, (headers, decision) in enumerate(pairs):
        if counts[number]:
            for hazard in hazards_of_frame(judgement.policy, headers, decision.verdict):
                seen.setdefault(hazard.name, (hazard, []))[1].append(number)
    found = []
    for name, (hazard, numbers) in seen.items():
        first = int(rows[np.argmax(np.isin(group, numbers))])
        total = int(counts[numbers].sum())
        found.append(SeenHazard(name, hazard.text, total, flow_of(columns, first)))
    return tuple(found)

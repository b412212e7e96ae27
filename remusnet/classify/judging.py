"""The reference classifier on many frames: equal headers are judged once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns, group_rows
from remusnet.classify.headers import Headers, dissect
from remusnet.classify.reference import Decision, judge
from remusnet.frames import Bools, Frames, Int64s
from remusnet.policy.policy import Policy
from remusnet.policy.verdict import Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The decisions on n frames: ``decisions[group[i]]`` is that on frame i.

    ``hold``: bool[n]; ``group``: int64[n]; ``headers``: what the frames of each group have alike.
    """

    policy: Policy
    hold: Bools
    group: Int64s
    decisions: tuple[Decision, ...]
    headers: tuple[Headers, ...]

    def decision(self, index: int) -> Decision:
        """The decision on frame ``index``, counted from 0."""
        return self.decisions[int(self.group[index])]


def judge_frames(policies: Sequence[Policy], frames: Frames, columns: Columns) -> list[Judgement]:
    """The decisions of each of ``policies`` on all ``frames``, whose headers are ``columns``."""
    first, group = group_rows(columns.decisive())
    headers = tuple(dissect(frames.frame(i), int(frames.length[i])) for i in first)
    judgements = []
    for policy in policies:
        decisions = tuple(judge(policy, each) for each in headers)
        held = np.array([each.verdict is Verdict.HOLD for each in decisions], np.bool_)
        hold = held[group] if len(held) else np.zeros(0, np.bool_)
        judgements.append(Judgement(policy, hold, group, decisions, headers))
    return judgements

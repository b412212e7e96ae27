"""What policies hold of a capture, flow by flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from remusnet.api import words
from remusnet.api.words import PolicyWord
from remusnet.capture import Capture, read_frames
from remusnet.metrics.flows import Judgement, Survey, survey
from remusnet.policy import DEFAULT_POLICY, Policy

Reader = Callable[[str], Capture]


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """A capture under one policy or several.

    ``surveys``: for each policy its flows with their verdicts, and the hazards; ``judgements``: for
    each policy a verdict for each frame; both in the order of the policies. ``recording``: the
    capture; its ``warnings`` should be seen by a person.
    """

    recording: Capture
    surveys: tuple[Survey, ...]
    judgements: tuple[Judgement, ...]


def classified(
    source: str,
    policies: Sequence[Policy],
    read: Reader = read_frames,
    tell: Callable[[str], None] = lambda _: None,
) -> Classified:
    """Judge the frames of ``source`` under each of ``policies``; calls ``tell`` at each step."""
    recording = read(source)
    tell(f"judging {len(recording.frames)} frames")
    surveys, judgements = survey(recording.frames, policies)
    return Classified(recording, tuple(surveys), tuple(judgements))


def classify(
    capture: str | Path, *, policies: Sequence[PolicyWord] = (DEFAULT_POLICY.name,)
) -> Classified:
    """Judge a capture under policies, flow by flow, and name its hazards. ``remusnet classify``.

    ``capture`` is pcap or pcapng, gzipped or not; ``-`` is standard input. It judges the frames of
    every sender. ``policies`` are names, files and `Policy` values.

        >>> found = remusnet.classify("call.pcap", policies=["tcp-only", "real-time"])
        >>> [(each.policy.name, each.held, each.bypassed) for each in found.surveys]
        [('tcp-only', 135, 4002), ('real-time', 135, 4002)]
        >>> found.surveys[0].flows[0].verdict
        <Verdict.BYPASS: 'bypass'>

    Raises InvalidInput: no such file, no capture, no frame in it, or an unknown policy.
    """
    chosen = words.distinct(words.policies(policies))
    return classified(words.path("capture", capture), chosen)

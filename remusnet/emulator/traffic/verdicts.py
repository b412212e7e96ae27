"""What each policy does with each RTP stream: the reference classifier, asked once a header."""

from __future__ import annotations

from collections.abc import Sequence

from remusnet.classify.columns import columns
from remusnet.classify.judging import judge_frames
from remusnet.emulator.traffic.rtp import Source
from remusnet.emulator.traffic.rtp_frames import Templates
from remusnet.frames import Frames
from remusnet.policy.match import Match
from remusnet.policy.policy import Policy
from remusnet.scenario.scenario import Host

_ENDPOINTS = (
    "source",
    "destination",
    "address",
    "source_port",
    "destination_port",
    "port",
)


def stream_verdicts(
    sources: Sequence[Source], host: Host, policies: Sequence[Policy]
) -> list[list[bool]]:
    """For each policy, what it does with each of ``sources``: True where it holds.

    The packets of a stream differ in numbers and marker only, which no policy looks at; streams of
    one group differ in addresses and ports, which few policies look at. (The payload class looks at
    ports too, but tells apart none of those that `sources` gives out.)
    """
    alike: dict[tuple[int, bool, int], int] = {}
    model = [
        alike.setdefault((each.group, each.from_guest, each.leg), index)
        for index, each in enumerate(sources)
    ]
    templates = Templates(host)
    found = []
    for policy in policies:
        asked = range(len(sources)) if _looks_at_endpoints(policy) else sorted(set(alike.values()))
        rows = [templates.of(sources[index]).row.tobytes() for index in asked]
        holds: dict[int, bool] = {}
        if rows:
            frames = Frames.of(rows)
            (judgement,) = judge_frames([policy], frames, columns(frames))
            holds = dict(zip(asked, judgement.hold.tolist(), strict=True))
        found.append(
            [holds[index] if index in holds else holds[model[index]] for index in range(len(model))]
        )
    return found


def _looks_at_endpoints(policy: Policy) -> bool:
    def looks(match: Match) -> bool:
        return any(getattr(match, name) is not None for name in _ENDPOINTS)

    return any(looks(rule.match) for rule in policy.rules)

"""A result as JSON, with what only a report works out: voices and assertions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from remusnet.report.assertions import Checked
from remusnet.report.measures import Measurements
from remusnet.results.stream import Stream


def report_json(measurements: Measurements, checked: Sequence[Checked] = ()) -> str:
    """``report.json``: the document of ``simulate --json``, and more.

    Each stream has ``voice``, a list with an entry for each jitter buffer; ``assertions`` has what
    was asked. docs/reference/json.md describes it all.
    """

    def heard(streams: Sequence[Stream]) -> list[dict[str, object]]:
        return [
            {**stream.to_json(), "voice": [each.to_json() for each in measurements.voices(stream)]}
            for stream in streams
        ]

    comparison = measurements.comparison
    document = comparison.to_json()
    document["runs"] = [
        {**outcome.to_json(), "streams": heard(outcome.streams)} for outcome in comparison.outcomes
    ]
    if comparison.recorded is not None:
        requests = [each.to_json() for each in comparison.recorded_sip]
        document["recorded"] = {"streams": heard(comparison.recorded), "sip": requests}
    document["assertions"] = [each.to_json() for each in checked]
    return json.dumps(document, indent=2, allow_nan=False) + "\n"

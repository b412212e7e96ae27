from __future__ import annotations

import re
from pathlib import Path

from remusnet.metrics.emodel import RATED_CODECS
from remusnet.report.metric_table import METRICS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "reference" / "metrics.md").read_text()


def test_every_metric_is_documented_as_it_is() -> None:
    rows = re.findall(r"^\| `([a-z.0-9]+)` \| (\S+) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert sorted(rows) == sorted(
        (metric.path, str(metric.unit) or "number", metric.meaning) for metric in METRICS.values()
    )


def test_the_selectors_of_every_table_are_documented() -> None:
    sections = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)
    for metric in METRICS.values():
        (section,) = [each for each in sections if f"| `{metric.path}` |" in each]
        listed = re.search(r"^Selectors: (.+)\.$", section, re.MULTILINE)
        assert listed
        assert tuple(re.findall(r"`([a-z]+)`", listed[1])) == metric.keys


def test_the_codecs_are_documented_with_their_factors() -> None:
    for codec in RATED_CODECS.values():
        assert f"| {codec.ie:g} | {codec.bpl} |" in DOCUMENT

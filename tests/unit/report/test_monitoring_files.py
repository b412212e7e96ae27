"""The alert rules and the dashboard ask for metrics that exist, in queries that can be read."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remusnet.report.prometheus import WATCH_COUNTERS, text
from tests.lib.readings import reading

FOLDER = Path(__file__).parents[3] / "monitoring"
ALERTS = FOLDER / "alerts.yml"
DASHBOARD: dict[str, Any] = json.loads(
    (FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8")
)
OTHERS = {"node_textfile_mtime_seconds"}
"""What the node exporter says of the files that it reads."""

_NAME = re.compile(r"\b(?:remusnet|node)_\w+")


def metrics() -> set[str]:
    names = re.findall(r"^(\w+)[{ ]", text(lambda: [reading()]).decode(), re.MULTILINE)
    return set(names) | OTHERS


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def asked(words: str) -> set[str]:
    return set(_NAME.findall(words))


def test_every_query_of_the_dashboard_asks_for_metrics_that_exist() -> None:
    found = list(queries())
    assert found
    for query in found:
        assert asked(query), query
        assert asked(query) <= metrics(), query
    for variable in DASHBOARD["templating"]["list"]:
        assert asked(variable["query"]) <= metrics()


def test_every_alert_asks_for_metrics_that_exist() -> None:
    content = ALERTS.read_text(encoding="utf-8")
    names = asked("\n".join(re.findall(r"expr: (?:\|\n(?: {10}.*\n)+|.*\n)", content)))
    assert names
    assert names <= metrics()
    assert len(re.findall(r"^ +expr:", content, re.MULTILINE)) == len(
        re.findall(r"^ +- alert:", content, re.MULTILINE)
    )


def test_what_is_not_there_would_be_noticed() -> None:
    assert not asked("rate(remusnet_nosuch_total[5m])") <= metrics()


def test_every_metric_of_a_protection_is_on_the_dashboard() -> None:
    shown = asked("\n".join(queries()))
    own = {name for name in metrics() - OTHERS if name.startswith("remusnet_")}
    assert own <= shown, own - shown


def test_panels_have_what_a_reader_needs_and_lie_on_no_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_reference_has_every_metric_and_no_other() -> None:
    page = (FOLDER.parent / "docs/reference/monitoring.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `remusnet_")]
    of_watch = {f"{name}_total" for name in WATCH_COUNTERS}
    assert asked("\n".join(rows)) == (metrics() - OTHERS) | of_watch


def promtool(*words: str | Path) -> str:
    done = subprocess.run(
        ["promtool", *words],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.needs("promtool")
def test_promtool_takes_the_alerts_and_they_fire_when_they_should() -> None:
    names = re.findall(r"^ +- alert: (\w+)", ALERTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert f"{len(names)} rules found" in promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts_test.yml")
    tried = (FOLDER / "alerts_test.yml").read_text(encoding="utf-8")
    assert [name for name in names if f"alertname: {name}\n" not in tried] == []


@pytest.mark.slow
@pytest.mark.needs("promtool")
def test_promtool_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"query_{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    # JSON is YAML, too.
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)

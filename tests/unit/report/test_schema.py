"""The documented schema describes every document, and nothing that isn't there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import PRESETS
from remusnet.report.assertion_syntax import parse
from remusnet.report.assertions import evaluate
from remusnet.report.document import report_json
from remusnet.report.measures import Measurements
from remusnet.report.simulation import simulation_json
from remusnet.results.comparison import Comparison
from remusnet.results.exchanges import Ended
from remusnet.results.scene import Counts, Expectation, FailureMarks
from remusnet.scenario.library import names, shipped
from tests.unit.report.outcomes import MS, replayed_call, staged, transaction, transfer

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "reference" / "simulate.schema.json"
SCHEMA: Any = json.loads(SCHEMA_FILE.read_text())
TEXTS = ("mos >= 4", "sip.setup.max < 1s", "rtp[policy=nobody].lost == 0", "commit.held >= 0")


def documents(comparison: Comparison) -> list[Any]:
    measurements = Measurements(comparison)
    checked = evaluate([parse(text) for text in TEXTS], measurements)
    speed = {"packets": 1000, "seconds": 0.5, "packets_per_second": 2000}
    texts = (simulation_json(comparison, speed, checked), report_json(measurements, checked))
    return [json.loads(text) for text in texts]


def validate(document: Any) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def everything() -> Comparison:
    kept = Expectation("jitter", "form", None, 38.1, 37.2, 38.8, "2 %")
    return staged(
        sip=(transaction(), transaction(duration_ms=None, ended=Ended.TIMEOUT)),
        transfers=(transfer(), transfer("dns", None, ended=Ended.UNFINISHED)),
        counts=Counts(9000),
        failure=FailureMarks(4000 * MS, 3900 * MS, 4900 * MS, 5000 * MS, None),
        expectations=(kept,),
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_replay_is_as_described() -> None:
    for document in documents(replayed_call()):
        validate(document)


def test_a_run_with_all_that_there_can_be_is_as_described() -> None:
    for document in documents(everything()):
        validate(document)


@pytest.mark.parametrize("name", names())
def test_shipped_scenarios_are_as_described(name: str) -> None:
    scenario = shipped(name)
    policies = [PRESETS[policy] for policy in scenario.policies] or list(PRESETS.values())
    comparison = run_scenario(scenario, policies).comparison
    for document in documents(comparison):
        validate(document)


def keys(value: Any, at: str = "") -> set[str]:
    """All keys of a document, with those above them."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item, at)}
    if not isinstance(value, dict):
        return set()
    return {f"{at}.{key}" for key in value} | {
        key for name, item in value.items() for key in keys(item, f"{at}.{name}")
    }


def described(schema: Any, at: str = "") -> set[str]:
    """All keys that the schema has a word for."""
    if "$ref" in schema:
        return described(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], at)
    found = {key for each in schema.get("anyOf", ()) for key in described(each, at)}
    found |= described(schema["items"], at) if "items" in schema else set()
    for name, below in schema.get("properties", {}).items():
        found |= {f"{at}.{name}"} | described(below, f"{at}.{name}")
    return found


def test_nothing_is_described_that_never_comes() -> None:
    fig12 = run_scenario(shipped("fig12"), [PRESETS["tcp-only"]]).comparison
    documents_seen = [*documents(everything()), *documents(fig12)]
    seen = {key for document in documents_seen for key in keys(document)}
    # Streams and requests of a recording, by itself or under a policy, are described as those of
    # a scenario are.
    missing = {
        key for key in described(SCHEMA) - seen if key.replace(".recorded.", ".runs.") not in seen
    }
    # The one field of a fixed buffer; shipped scenarios have adaptive ones.
    assert missing == {".scenario.client.depth_ms"}


def test_a_key_that_nobody_described_is_found() -> None:
    document = documents(replayed_call())[0]
    document["runs"][0]["streams"][0]["colour"] = "red"
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        validate(document)

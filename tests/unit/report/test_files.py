"""JUnit XML, CSV, JSON, and the folder that they are written into."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.frames import Frames
from remusnet.report.assertion_syntax import parse
from remusnet.report.assertions import Checked, evaluate
from remusnet.report.csv_files import csv_files
from remusnet.report.directory import prepare, write_report
from remusnet.report.document import report_json
from remusnet.report.junit import junit_xml
from remusnet.report.measures import Measurements
from remusnet.results.stream import NEVER
from tests.unit.report.outcomes import measured, replayed_call


def checked(*assertions: str) -> tuple[Checked, ...]:
    return evaluate([parse(text) for text in assertions], measured())


def test_each_assertion_is_a_test_case() -> None:
    found = checked("commit.violations == 0", "rtp.jitter.mean < 6ms")
    top = ET.fromstring(junit_xml("call.pcap", found))
    (suite,) = top
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("call.pcap", "2", "1")
    passed, failed = suite
    assert passed.get("name") == "commit.violations == 0"
    assert passed.find("failure") is None
    assert passed.findtext("system-out") == found[0].seen
    failure = failed.find("failure")
    assert failure is not None
    assert failure.get("message") == f"saw {found[1].seen}"
    assert found[1].seen in str(failure.text)


def test_an_assertion_that_looked_at_nothing_is_a_failure_in_junit() -> None:
    top = ET.fromstring(junit_xml("x", checked("rtp[policy=nobody].lost == 0")))
    failure = top.find(".//failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("nothing to look at")


@given(st.text())
def test_any_name_makes_well_formed_xml(name: str) -> None:
    text = junit_xml(name, ())
    assert ET.fromstring(text.encode()) is not None


def test_junit_has_no_times() -> None:
    text = junit_xml("call.pcap", checked("commit.violations == 0"))
    assert "time" not in text


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def test_streams_have_a_row_for_each_policy_and_buffer() -> None:
    found = rows(csv_files(measured())["streams.csv"])
    assert len(found) == 2 * 2 * 2
    bad = [row for row in found if row["policy"] == "hold-all" and row["from"] == "guest"]
    assert [row["buffer"] for row in bad] == ["fixed", "adaptive"]
    stream = replayed_call().outcomes[1].streams[0]
    assert float(bad[0]["jitter_mean_ms"]) == pytest.approx(stream.rtp.jitter_ms.mean, abs=1e-6)
    assert float(bad[0]["mos"]) < 2


def test_packets_have_a_row_each_with_their_jitter() -> None:
    found = rows(csv_files(measured("hold-all"))["packets.csv"])
    stream = replayed_call("hold-all").outcomes[0].streams[0]
    assert stream.series is not None
    of_stream = [row for row in found if row["ssrc"] == stream.rtp.ssrc_text]
    assert len(of_stream) == 500
    by_arrival = [of_stream[packet] for packet in stream.series.arrival.tolist()]
    assert [float(row["jitter_ms"]) for row in by_arrival] == [
        round(value, 6) for value in stream.series.jitter_ms.tolist()
    ]
    assert all(int(row["arrived_ns"]) >= int(row["sent_ns"]) for row in of_stream)


def test_a_packet_that_never_came_has_no_jitter() -> None:
    comparison = replayed_call("tcp-only")
    outcome = comparison.outcomes[0]
    stream = outcome.streams[0]
    series = stream.series
    assert series is not None
    arrived = series.arrived_ns.copy()
    arrived[3] = NEVER
    lost = replace(
        series,
        arrived_ns=arrived,
        arrival=series.arrival[series.arrival != 3],
        jitter_ms=series.jitter_ms[series.arrival != 3],
    )
    odd = replace(outcome, streams=(replace(stream, series=lost),))
    found = rows(csv_files(Measurements(replace(comparison, outcomes=(odd,))))["packets.csv"])
    assert (found[3]["arrived_ns"], found[3]["jitter_ms"]) == ("-1", "")


def test_epochs_are_those_of_the_json() -> None:
    found = rows(csv_files(measured("tcp-only"))["epochs.csv"])
    document = replayed_call("tcp-only").to_json()
    runs: Any = document["runs"]
    assert [
        {"suspend_ns": int(row["suspend_ns"]), "commit_ns": int(row["commit_ns"])} for row in found
    ] == runs[0]["epochs"]


def test_the_reports_json_is_that_of_the_command_and_more() -> None:
    found = json.loads(report_json(measured(), checked("commit.violations == 0")))
    plain: Any = json.loads(json.dumps(replayed_call().to_json()))
    assert [each["assertion"] for each in found.pop("assertions")] == ["commit.violations == 0"]
    for run in (*found["runs"], found["recorded"]):
        for stream in run["streams"]:
            assert [each["buffer"] for each in stream.pop("voice")] == ["fixed", "adaptive"]
    assert found == plain


@pytest.mark.slow
def test_a_report_is_a_folder_of_files_that_are_the_same_each_time(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        folder = tmp_path / name
        prepare(folder)
        write_report(folder, measured(), checked("mos >= 1"), [Frames.of([b"\0" * 60])] * 2)
        contents.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {
        "index.html",
        "report.json",
        "streams.csv",
        "packets.csv",
        "epochs.csv",
        "released-tcp-only.pcap",
        "released-hold-all.pcap",
        ".remusnet-report",
    }

"""JUnit XML and PNML, judged by somebody else's parser against a schema."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from remusnet.availability.models.library import READY, blueprint
from remusnet.report.assertion_syntax import parse
from remusnet.report.assertions import evaluate
from remusnet.report.junit import junit_xml
from remusnet.report.net.pnml import net_pnml
from tests.unit.report.outcomes import measured

SCHEMA = Path(__file__).parent / "junit.xsd"
PNML = Path(__file__).parent / "pnml.rng"

pytestmark = pytest.mark.needs("xmllint")


def judged(file: Path) -> subprocess.CompletedProcess[str]:
    command = ["xmllint", "--noout", "--nonet", "--schema", str(SCHEMA), str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "name", ["call.pcap", "<&\"'>", "\x00\x1b\ud800\uffff", "héllo \U0001f4de"]
)
def test_junit_is_valid_whatever_the_names_are(name: str, tmp_path: Path) -> None:
    texts = ("mos >= 4", "commit.violations == 0", "rtp[flow='<&\">'].lost == 0")
    checked = evaluate([parse(text) for text in texts], measured())
    file = tmp_path / "junit.xml"
    file.write_text(junit_xml(name, checked), encoding="utf-8")
    done = judged(file)
    assert done.returncode == 0, done.stderr


def test_the_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    file.write_text(junit_xml("x", ()).replace('errors="0"', ""), encoding="utf-8")
    assert "errors" in judged(file).stderr


def valid_pnml(file: Path) -> subprocess.CompletedProcess[str]:
    command = ["xmllint", "--noout", "--nonet", "--relaxng", str(PNML), str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", READY)
def test_pnml_has_the_structure_that_the_standard_asks_for(name: str, tmp_path: Path) -> None:
    file = tmp_path / "net.pnml"
    file.write_text(net_pnml(blueprint(name).made().net), encoding="utf-8")
    done = valid_pnml(file)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [('source="p', 'source="nowhere'), ("<transition id", "<transit id"), ('id="t1"', 'id="t0"')],
)
def test_the_judge_sees_what_is_wrong_with_pnml(right: str, wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "net.pnml"
    text = net_pnml(blueprint("remus").made().net)
    assert right in text
    file.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    assert valid_pnml(file).returncode != 0

"""JUnit XML, judged by somebody else's parser against a schema."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from remusnet.report.assertion_syntax import parse
from remusnet.report.assertions import evaluate
from remusnet.report.junit import junit_xml
from tests.unit.report.outcomes import measured

SCHEMA = Path(__file__).parent / "junit.xsd"

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

"""Assertions as JUnit XML, which CI servers show: one test case each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol
from xml.etree import ElementTree as ET

from remusnet.report.assertion_syntax import Assertion

# What XML 1.0 has no way to write, not even escaped (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Case(Protocol):
    """An assertion, whether it ``passed``, what was ``seen``, and what a failure's message is."""

    @property
    def assertion(self) -> Assertion[Any]:
        """As it was asked."""

    @property
    def passed(self) -> bool:
        """Whether it holds."""

    @property
    def seen(self) -> str:
        """The values that the assertion saw, for a person."""

    @property
    def message(self) -> str:
        """The values that it saw, as a failure says them."""


def junit_xml(name: str, checked: Sequence[Case], command: str = "simulate") -> str:
    """A document with one suite ``name``, and in it a case for each assertion, whatever the runs.

    ``command`` is what has checked them. A case's name is the assertion's text, so that a CI server
    can follow it over time. There are no times in it: the same result has the same bytes.
    """
    failures = sum(not each.passed for each in checked)
    counts = {"tests": str(len(checked)), "failures": str(failures), "errors": "0"}
    top = ET.Element("testsuites", counts)
    suite = ET.SubElement(top, "testsuite", {"name": _xml(name), **counts, "skipped": "0"})
    for each in checked:
        case = ET.SubElement(
            suite,
            "testcase",
            {"classname": f"remusnet.{command}", "name": _xml(each.assertion.text)},
        )
        if each.passed:
            ET.SubElement(case, "system-out").text = _xml(each.seen)
        else:
            failure = ET.SubElement(
                case, "failure", {"message": _xml(each.message), "type": "assertion"}
            )
            failure.text = _xml(_text(each))
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, "unicode") + "\n"


def _text(checked: Case) -> str:
    return f"{checked.assertion.text}\n{checked.seen}"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

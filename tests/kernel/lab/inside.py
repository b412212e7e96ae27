"""The pytest plugin inside a lab: tells the host, line by line, what happens to each test.

A line is a Python literal: ``{"start": NODEID}``, ``{"report": REPORT}`` or ``{"finish": NODEID}``.
(JSON would lose the tuples in pytest's reports.) It is written before the next step begins, so a
kernel that dies leaves the name of the test that it died in.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Set inside a lab only: the file to write to.
VARIABLE = "REMUSNET_LAB_REPORTS"


class Reporter:
    """Writes what pytest does to a file."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def _line(self, key: str, value: object) -> None:
        self._file.write(f"{ {key: value}!r}\n")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._line("start", nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test (setup, call, teardown) has ended."""
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        self._line("report", data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test has ended."""
        self._line("finish", nodeid)

    def pytest_unconfigure(self) -> None:
        """The session is over."""
        self._file.close()


def pytest_configure(config: pytest.Config) -> None:
    """Register the reporter."""
    config.pluginmanager.register(Reporter(config, Path(os.environ[VARIABLE])), "lab-reporter")

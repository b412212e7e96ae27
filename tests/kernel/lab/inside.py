"""The pytest plugin inside a lab: runs what the host wants, and tells what happens, line by line.

A line is a Python literal: ``{"start": NODEID}``, ``{"report": REPORT}`` or ``{"finish": NODEID}``.
(JSON would lose the tuples in pytest's reports.) It is written before the next step begins, so a
kernel that dies leaves the name of the test that it died in.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

# Set inside a lab only: the directory shared with the host, and what is in it.
VARIABLE = "REMUSNET_LAB_TESTS"
WANTED = "wanted"
REPORTS = "reports"


class Inside:
    """Runs the tests with the node ids ``wanted``; writes what becomes of them to ``reports``."""

    def __init__(self, config: pytest.Config, wanted: Sequence[str], reports: Path) -> None:
        self._config = config
        self._order = {nodeid: index for index, nodeid in enumerate(wanted)}
        self._file = reports.open("a", encoding="utf-8", buffering=1)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests that are wanted, in that order.

        As arguments, one node id of a module that can't be imported would end the session.
        """
        items[:] = [item for item in items if item.nodeid in self._order]
        items.sort(key=lambda item: self._order[item.nodeid])

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
    """Take up the host's wishes."""
    directory = Path(os.environ[VARIABLE])
    wanted = ast.literal_eval((directory / WANTED).read_text(encoding="utf-8"))
    config.pluginmanager.register(Inside(config, wanted, directory / REPORTS), "inside")

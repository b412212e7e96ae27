"""What holds for all tests: when one is skipped, when skipping is a failure, how many examples."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from tests.lib.long import count, seed, told

pytest_plugins = ["pytester"]

_FAILURE = 500
"""So many characters say what a test failed of."""

# No deadline: the tests share two cores with each other, so the time of one example says nothing.
settings.register_profile("remusnet", deadline=None, max_examples=count(sample=100, long=1000))
settings.load_profile("remusnet")


def pytest_addoption(parser: pytest.Parser) -> None:
    """For ``scripts/test``, which names at its end what failed."""
    parser.addoption("--failures", type=Path, help="append to this file what fails, a line each")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before workers and labs start; each finds it in its environment.

    On CI hypothesis starts from it, too. Elsewhere it keeps what failed in a database, which it
    doesn't look into where it is given a seed.
    """
    chosen = seed()
    if os.environ.get("CI") == "true" and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(chosen)


def pytest_report_header() -> str:
    """How many, and from which seed."""
    return told()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only ``scripts/test --long`` takes; that is not skipping."""
    if count(sample=0, long=1):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine or this user cannot run, and say what would change that."""
    needed = {name for mark in item.iter_markers("needs") for name in mark.args}
    if item.get_closest_marker("tshark"):
        needed.add("tshark")
    missing = sorted(name for name in needed if shutil.which(name) is None)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (scripts/test installs it for root)")


def _skipped(config: pytest.Config) -> list[pytest.TestReport]:
    """All skipped tests and modules; none in a worker of xdist, which only reports to the rest."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reporter.stats.get("skipped", []) if reporter else []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true a skipped test fails the session: there, everything must have run."""
    passed = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if os.environ.get("CI") == "true" and passed and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was compared with Kamailio, and name what made a CI run fail."""
    _compared(terminalreporter)
    _write_failures(terminalreporter)
    skipped = _skipped(terminalreporter.config)
    if os.environ.get("CI") == "true" and skipped:
        terminalreporter.section("skipped, which CI=true forbids", red=True)
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longreprtext}")


def _write_failures(reporter: pytest.TerminalReporter) -> None:
    """A line each: where it failed, and how its message begins.

    pytest's own summary has whole messages where CI=true, and some have a thousand lines.
    """
    path: Path | None = reporter.config.option.failures
    if path is None or hasattr(reporter.config, "workerinput"):
        return
    with path.open("a", encoding="utf-8") as file:
        for outcome in ("failed", "error"):
            for report in reporter.stats.get(outcome, []):
                crash = getattr(report.longrepr, "reprcrash", None)
                at = f"line {crash.lineno}: " if crash else ""
                said = crash.message if crash else report.longreprtext
                line = f"{outcome}: {report.nodeid}: {at}{' / '.join(said.splitlines())}"
                file.write(f"{line[:_FAILURE]}\n")


def _compared(reporter: pytest.TerminalReporter) -> None:
    """The table of tests/sip/test_beside_kamailio.py, also where workers have run it."""
    reports = [*reporter.stats.get("passed", []), *reporter.stats.get("failed", [])]
    properties = [each for report in reports for each in getattr(report, "user_properties", ())]
    rows = [row for name, row in properties if name == "beside kamailio"]
    if rows:
        reporter.section("beside Kamailio")
        for what, *found in [["", "remusnet", "Kamailio", "with sanity"], *rows]:
            reporter.line(f"{what:52}" + "".join(f"{each:24}" for each in found).rstrip())

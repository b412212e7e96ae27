"""The pytest plugin inside a lab: runs what the host wants, and tells what happens, line by line.

A line is a Python literal: ``{"hand": NUMBER}``, ``{"start": NODEID}``, ``{"report": REPORT}``,
``{"finish": NODEID}`` or ``{"missing": (NODEID, WHY)}``. (JSON would lose the tuples in pytest's
reports.) It is written before the next step begins, so a kernel that dies leaves the name of the
test that it died in.

The tests lie there in hands, each of them from one file. A lab takes the next one when it has done
with the last, and imports its file only then: what other labs run costs it neither time nor memory.
"""

from __future__ import annotations

import ast
import faulthandler
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

# Set inside a lab only: the directory shared with the host, and what is in it.
VARIABLE = "REMUSNET_LAB_TESTS"
WANTED = "wanted"
REPORTS = "reports"
STACKS = "stacks"  # where a test stood when nearly all of its time was over
_NEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a lab is to run: node ids.

    ``own``: left over from a lab that died, for this one only. ``hands``: for whoever comes first,
    by making a folder with the hand's number in ``taken``, which all labs share. ``timeouts``: the
    seconds of each, after which the host ends the lab.
    """

    own: Sequence[str]
    hands: Sequence[Sequence[str]]
    taken: str
    timeouts: Mapping[str, float]

    def text(self) -> str:
        """As a Python literal."""
        return repr((self.own, self.hands, self.taken, self.timeouts))

    @classmethod
    def read(cls, text: str) -> Wanted:
        """From what ``text`` gave."""
        return cls(*ast.literal_eval(text))

    def take(self, number: int) -> bool:
        """Whether this hand is ours now: nobody had taken it."""
        try:
            os.mkdir(f"{self.taken}/{number}")
        except FileExistsError:
            return False
        return True


class Inside:
    """Runs the tests that are ``wanted``; writes what becomes of them into ``directory``."""

    def __init__(self, config: pytest.Config, wanted: Wanted, directory: Path) -> None:
        self._config = config
        self._wanted = wanted
        self._modules: dict[Path, pytest.Collector] = {}
        self._found: dict[Path, Mapping[str, pytest.Item]] = {}
        self._errors: list[str] = []
        self._file = (directory / REPORTS).open("a", encoding="utf-8", buffering=1)
        self._stacks = (directory / STACKS).open("a", encoding="utf-8")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Find the files; none of them is imported yet."""
        found = session.perform_collect(genitems=False)
        self._modules = {node.path: node for node in found if isinstance(node, pytest.Collector)}
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run one hand after the other."""
        for hand in self._hands():
            items = self._items(session, hand)
            for item, following in zip(items, [*items[1:], None], strict=False):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.shouldfail or session.shouldstop:
                    raise session.Interrupted(session.shouldfail or session.shouldstop)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a file can't be collected."""
        if report.failed:
            self._errors.append(report.longreprtext)

    def _hands(self) -> Iterator[Sequence[str]]:
        """Those of this lab, one by one; a left over one may have tests of several files."""
        for path in dict.fromkeys(map(_file, self._wanted.own)):
            yield [nodeid for nodeid in self._wanted.own if _file(nodeid) == path]
        for number, hand in enumerate(self._wanted.hands):
            if self._wanted.take(number):
                self._line("hand", number)
                # A lab may have died with the word that it had taken a hand on its lips.
                yield [nodeid for nodeid in hand if nodeid not in self._wanted.own]

    def _items(self, session: pytest.Session, hand: Sequence[str]) -> list[pytest.Item]:
        """The tests of a hand, in its order; says which of them aren't there, and why."""
        if not hand:
            return []
        path = self._config.rootpath / _file(hand[0])
        if path not in self._found:
            self._errors.clear()
            items = list(session.genitems(self._modules[path])) if path in self._modules else []
            self._config.hook.pytest_collection_modifyitems(
                session=session, config=self._config, items=items
            )
            self._found[path] = {item.nodeid: item for item in items}
        found = self._found[path]
        why = "\n".join(self._errors) or f"{path} has no such test inside"
        for nodeid in hand:
            if nodeid not in found:
                self._line("missing", (nodeid, why))
        return [found[nodeid] for nodeid in hand if nodeid in found]

    def _line(self, key: str, value: object) -> None:
        self._file.write(f"{ {key: value}!r}\n")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._line("start", nodeid)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        """Say where a test stands that is about to be ended from outside."""
        seconds = _NEARLY * self._wanted.timeouts[item.nodeid]
        faulthandler.dump_traceback_later(seconds, file=self._stacks)
        yield
        faulthandler.cancel_dump_traceback_later()
        self._stacks.truncate(0)  # what was slow and ended says nothing of the next

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
        self._stacks.close()


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def pytest_configure(config: pytest.Config) -> None:
    """Take up the host's wishes."""
    directory = Path(os.environ[VARIABLE])
    wanted = Wanted.read((directory / WANTED).read_text(encoding="utf-8"))
    config.pluginmanager.register(Inside(config, wanted, directory), "inside")

"""The pytest plugin that runs tests marked ``uml`` or ``netns`` inside a lab.

Outside, such a test sets up nothing: its reports come from the pytest inside. Without the lab it is
skipped, on CI it fails.

The labs run at the same time, and while the tests without one run here. Of UML there is a kernel
for each processor, and they share the tests file by file; the running kernel is there once, so its
tests stay one after the other. A test that is marked ``alone`` has a kernel to itself, of 256 MB.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from remusnet.lab.account import Account
from remusnet.lab.errors import LabDied, LabUnavailable
from remusnet.lab.guard import Guard
from remusnet.lab.runs import Lab
from remusnet.lab.uml import Uml
from remusnet.lab.visible import Inside, inside
from tests.kernel.lab.batch import Batch
from tests.kernel.lab.inside import VARIABLE
from tests.kernel.lab.netns import Netns
from tests.lib.long import count

LABS: Mapping[str, Callable[[bool], Lab]] = {
    "uml": lambda alone: Uml() if alone else Uml(_SHARED_MEMORY),
    "netns": lambda _: Netns(),
}
MARKERS = (
    "uml(timeout=120, alone=False): runs as root in a UML kernel, which many tests share",
    "netns(timeout=120): runs as root in fresh namespaces of the running kernel",
)
_IMPORTS = "pytest, remusnet, tests.kernel.lab.inside"
_TIMEOUT_SECONDS = 120
# A pytest inside grows to 105 MB with the tests that it has imported, and a SIP server under Remus
# with its phones takes 150 more. Where 256 MB had to do, Linux read its programs' files again and
# again, and a test of 25 s took over 120.
_SHARED_MEMORY = "384M"
# A boot and the start of a pytest take as long as so many tests.
_FEWEST = 20
# So many tests of a file go to one kernel at once; more would let the others wait in the end.
_HAND = 25


class LabPlugin:
    """Hands the items of each lab to one ``Batch``."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._batches: dict[str, Batch] = {}  # by node id
        self._unavailable: dict[str, str] = {}
        self._places: dict[str, tuple[Inside, Path]] = {}  # by lab; with a folder of our own
        self._scratch: list[Guard] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Both labs belong to the kernel tests: ``-m kernel`` selects them."""
        if _lab_of(item) is not None:
            item.add_marker("kernel")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put lab tests last: the labs have begun by then."""
        items.sort(key=lambda item: _lab_of(item) is not None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Start the labs. A worker of xdist doesn't know yet which tests will be its own."""
        if hasattr(self._config, "workerinput") or self._config.option.collectonly:
            return
        for name in LABS:
            items = [item for item in session.items if _lab_of(item) == name]
            for batch in ([i for i in items if not _alone(i)], *([i] for i in items if _alone(i))):
                if batch:
                    with suppress(LabUnavailable):  # as each test will say
                        self._new_batch(name, batch).start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        """Replay what the pytest inside reports of this test."""
        name = _lab_of(item)
        if name is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(name, item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_sessionfinish(self) -> None:
        """End the labs, also after ``-x`` or Ctrl-C."""
        for batch in dict.fromkeys(self._batches.values()):
            batch.close()
        for scratch in self._scratch:
            scratch.close()

    def _reports(self, name: str, item: pytest.Item) -> list[pytest.TestReport]:
        try:
            return list(self._batch(name, item).reports(item.nodeid))
        except LabUnavailable as error:
            if os.environ.get("CI") == "true":
                return _made_up(item, "failed", f"no lab {name!r}: {error}")
            where, line, _ = item.location
            return _made_up(item, "skipped", (where, (line or 0) + 1, f"Skipped: {error}"))
        except LabDied as error:
            return _made_up(item, "failed", str(error))

    def _batch(self, name: str, item: pytest.Item) -> Batch:
        if item.nodeid not in self._batches:
            self._new_batch(name, [item])
        return self._batches[item.nodeid]

    def _new_batch(self, name: str, items: Sequence[pytest.Item]) -> Batch:
        if name in self._unavailable:
            raise LabUnavailable(self._unavailable[name])
        try:
            batch = self._make_batch(name, items)
        except LabUnavailable as error:
            self._unavailable[name] = str(error)
            raise
        self._batches.update((item.nodeid, batch) for item in items)
        return batch

    def _make_batch(self, name: str, items: Sequence[pytest.Item]) -> Batch:
        lab = LABS[name](_alone(items[0]))
        if name not in self._places:
            # A user's own TMPDIR may be closed to the account that runs the lab.
            closed = lab.account is not None and lab.account.change
            scratch = Guard(Path("/tmp" if closed else tempfile.gettempdir()), "remusnet-inside-")
            self._scratch.append(scratch)
            place = inside(self._config.rootpath, lab.account, scratch.directory, _IMPORTS)
            self._places[name] = place, scratch.directory
        place, folder = self._places[name]
        timeouts = {item.nodeid: _timeout(item) for item in items}
        processors = 1 if name == "netns" else len(os.sched_getaffinity(0))
        return Batch(
            lab,
            place,
            self._config,
            timeouts,
            hands(timeouts),
            _shared_folder(folder, lab.account),
            min(processors, 1 + len(items) // _FEWEST),
        )


_T = TypeVar("_T")


def shared_out(things: Sequence[_T], shares: int) -> list[list[_T]]:
    """Deal ``things`` out evenly, each share in its old order, the same way each time.

    By lot: in turns, one share would get each test with the same parameter.
    """
    lots = Random(1).sample(range(len(things)), len(things))
    dealt = [sorted(lots[share::shares]) for share in range(shares)]
    return [[things[index] for index in share] for share in dealt if share]


def hands(timeouts: Mapping[str, float]) -> list[list[str]]:
    """Node ids as they are handed to labs: each hand of one file, what may take longest first.

    ``timeouts``: the seconds that each of them may take.
    """
    files: dict[str, list[str]] = {}
    for nodeid in timeouts:
        files.setdefault(nodeid.partition("::")[0], []).append(nodeid)
    dealt = [
        hand for tests in files.values() for hand in shared_out(tests, -(-len(tests) // _HAND))
    ]
    return sorted(dealt, key=lambda hand: -sum(timeouts[nodeid] for nodeid in hand))


def _shared_folder(parent: Path, account: Account | None) -> Path:
    """A new folder that labs can write, with the rights of their account."""
    folder = Path(tempfile.mkdtemp(prefix="taken-", dir=parent))
    if account is not None and account.change:
        parent.chmod(0o755)
        os.chown(folder, account.uid, account.gid)
    return folder


def _lab_of(item: pytest.Item) -> str | None:
    return next((name for name in LABS if item.get_closest_marker(name)), None)


def _marked(item: pytest.Item, argument: str) -> object:
    """An argument as the nearest marker of a lab that has it gives it; None: none has."""
    marks = (mark for mark in item.iter_markers() if mark.name in LABS)
    return next((mark.kwargs[argument] for mark in marks if argument in mark.kwargs), None)


def _alone(item: pytest.Item) -> bool:
    return bool(_marked(item, "alone"))


def _timeout(item: pytest.Item) -> float:
    """The seconds that a test may take: its nearest marker's, and more where counts are large."""
    given = _marked(item, "timeout")
    seconds = float(given) if isinstance(given, int | float) else _TIMEOUT_SECONDS
    return seconds * count(sample=1, long=10)


def _made_up(
    item: pytest.Item, outcome: str, why: str | tuple[str, int, str]
) -> list[pytest.TestReport]:
    """The reports of a test that no pytest inside has reported."""
    phases = (
        [("setup", outcome, why)]
        if outcome == "skipped"
        else [
            ("setup", "passed", None),
            ("call", outcome, why),
        ]
    )
    return [
        pytest.TestReport(
            item.nodeid, item.location, dict.fromkeys(item.keywords, 1), result, text, when
        )
        for when, result, text in [*phases, ("teardown", "passed", None)]
    ]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; outside a lab, take over the tests that carry them."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if VARIABLE not in os.environ and not config.pluginmanager.has_plugin("lab"):
        config.pluginmanager.register(LabPlugin(config), "lab")

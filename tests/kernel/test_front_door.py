"""The front door on a real kernel: the lines of its page, and the examples of its docstrings."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import remusnet
from remusnet.api import protection
from tests.kernel.lab.packets import Capture, Sender, stamped
from tests.kernel.lab.protection import BUFFER, TCP_FRAME, Site

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
REPLICATOR = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]

pytestmark = pytest.mark.uml


class Replicator:
    """The reader's own part: two checkpoints of a guest that sends one frame an epoch."""

    def __init__(self, site: Site, guest: Sender, client: Capture) -> None:
        self._site, self._guest, self._client = site, guest, client
        self._checkpoints = 0

    def replicating(self) -> bool:
        if self._checkpoints:
            assert self._client.expect(1) == [self._checkpoints]
        else:
            self._send()
        return self._checkpoints < 2

    def suspend(self) -> None:
        self._checkpoints += 1

    def resume(self) -> None:
        self._send()

    def replicate(self) -> None:
        self._site.bed.wait_for_held(BUFFER, 2)
        assert self._client.stamps() == []

    def _send(self) -> None:
        self._guest.send([stamped(TCP_FRAME, self._checkpoints + 1)])
        self._site.bed.wait_for_held(BUFFER, min(self._checkpoints, 1) + 1)


@pytest.fixture(autouse=True)
def run_dir(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMUSNET_RUN_DIR", str(site.run_dir))


def test_the_twelve_lines_of_the_page_hold_each_epoch_until_its_commit(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sum(bool(line.strip()) for line in REPLICATOR.splitlines()) == 12
    bed = site.bed
    with bed.from_guest() as guest, bed.at_client() as client, bed.dom0.entered():
        mine = Replicator(site, guest, client)
        theirs = {
            "replicating": mine.replicating,
            "suspend": mine.suspend,
            "resume": mine.resume,
            "replicate": mine.replicate,
        }
        exec(REPLICATOR, theirs)  # what the page says, as it stands
        assert client.expect(1) == [3]
    assert capsys.readouterr().out == "3 packets were held\n"


def test_the_examples_of_the_docstrings_are_true(site: Site) -> None:
    """One after the other: each needs the vif as the one before has left it."""
    with site.bed.dom0.entered():
        for function in (protection.apply, protection.verify, protection.status, protection.remove):
            (example,) = doctest.DocTestFinder().find(
                function, globs={"remusnet": remusnet}, module=False
            )
            assert example.examples
            told: list[str] = []
            doctest.DocTestRunner().run(example, out=told.append)
            assert not told, "".join(told)

"""The tutorial for administrators tells the truth: a real Xen does and prints what it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.xen.lab.document import Command, alike, steps
from tests.xen.lab.job import Done

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "protect-a-voip-server.md"


@pytest.mark.xen
@pytest.mark.slow
def test_the_tutorial_prints_what_it_shows(in_dom0: Callable[..., Done]) -> None:
    told = list(steps(TUTORIAL.read_text("utf-8")))
    script = "".join(step.script(number) for number, step in enumerate(told))
    done = in_dom0("tutorial", {"steps": script.encode()})
    assert done.status == 0, done.said[-20:]
    wrong = []
    for number, step in enumerate(told):
        if isinstance(step, Command):
            printed = (done.out / str(number)).read_text("utf-8").splitlines()
            status = (done.out / f"{number}.status").read_text("ascii").strip()
            if status != "0" or not alike(printed, step.shown):
                wrong.append("\n".join([f"# {step.text}", *printed, f"(exit status {status})"]))
    assert not wrong, "\n\n".join(["printed otherwise than shown:", *wrong])

"""What tests in the Xen lab share."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.xen.lab import job
from tests.xen.lab.build import Lab, build
from tests.xen.lab.errors import LabUnavailable
from tests.xen.lab.job import Done
from tests.xen.lab.places import CACHE

JOBS = Path(__file__).parent / "jobs"
LONGEST_S = 2400
"""For a job. The longest takes a quarter of that on an idle machine of two cores."""
DOMAINS = b"""\
[default]
policy = "tcp-only"
interval = "1s"
rate = "200mbit"
"""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab, built where it isn't; without what it needs its tests are skipped."""
    try:
        return build(_say)
    except LabUnavailable as error:
        pytest.skip(f"no Xen lab: {error}")


@pytest.fixture
def in_dom0(lab: Lab, request: pytest.FixtureRequest) -> Callable[..., Done]:
    """``in_dom0("compare", POLICIES="tcp-only")``: run a job of ``jobs/``, told by variables.

    ``brings``: more files, beside those of ``jobs/``.

    What it recorded is kept in the lab's cache, below out/, until the test runs again.
    """

    def run(name: str, brings: Mapping[str, bytes] = {}, **variables: str) -> Done:
        out = CACHE / "out" / request.node.name
        shutil.rmtree(out, ignore_errors=True)
        files = {each.name: each.read_bytes() for each in JOBS.iterdir() if each.is_file()}
        told = "".join(f"export {key}={value!r}\n" for key, value in variables.items())
        files["run"] = told.encode() + (JOBS / f"{name}.sh").read_bytes()
        files["remusnet.toml"] = DOMAINS
        files.update(brings)
        return job.run(lab, name, files, out, timeout=LONGEST_S, say=_say)

    return run
